"""Whether what was fetched is still there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event

from cortexcast_training.fetch.catalogue import FetchError, subject_of
from cortexcast_training.fetch.ledger import LEDGER, Entry, Ledger
from cortexcast_training.fetch.transfer import checksums_of


class State(StrEnum):
    """Of a file."""

    THERE = "there"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class FileState:
    """A file that is wanted, and its state."""

    dataset: str
    path: str
    size: int
    state: State

    @property
    def subject(self) -> str:
        """Whose it is, or nothing."""
        return subject_of(self.path)


def status(folder: Path, *, verify: bool) -> list[FileState]:
    """Each file that is wanted in a folder.

    Args:
        folder: of the data set.
        verify: reads each file; else its size must do.

    Raises:
        FetchError: nothing was fetched into it.
    """
    entries = list(Ledger(folder))
    if not entries:
        raise FetchError(f"{folder} has no {LEDGER}: nothing was fetched into it")
    return [FileState(entry.dataset, entry.path, entry.size, _state(folder, entry, verify)) for entry in entries]


def _state(folder: Path, entry: Entry, verify: bool) -> State:
    path = folder / entry.path
    if not entry.sha256 or not path.is_file():
        return State.MISSING
    if path.stat().st_size != entry.size or (verify and checksums_of(path, Event())[0] != entry.sha256):
        return State.DAMAGED
    return State.THERE
