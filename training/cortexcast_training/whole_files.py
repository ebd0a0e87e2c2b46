"""What is written as a whole or not at all, by however many commands at once."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STAGING = ".new-"
_ABANDONED_S = 86_400.0
"""Nothing that is still being written is as old."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file of the same name, which takes the place of ``path`` unless something is raised."""
    with _staging(path.parent) as own:
        fresh = own / path.name
        yield fresh
        fresh.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Likewise an empty folder to write into."""
    with _staging(path.parent) as own:
        fresh = own / path.name
        fresh.mkdir()
        yield fresh
        while True:
            try:
                fresh.rename(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                break
            with suppress(FileNotFoundError):  # another command may have been faster, at either
                path.rename(tempfile.mkdtemp(dir=own))


def remove_abandoned(folder: Path) -> None:
    """Remove, at any depth, what commands left that were killed while they wrote; not what is still written."""
    # Not by rglob, which fails where a folder vanishes meanwhile.
    for root, names, _ in os.walk(folder):
        for path in (Path(root, name) for name in names if name.startswith(_STAGING)):
            with suppress(FileNotFoundError):  # whoever wrote it is done
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder of one's own within another, on the same file system; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=_STAGING) as own:
        yield Path(own)
