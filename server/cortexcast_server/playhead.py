"""Where a replay stands: which samples and markers are due, and with which stamps. Pure: the clock is an argument.

While it plays, the stamps of consecutive samples are one sample period apart, whatever the speed: a receiver sees the
signal contract of the recording. At speed 1 they are the LSL clock; at another speed they leave it behind, and keep the
distance when the speed is 1 again. A pause is a gap in the stamps, as long as the pause. A loop or a seek is none: a
marker announces that the signal jumps there. A change of speed is neither: signal and stamps go on.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOOP_MARKER = "cortexcast/loop"
"""Marks the first sample after the recording began again."""

SEEK_MARKER = "cortexcast/seek"
"""Marks the first sample after a jump to another place."""

_CHUNK_S = 0.01
_MAX_CHUNK_S = 1.0  # of signal at a time, when the player was kept from running

_EARLY = 1e-3  # of a sample: what a deadline may lose in rounding
_NEAR = 0.1  # of a sample: what a stamp may be off after its way through LSL

_SPEEDS = 1e-3, 1e4  # anything slower is a pause, and no file is read faster

_STRETCHES = 64  # how many jumps and pauses back a stamp is still understood


class PlaybackError(Exception):
    """A replay cannot do what it was asked. The message says why and what to do."""


class Onset(NamedTuple):
    """When a label is due, in seconds since the recording's first sample."""

    onset_s: float
    label: str


