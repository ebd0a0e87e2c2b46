"""What some tests need of the machine: where it is missing they are skipped, but in CI they fail."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

WEB = Path(__file__).parents[1] / "clients" / "cortexcast_web"


def lacking(reason: str) -> NoReturn:
    """Skip this test, or fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


def needed_command(name: str, package: str) -> str:
    """The path of a command that this Debian package brings."""
    return shutil.which(name) or lacking(f"there is no {name}: sudo apt-get install {package}")


def node() -> str:
    """The path of Node.js."""
    return needed_command("node", "nodejs")


def npm_package(name: str) -> Path:
    """The folder of what npm has brought."""
    folder = WEB / "node_modules" / name
    return folder if folder.is_dir() else lacking(f"npm has not brought {name}: run `make check`")
