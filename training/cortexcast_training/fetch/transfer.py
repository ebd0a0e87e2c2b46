"""One file over an unreliable connection: taken up where it was left, and there only once it is whole and right."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Protocol

from cortexcast_training.fetch.bucket import BrokenOffError
from cortexcast_training.fetch.catalogue import FetchError, RemoteFile

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each further attempt, as long as nothing at all comes."""

_BLOCK = 2**20


class Content(Protocol):
    """Where files come from; see ``Bucket``."""

    def content(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        """A file from this byte on, a piece at a time."""


def transfer(
    source: Content, file: RemoteFile, folder: Path, stopping: Event, say: Callable[[int], None] = lambda _: None
) -> str:
    """Fetch a file into its place in the folder.

    Args:
        source: has it.
        file: which.
        folder: of the data set.
        stopping: what is set to end this between two pieces; what came stays for the next time.
        say: hears how many bytes came, of each piece; negative of what was thrown away.

    Returns:
        The SHA-256 of its content.

    Raises:
        FetchError: it cannot be had, or not be written, or its content is not what it should be.
    """
    target = folder / file.path
    partial = partial_of(target, file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            checksum = _receive(source, file, partial, stopping, say)
            if checksum is not None:
                partial.replace(target)
                return checksum
            # Damaged, here or on the way: all of it again, once.
            say(-partial.stat().st_size)
            partial.unlink()
    except OSError as error:
        reason = "the disk is full: make room and fetch again" if error.errno == errno.ENOSPC else str(error)
        raise FetchError(f"{target}: {reason}") from None
    finally:
        if partial.exists() and not partial.stat().st_size:
            partial.unlink()
    raise FetchError(f"{file.path} came twice with another content than it should have: try again later")


def partial_of(target: Path, file: RemoteFile) -> Path:
    """Where a file grows; another version of it would grow elsewhere."""
    return target.with_name(f".{target.name}.{file.etag[:8]}.partial")


def checksums_of(path: Path, stopping: Event) -> tuple[str, str]:
    """SHA-256 and MD5 of a file's content."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for block in _blocks(path, stopping):
        sha256.update(block)
        md5.update(block)
    return sha256.hexdigest(), md5.hexdigest()


class StoppedError(FetchError):
    """It was ended by who asked for it."""


def _receive(
    source: Content, file: RemoteFile, partial: Path, stopping: Event, say: Callable[[int], None]
) -> str | None:
    """Receive what is missing; gives the SHA-256, or None where the content is wrong."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with partial.open("ab+") as grown:
        if grown.tell() > file.size:
            return None
        for block in _blocks(partial, stopping):
            sha256.update(block)
            md5.update(block)
        pauses = iter(_PAUSES_S)
        while (start := grown.tell()) < file.size:
            if stopping.is_set():
                raise StoppedError("stopped")
            try:
                for piece in source.content(file, start):
                    if stopping.is_set():
                        raise StoppedError("stopped")
                    grown.write(piece)
                    sha256.update(piece)
                    md5.update(piece)
                    say(len(piece))
                reason = "it ended too early"
            except BrokenOffError as error:
                reason = str(error)
            grown.flush()
            if grown.tell() > start:
                pauses = iter(_PAUSES_S)
            elif (pause := next(pauses, None)) is not None:
                stopping.wait(pause)
            else:
                raise FetchError(f"{file.path} breaks off at byte {start} of {file.size} each time ({reason})")
        size = grown.tell()
    # A file that was put there in parts has another kind of ETag, with a dash.
    known = "-" in file.etag or len(file.etag) != md5.digest_size * 2
    return sha256.hexdigest() if size == file.size and (known or md5.hexdigest() == file.etag) else None


def _blocks(path: Path, stopping: Event) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if stopping.is_set():
                raise StoppedError("stopped")
            yield block