class Marker(NamedTuple):
    """A label and its stamp in seconds."""

    time: float
    label: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples ``start`` to ``stop`` of the recording, the stamps of the first and last, and the markers among them."""

    start: int
    stop: int
    first_time: float
    last_time: float
    markers: tuple[Marker, ...]


@dataclass(slots=True)
class _Stretch:
    """Samples given out without a jump or a pause: sample ``start + i`` of the recording, stamped ``i`` periods on."""

    start: int
    n: int
    origin: float
    first_time: float


class Playhead:
    """Walk through a recording. It is paused until ``resume`` is called.

    Args:
        onsets: in order, each within the recording.
        speed: seconds of signal a second.
        start_s: where to begin.
        loop: begin again at the end.

    Raises:
        PlaybackError: ``start_s`` is outside the recording, or the speed not one from 0.001 to 10000.
    """

    def __init__(
        self,
        rate_hz: float,
        n_samples: int,
        onsets: Sequence[Onset] = (),
        *,
        speed: float = 1.0,
        start_s: float = 0.0,
        loop: bool = False,
    ) -> None:
        self.loop = loop
        self.speed = _possible(speed)
        self.loops = 0
        self.sent = 0
        """Samples given out so far."""
        self.ended = False
        self._rate_hz = rate_hz
        self._n_samples = n_samples
        self._onsets = onsets
        # The sample that a marker goes with is the first one at or after it, or the last one of all.
        self._rows = [min(math.ceil(round(onset.onset_s * rate_hz, 6)), n_samples - 1) for onset in onsets]
        self._next = self._index(start_s)
        self._jump: str | None = None
        self._stretches: deque[_Stretch] = deque(maxlen=_STRETCHES)
        # Of sample 0 of all that are sent: its stamp, and when it would have been due had the speed been that of now.
        # Pauses push both on.
        self._origin = 0.0
        self._due_from = 0.0
        self._paused_at: float | None = 0.0

    @property
    def paused(self) -> bool:
        """Nothing is due until ``resume``."""
        return self._paused_at is not None

    @property
    def position_s(self) -> float:
        """Where the next sample lies in the recording, in seconds."""
        return self._next / self._rate_hz

    def resume(self, now: float) -> None:
        """Go on from here."""
        if self._paused_at is not None:
            self._origin += now - self._paused_at
            self._due_from += now - self._paused_at
            self._paused_at = None

    def pause(self, now: float) -> None:
        """Stay here."""
        if self._paused_at is None:
            self._paused_at = now

    def set_speed(self, speed: float, now: float) -> None:
        """Go on at another speed: what was due by now is due, and no sample more.

        Raises:
            PlaybackError: it is not one from 0.001 to 10000, or the replay has ended.
        """
        self._refuse_after_the_end()
        ratio = self.speed / _possible(speed)
        if self._paused_at is not None:
            now = self._paused_at
        self._due_from = now - (now - self._due_from) * ratio
        self.speed = speed

    def seek(self, position_s: float) -> None:
        """Go on from another place.

        Raises:
            PlaybackError: it is outside the recording, or the replay has ended.
        """
        self._refuse_after_the_end()
        self._next = self._index(position_s)
        self._jump = SEEK_MARKER

    def samples_at(self, stamps: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which sample of the recording was given out with each stamp; -1 where none was, or too long ago.

        Args:
            stamps: in ascending order, ``(n,)``.
        """
        samples = np.full(len(stamps), -1, np.int64)
        for stretch in reversed(self._stretches):
            offset = (stamps - stretch.first_time) * self._rate_hz
            nearest = np.rint(offset).astype(np.int64)
            inside = (np.abs(offset - nearest) < _NEAR) & (nearest >= 0) & (nearest < stretch.n)
            samples[inside] = stretch.start + nearest[inside]
            if not len(offset) or offset[0] > -_NEAR:
                break
        return samples

    def deadline(self) -> float | None:
        """When the next piece is due; None while paused and after the end."""
        if self.ended or self.paused:
            return None
        return self._due_from + (self.sent + self._chunk - 1) / (self._rate_hz * self.speed)

    def due(self, now: float) -> Piece | None:
        """The next samples that are due; None until there is a chunk of them. Ask until there is none."""
        if self.ended or self.paused:
            return None
        n_due = math.floor((now - self._due_from) * self._rate_hz * self.speed + _EARLY) + 1 - self.sent
        if n_due < self._chunk:
            return None
        largest = max(self._chunk, round(_MAX_CHUNK_S * self._rate_hz))
        return self._advance(min(n_due, largest, self._n_samples - self._next))

    @property
    def _chunk(self) -> int:
        chunk = max(1, round(_CHUNK_S * self._rate_hz * self.speed))
        return min(chunk, self._n_samples - self._next)

    def _advance(self, n: int) -> Piece:
        start, stop = self._next, self._next + n
        first_time = self._origin + self.sent / self._rate_hz
        markers = [] if self._jump is None else [Marker(first_time, self._jump)]
        for row in range(bisect.bisect_left(self._rows, start), bisect.bisect_left(self._rows, stop)):
            onset = self._onsets[row]
            markers.append(Marker(first_time + onset.onset_s - start / self._rate_hz, onset.label))
        self._jump = None
        self._remember(start, n, first_time)
        self.sent += n
        self._next = stop
        if stop == self._n_samples:
            self._finish()
        return Piece(start, stop, first_time, first_time + (n - 1) / self._rate_hz, tuple(markers))

    def _remember(self, start: int, n: int, first_time: float) -> None:
        last = self._stretches[-1] if self._stretches else None
        if last is not None and last.start + last.n == start and last.origin == self._origin:
            last.n += n
        else:
            self._stretches.append(_Stretch(start, n, self._origin, first_time))

    def _finish(self) -> None:
        if not self.loop:
            self.ended = True
            return
        self.loops += 1
        self._next = 0
        self._jump = LOOP_MARKER

    def _refuse_after_the_end(self) -> None:
        if self.ended:
            raise PlaybackError("the replay has ended: start another")

    def _index(self, position_s: float) -> int:
        duration_s = self._n_samples / self._rate_hz
        if not 0 <= position_s < duration_s:
            raise PlaybackError(
                f"{position_s:g} s is outside the recording: give a position from 0 to {duration_s:g} s"
            )
        return min(round(position_s * self._rate_hz), self._n_samples - 1)


def _possible(speed: float) -> float:
    slowest, fastest = _SPEEDS
    if not slowest <= speed <= fastest:
        raise PlaybackError(
            f"the speed {speed:g} is not possible: give a number from {slowest:g} to {fastest:g}, 1 for real time"
        )
    return speed
