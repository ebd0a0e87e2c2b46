"""What a connection gave, kept as one recording on one time axis: samples, markers, and what is missing.

The samples go to a file for each product as they come, float32, sample after sample; everything else goes to a journal,
a JSON line for each fact. Opened anew, these files are the recording again, whatever ended the program that wrote them.
No clock and no socket; files are those of the function that opens them, by default in memory.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.errors import RecordingError
from cortexcast_client.messages import Marker, Product, Status
from cortexcast_client.protocol import Event
from cortexcast_client.recording_files import Anchor, Break, Fact, NoSignal, Stretch, Track, read_facts, write_fact
from cortexcast_client.time_axis import TimeAxis
from cortexcast_client.wire import Flags, Frame

if TYPE_CHECKING:
    import mne

GAP = "BAD_gap"
"""The annotation of what did not come: NaN. Where the signal breaks off and nothing is missing, it has no length."""

NO_SIGNAL = "BAD_no_signal"
"""The annotation of what came as NaN, for want of good electrodes."""

_JOURNAL = "journal.jsonl"
_ANCHOR_S = 1.0

OpenFile = Callable[[str], IO[bytes]]
"""Opens a file by its name to read and to write, unbuffered; what it holds already is kept."""


class Source(Protocol):
    """Who knows what frames are of: a ``Connection`` or an ``AsyncConnection``."""

    @property
    def products(self) -> tuple[Product, ...]:
        """What the daemon offers now."""

    @property
    def clock_offset(self) -> float:
        """Seconds from the LSL clock to Unix time."""

    def product(self, frame: Frame) -> Product:
        """What a frame is of."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label on a stretch; times are in seconds from the recording's first sample."""

    onset_s: float
    duration_s: float
    label: str


