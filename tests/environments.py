"""Fresh virtual environments: the machine of somebody who installs cortexcast and has nothing of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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

    def install(self, *requirements: str) -> None:
        """Install with the versions of constraints.txt; this environment needs no pip of its own."""
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(self.bin / "python"), "install", "--no-compile"]
        completed = self.run(*pip, "--constraint", str(ROOT / "constraints.txt"), *requirements)
        assert completed.returncode == 0, completed.stderr

    def link(self, distributions: Iterable[Distribution]) -> None:
        """Have what the tests' own environment has of these: installing it anew takes minutes."""
        packages = Path(self.python("import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        for each in distributions:
            for top in {file.parts[0] for file in each.files or () if not file.parts[0].startswith("..")}:
                here = packages / top
                if top != "__pycache__" and not here.exists():
                    here.symlink_to(Path(str(each.locate_file(top))))

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


def needed(wheel: Path, extra: str) -> list[Distribution]:
    """The distributions that a wheel with an extra needs, as its metadata and theirs say; not the wheel's own."""
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        header = message_from_bytes(archive.read(metadata))
    own, requires = canonicalize_name(header["Name"]), header.get_all("Requires-Dist", [])
    found: dict[str, Distribution] = {}
    looked: set[tuple[str, str]] = set()

    def look(name: str, extra: str) -> None:
        key = canonicalize_name(name)
        if (key, extra) in looked:
            return
        looked.add((key, extra))
        if key != own:
            found[key] = distribution(name)
        for text in requires if key == own else found[key].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                for wanted in {"", *requirement.extras}:
                    look(requirement.name, wanted)

    look(own, "")
    look(own, extra)
    return list(found.values())


def new_environment(directory: Path, *, with_pip: bool = False) -> Environment:
    """Make an environment that holds nothing, or pip alone."""
    options = [] if with_pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, directory], check=True)
    return Environment(directory)
