"""Which column of a recording a frame's samples belong to, so that nothing missing ever shifts what follows. Pure.

A column is a sample at the products' rate, 0 where the first frame begins. Within an unbroken stretch columns follow
the headset's own samples, as in any recorder. Across a break (a gap of the headset's, frames that were missed, a daemon
that began anew) they follow the clock: as many columns stay empty as time passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from cortexcast_client.errors import RecordingError
from cortexcast_client.wire import Flags, Frame

MAX_BREAK_S = 6 * 3600.0
"""A longer break ends a recording: its empty columns would fill the disk, and its cause may be a clock that was set."""

_RECENT_S = 30.0
"""How far apart frames of the same moment may arrive: what a daemon keeps for who resumes (10 s), and some."""

_DRIFT = 2e-4
"""The most by which a headset's clock differs from the computer's."""

_WITHIN, _WITHIN_FIRST = 1.5, 50
"""Hops between frames of two products that tell one's place by the other's; at the start nothing can be missing yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame goes: the column of its first sample, and whether its product breaks off before it."""

    column: int
    breaks: bool


@dataclass(frozen=True, slots=True)
class _Placed:
    """A frame without its data, and where it was placed."""

    product: str
    session: str
    sequence: int
    first_sample: int
    t0: float
    unix: float
    column: int
    end: int


class TimeAxis:
    """Places frames of one or more products that come in the same hops at the same rate.

    Args:
        rate_hz: sampling rate.
        hop: samples a frame.
    """

    def __init__(self, rate_hz: float, hop: int) -> None:
        self._rate_hz = rate_hz
        self._hop = hop
        self._last: dict[str, _Placed] = {}
        """The last frame of each product in this session."""
        self._ends: dict[str, int] = {}
        """The column after each product's last, of whatever session: nothing is ever laid over what is there."""
        self._recent: deque[_Placed] = deque()
        self._newest: _Placed | None = None
        """The one that reaches farthest."""

    def place(self, frame: Frame, clock_offset: float) -> Place:
        """Give a frame its place.

        Args:
            frame: of the session of the frame before, or of one that follows it; in its product's order.
            clock_offset: seconds from the LSL clock to Unix time.

        Raises:
            RecordingError: the break before it is too long.
        """
        unix = frame.t0 + clock_offset
        if self._newest is not None and frame.session != self._newest.session:
            self._last.clear()
            self._recent.clear()
        found = self._find(frame, unix)
        column = max(found.column, self._ends.get(frame.product, found.column))
        end = column + self._hop
        placed = _Placed(frame.product, frame.session, frame.sequence, frame.first_sample, frame.t0, unix, column, end)
        self._last[frame.product] = placed
        self._ends[frame.product] = end
        self._recent.append(placed)
        while placed.column - self._recent[0].column > _RECENT_S * self._rate_hz:
            self._recent.popleft()
        if self._newest is None or placed.session != self._newest.session or placed.end >= self._newest.end:
            self._newest = placed
        return Place(column, found.breaks)

    def _find(self, frame: Frame, unix: float) -> Place:
        newest, last = self._newest, self._last.get(frame.product)
        if newest is None:
            return Place(0, breaks=False)
        if frame.session != newest.session:
            return Place(newest.end + self._checked(self._columns(unix - newest.unix) - self._hop), breaks=True)
        if last is None:
            beside = self._beside(frame, self._recent, _WITHIN_FIRST)
            return Place(
                newest.column + self._columns(frame.t0 - newest.t0) if beside is None else beside, breaks=False
            )
        if frame.sequence == last.sequence + 1 and Flags.GAP not in frame.flags:
            return Place(last.end, breaks=False)
        # A gap begins new hops: those of before it say nothing of what comes after.
        others = [
            placed
            for placed in self._recent
            if placed.product != frame.product and (Flags.GAP not in frame.flags or placed.t0 > last.t0)
        ]
        beside = self._beside(frame, others, _WITHIN)
        column = last.end + self._checked(self._missing(frame, last)) if beside is None else beside
        return Place(column, breaks=True)

    def _beside(self, frame: Frame, others: Iterable[_Placed], within: float) -> int | None:
        """The column by the frame of another product that is nearest in time; None where there is none.

        Products of one model come in the same hops. So the distance is a whole number of hops, which is robust against
        what the stamps of a jittering headset do to ``t0``.
        """
        nearest = min(others, key=lambda placed: abs(placed.t0 - frame.t0), default=None)
        if nearest is None:
            return None
        distance = (frame.t0 - nearest.t0) * self._rate_hz / self._hop
        if abs(distance) > within or abs(distance - round(distance)) > 0.25:
            return None
        return nearest.column + self._hop * round(distance)

    def _missing(self, frame: Frame, last: _Placed) -> int:
        """How many samples are missing since the product's last frame."""
        by_time = self._columns(frame.t0 - last.t0) - self._hop
        counted = frame.first_sample - last.first_sample - self._hop
        # The count is exact where only frames were missed, but it knows nothing of the headset's gaps.
        agree = abs(by_time - counted) <= max(1.0, self._hop / 2 + _DRIFT * counted)
        return counted if agree and Flags.GAP not in frame.flags else by_time

    def _checked(self, missing: int) -> int:
        if missing > MAX_BREAK_S * self._rate_hz:
            raise RecordingError(
                f"nothing came for {missing / self._rate_hz / 3600:.1f} hours: this recording ends before them"
            )
        return max(0, missing)

    def _columns(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)
