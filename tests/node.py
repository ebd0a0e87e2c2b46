"""Node and what npm brings, for tests of what is JavaScript."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

WEB = Path(__file__).parents[1] / "clients" / "cortexcast_web"


def node() -> str:
    """The command; where it is missing, the test is skipped, in CI it fails."""
    return shutil.which("node") or _without("there is no Node.js")


def npm_package(name: str) -> Path:
    """The folder of what npm has brought; where it is missing, the test is skipped, in CI it fails."""
    folder = WEB / "node_modules" / name
    return folder if folder.is_dir() else Path(_without(f"npm has not brought {name}: run `make check`"))


def _without(reason: str) -> str:
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)