class Recording:
    """Everything that a connection gives, laid on one time axis.

    ::

        recording = Recording()
        with Connection("ws://127.0.0.1:8765/ws", ["meg"]) as connection:
            for event in connection.events():
                recording.add(event, connection)
                if recording.duration_s >= 60:
                    break
        raw = recording.to_mne_raw()

    Time never shifts: what is missing (gaps of the headset's, frames that were missed, a daemon that began anew) is as
    many samples of NaN as time passed, annotated as ``BAD_gap``; frames without signal are ``BAD_no_signal``. Between
    them samples follow the headset's clock, and a marker lies on the sample that was taken at its time. Standard
    deviations are not kept.

    Several products share the time axis if they come at one rate, in the same hops, as ``eeg`` and ``meg`` do. Frames
    of a session that follows the first, as after the daemon's restart, are appended.

    Args:
        open_file: where to keep it. If these files hold a recording, this is that one, and takes no more.

    Raises:
        RecordingError: the files hold something else.
    """

    def __init__(self, open_file: OpenFile | None = None) -> None:
        self._open_file: OpenFile = open_file or (lambda _: io.BytesIO())
        self._tracks: dict[str, Track] = {}
        self._breaks: list[int] = []
        self._anchors: dict[str, list[Anchor]] = {}
        self._markers: list[Marker] = []
        self._axis: TimeAxis | None = None
        self._session = ""
        self._ended: set[str] = set()
        self._journal = self._open_file(_JOURNAL)
        for fact in read_facts(self._journal):
            self._apply(fact)

    @property
    def products(self) -> tuple[Product, ...]:
        """What is in it, in the order of its channels."""
        return tuple(track.product for track in self._tracks.values())

    @property
    def rate_hz(self) -> float:
        """Sampling rate."""
        return self._first_product.rate_hz

    @property
    def n_samples(self) -> int:
        """From the first sample to the last, the missing ones included."""
        start, stop = self._span()
        return stop - start

    @property
    def duration_s(self) -> float:
        """The same in seconds; 0 while there is nothing."""
        return self.n_samples / self.rate_hz if self._tracks else 0.0

    @property
    def unix_start(self) -> float:
        """Unix time of the first sample."""
        first = next(iter(self._anchors.values()))[0]
        return first.unix - (first.column - self._span()[0]) / self.rate_hz

    @property
    def drift_s(self) -> float:
        """By how much the headset's clock and the computer's came apart within the longest session."""
        spans = [(anchors[0], anchors[-1]) for anchors in self._anchors.values()]
        first, last = max(spans, key=lambda span: span[1].column - span[0].column)
        return (last.column - first.column) / self.rate_hz - (last.time - first.time)

    def add(self, event: Event, source: Source) -> None:
        """Keep an event; status is not kept.

        Args:
            event: the next of a connection's.
            source: the connection.

        Raises:
            RecordingError: a frame of another session while the one before is still on offer; of a product whose rate,
                hops or channels do not go with those before; or after a break of more than six hours. What was kept
                before stays.
            OSError: it cannot be written.
        """
        if isinstance(event, Frame):
            self._add_frame(event, source)
        elif not isinstance(event, Status):
            self._tell(event)

    def annotations(self) -> list[Annotation]:
        """Markers, gaps and stretches without signal, by their onset."""
        start, stop = self._span()
        covered = [_joined(track.runs()) for track in self._tracks.values()]
        missing = _joined(sorted(run for runs in covered for run in _between(runs, start, stop)))
        no_signal = _joined(sorted(run for track in self._tracks.values() for run in track.no_signal))
        # A break with nothing missing is still one: what is on its two sides does not belong together.
        touched = {edge for run in missing for edge in run}
        breaks = [(column, column) for column in sorted(set(self._breaks)) if column < stop and column not in touched]
        found = [
            Annotation((first - start) / self.rate_hz, (last - first) / self.rate_hz, label)
            for label, runs in ((GAP, missing + breaks), (NO_SIGNAL, no_signal))
            for first, last in runs
        ]
        for marker in self._markers:
            onset_s = self._onset_s(marker)
            if onset_s is not None and 0 <= onset_s < (stop - start) / self.rate_hz:
                found.append(Annotation(onset_s, 0.0, marker.label))
        return sorted(found, key=lambda annotation: annotation.onset_s)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples ``start`` to ``stop``, ``(n_channels, n_samples)``, in V, T, T/m; NaN where there is nothing."""
        origin = self._span()[0]
        return np.concatenate([track.read(origin + start, origin + stop) for track in self._tracks.values()])

    def to_mne_raw(self) -> mne.io.RawArray:
        """The recording so far for MNE-Python, in memory: types, SI units, places of sensors, annotations, the date.

        ``fmri`` and ``stimulus`` become channels of type ``misc``, in percent of BOLD and without a unit; the
        description names product, stream, session, model and unit. Missing samples are NaN, so tell MNE's filters with
        ``skip_by_annotation=("BAD_gap", "BAD_no_signal")`` to leave them out.

        Raises:
            RecordingError: there is nothing in it yet.
            ModuleNotFoundError: MNE-Python is not installed: it comes with ``cortexcast[client]``.
        """
        from cortexcast_client.mne_raw import to_raw

        return to_raw(self)

    def _add_frame(self, frame: Frame, source: Source) -> None:
        if frame.session in self._ended:
            return  # under way when its session ended; what follows was placed already
        if self._axis is None and self._tracks:
            raise RecordingError("a recording that was opened anew takes no more: begin another")
        self._follow(frame.session, source)
        product = source.product(frame)
        self._check(product)
        self._axis = self._axis or TimeAxis(product.rate_hz, product.hop)
        place = self._axis.place(frame, source.clock_offset)
        if product.name not in self._tracks:
            self._tell(product)
        track = self._tracks[product.name]
        if place.column != track.end:
            self._tell(Stretch(product.name, track.n_rows, place.column))
        if place.breaks:
            self._tell(Break(place.column))
        anchors = self._anchors.get(frame.session)
        if place.breaks or not anchors or place.column >= anchors[-1].column + _ANCHOR_S * product.rate_hz:
            self._tell(Anchor(frame.session, place.column, frame.t0, frame.t0 + source.clock_offset))
        if Flags.NO_SIGNAL in frame.flags:
            self._tell(NoSignal(product.name, place.column, place.column + frame.data.shape[1]))
        track.append(frame.data)

    def _follow(self, session: str, source: Source) -> None:
        if session == self._session:
            return
        if any(product.session == self._session for product in source.products):
            raise RecordingError(f"frames of two sessions, {self._session} and {session}: choose one of them")
        if self._session:
            self._ended.add(self._session)
        self._session = session

    def _check(self, product: Product) -> None:
        """Raise an error for a product that has no place in this recording."""
        track = self._tracks.get(product.name)
        if track is not None:
            if _contract(product) != _contract(track.product):
                raise RecordingError(
                    f"session {product.session} gives {product.name} with another rate or other channels: "
                    "this recording ends before it"
                )
            return
        for other in self.products:
            if (product.rate_hz, product.hop) != (other.rate_hz, other.hop):
                raise RecordingError(
                    f"{other.name} comes at {other.rate_hz:g} Hz and {product.name} at {product.rate_hz:g} Hz, which "
                    "is no common grid of samples: record each to a file of its own"
                )
            if {channel.name for channel in product.channels} & {channel.name for channel in other.channels}:
                raise RecordingError(
                    f"{other.name} and {product.name} have channels of the same names: record each to a file of its own"
                )

    def _tell(self, fact: Fact) -> None:
        write_fact(self._journal, fact)
        self._apply(fact)

    def _apply(self, fact: Fact) -> None:
        match fact:
            case Product():
                self._tracks[fact.name] = Track(fact, self._open_file(f"{fact.name}.f32"))
            case Stretch():
                self._tracks[fact.product].stretches.append(fact)
            case Break():
                self._breaks.append(fact.column)
            case NoSignal():
                runs = self._tracks[fact.product].no_signal
                runs[-1:] = _joined([*runs[-1:], (fact.start, fact.stop)])
            case Anchor():
                anchors = self._anchors.setdefault(fact.session, [])
                # Of two products that come to the same break, the first one says when it was.
                if not anchors or (fact.column > anchors[-1].column and fact.time > anchors[-1].time):
                    anchors.append(fact)
            case Marker():
                self._markers.append(fact)

    @property
    def _first_product(self) -> Product:
        if not self._tracks:
            raise RecordingError("nothing was recorded yet")
        return next(iter(self._tracks.values())).product

    def _span(self) -> tuple[int, int]:
        """From which column to which; products need not begin and end with each other."""
        ends = [(track.stretches[0].column, track.end) for track in self._tracks.values() if track.end is not None]
        return min((start for start, _ in ends), default=0), max((end for _, end in ends), default=0)

    def _onset_s(self, marker: Marker) -> float | None:
        """When a marker was, in seconds from the first sample; None if its session is not in the recording."""
        anchors = self._anchors.get(marker.session)
        if not anchors:
            return None
        times = [anchor.time for anchor in anchors]
        nearest = anchors[max(0, bisect_right(times, marker.time) - 1)]
        after = anchors[min(len(anchors) - 1, bisect_right(times, marker.time))]
        column = nearest.column + (marker.time - nearest.time) * self.rate_hz
        if nearest.time <= marker.time < after.time:
            column = float(np.interp(marker.time, [nearest.time, after.time], [nearest.column, after.column]))
        return (column - self._span()[0]) / self.rate_hz


def _contract(product: Product) -> tuple[object, ...]:
    return product.rate_hz, product.hop, product.channels


def _joined(runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs in order of their starts, with those that touch made one."""
    joined: list[tuple[int, int]] = []
    for start, stop in runs:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def _between(runs: Sequence[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """What runs that do not touch leave of ``start`` to ``stop``."""
    edges = [start, *(edge for run in runs for edge in run), stop]
    return [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last]
