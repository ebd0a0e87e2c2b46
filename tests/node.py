"""Node, for tests of what is JavaScript."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

WEB = Path(__file__).parents[1] / "clients" / "cortexcast_web"


def node() -> str:
    """The command, where what npm brings is there too; else the test is skipped, in CI it fails."""
    found = shutil.which("node")
    if found is not None and (WEB / "node_modules" / "ws").is_dir():
        return found
    reason = "there is no Node.js with what `make test` installs by npm" if found else "there is no Node.js"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, which CI must have")
    pytest.skip(reason)
