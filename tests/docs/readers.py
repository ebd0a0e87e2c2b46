"""Readers of a daemon that our pages show, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from daemon import Daemon

ADDRESS = "127.0.0.1:8765"
"""As our pages have it, where a daemon listens by default; the tests' daemon takes a free port."""


def assert_prints(block: str, lines: Sequence[str], daemon: Daemon) -> None:
    """A block of Python prints lines that match these, in this order, among others."""
    address = daemon.url.removeprefix("ws://").removesuffix("/ws")
    reader = subprocess.Popen(
        [sys.executable, "-c", block.replace(ADDRESS, address)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    wanted = list(lines)
    with reader:
        assert reader.stdout is not None
        try:
            for line in reader.stdout:
                if re.search(wanted[0], line):
                    wanted.pop(0)
                if not wanted:
                    break
        finally:
            reader.kill()
    assert not wanted
