"""Fresh virtual environments: the machine of somebody who installs cortexcast and has nothing of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CORTEXCAST_")


@dataclass(frozen=True)
class Environment:
    """A directory that ``python -m venv`` made, and the variables that its programs are given besides the machine's."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def environ(self) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return {**theirs, "PATH": f"{self.bin}:{os.environ['PATH']}", **self.variables}

    def install(self, requirement: str) -> None:
        """Install with the versions of constraints.txt; this environment needs no pip of its own."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(self.bin / "python"), "install", "--no-compile"]
        completed = self.run(*pip, "--constraint", str(ROOT / "constraints.txt"), requirement)
        assert completed.returncode == 0, completed.stderr

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, away from the source tree."""
        return subprocess.run(
            command, env=self.environ, cwd=self.directory, capture_output=True, text=True, check=False
        )

    def python(self, code: str) -> str:
        """What the code prints."""
        completed = self.run("python", "-c", code)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout


def new_environment(directory: Path, *, with_pip: bool = False) -> Environment:
    """Make an environment that holds nothing, or pip alone."""
    options = [] if with_pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, directory], check=True)
    return Environment(directory)
