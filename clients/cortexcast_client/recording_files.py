"""The files of a recording: samples of each product, and what is known of them, a JSON line for each fact."""

from __future__ import annotations

import io
import json
from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.errors import RecordingError
from cortexcast_client.messages import Marker, Product, parse_products


@dataclass(frozen=True, slots=True)
class Stretch:
    """From ``row`` of a product's file on, columns follow each other from ``column`` on."""

    product: str
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Break:
    """A product breaks off before this column."""

    column: int


@dataclass(frozen=True, slots=True)
class NoSignal:
    """These columns of a product came without signal."""

    product: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """When a column was, by the LSL clock of a session and by Unix time."""

    session: str
    column: int
    time: float
    unix: float


Fact = Product | Stretch | Break | NoSignal | Anchor | Marker
_FACTS = {kind.__name__: kind for kind in (Stretch, Break, NoSignal, Anchor, Marker)}


class Track:
    """One product: its file of samples ``(n_rows, n_channels)``, and which columns its rows are."""

    def __init__(self, product: Product, file: IO[bytes]) -> None:
        self.product = product
        self.row_bytes = 4 * len(product.channels)
        self.n_rows = file.seek(0, io.SEEK_END) // self.row_bytes
        self.stretches: list[Stretch] = []
        self.no_signal: list[tuple[int, int]] = []
        self._file = file

    @property
    def end(self) -> int | None:
        """The column after the last; None while there is none."""
        for stretch in reversed(self.stretches):
            if stretch.row < self.n_rows:  # the last one may have been announced, and then cut off
                return stretch.column + self.n_rows - stretch.row
        return None

    def append(self, data: NDArray[np.float32]) -> None:
        """Write samples ``(n_channels, n_samples)`` behind the others."""
        self._file.seek(self.n_rows * self.row_bytes)
        _write(self._file, np.ascontiguousarray(data.T, "<f4").tobytes())
        self.n_rows += data.shape[1]

    def runs(self) -> list[tuple[int, int]]:
        """The columns of which there are samples: starts and stops."""
        stops = [stretch.row for stretch in self.stretches[1:]] + [self.n_rows]
        return [
            (each.column, each.column + stop - each.row)
            for each, stop in zip(self.stretches, stops, strict=False)
            if each.row < stop
        ]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Columns ``start`` to ``stop``, ``(n_channels, n_columns)``; NaN where there are none."""
        values = np.full((stop - start, len(self.product.channels)), np.nan, np.float32)
        index = max(0, bisect_right(self.stretches, start, key=lambda stretch: stretch.column) - 1)
        for stretch, following in zip_longest(self.stretches[index:], self.stretches[index + 1 :]):
            if stretch.column >= stop:
                break
            n_rows = (self.n_rows if following is None else following.row) - stretch.row
            first, last = max(start, stretch.column), min(stop, stretch.column + n_rows)
            if first < last:
                self._file.seek((stretch.row + first - stretch.column) * self.row_bytes)
                content = self._file.read((last - first) * self.row_bytes)
                values[first - start : last - start] = np.frombuffer(content, "<f4").reshape(last - first, -1)
        return values.T


def write_fact(journal: IO[bytes], fact: Fact) -> None:
    """Add a line to a journal."""
    if isinstance(fact, Product):
        kind, content = "Product", {**asdict(fact), "product": fact.name}
    else:
        kind, content = type(fact).__name__, asdict(fact)
    _write(journal, json.dumps([kind, content]).encode() + b"\n")


def read_facts(journal: IO[bytes]) -> list[Fact]:
    """What a journal holds, but for a last line that was cut off.

    Raises:
        RecordingError: it is not a journal.
    """
    return [_parse_fact(line) for line in journal.read().split(b"\n")[:-1]]


def _write(file: IO[bytes], content: bytes) -> None:
    """Write all of it: an unbuffered file may take a part."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _parse_fact(line: bytes) -> Fact:
    try:
        kind, content = json.loads(line)
        if kind == "Product":
            return parse_products({"products": [content]})[0]
        fact: Any = _FACTS[kind](**content)
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"not the journal of a recording: {error!r}") from None
    else:
        return fact  # type: ignore[no-any-return]
