"""What is wanted in a folder and what came of it, beside the files themselves: by it the rest is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

LEDGER = ".fetched.jsonl"


@dataclass(frozen=True)
class Entry:
    """A file that is wanted.

    Attributes:
        dataset: the data set's name.
        path: in the folder, with slashes.
        size: bytes.
        etag: which content it had in the bucket.
        sha256: of what came; nothing before it did.
    """

    dataset: str
    path: str
    size: int
    etag: str
    sha256: str


class Ledger:
    """Grows by a line a file, each written at once. Thread-safe.

    Args:
        folder: of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER
        self._lock = Lock()
        self._entries = {entry.path: entry for entry in self._read()}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, path: str) -> Entry | None:
        """What is wanted there."""
        return self._entries.get(path)

    def add(self, entry: Entry) -> None:
        """Note a file, in place of what was noted of it before.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(entry)) + "\n")
            self._entries[entry.path] = entry

    def _read(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            # A line that was cut off by a power failure is of a file that will be looked at again.
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError):
                continue
