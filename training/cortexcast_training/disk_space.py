"""Whether what is about to be written fits on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path


class SpaceError(Exception):
    """The disk is too small. The message says for what, and what to do."""


def check_space(n_bytes: int, folder: Path, instead: str) -> None:
    """Make sure that so much can be written there.

    Args:
        n_bytes: how much.
        folder: where; it need not be there yet.
        instead: what to do where it cannot.

    Raises:
        SpaceError: it cannot.
    """
    disk = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(disk).free
    if n_bytes > free:
        raise SpaceError(f"this takes {n_bytes / 1e9:.1f} GB and {disk} has {free / 1e9:.1f} GB left: {instead}")
