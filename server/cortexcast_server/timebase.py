"""From raw time stamps to an even time axis: gaps, foreign clocks, jitter. Pure.

The order matters. Gaps are found on the raw stamps, then each segment is smoothed by itself: a smoother that runs
across a gap is wrong by the whole gap and takes minutes to recover. All decisions depend on the sample count alone, so
any chunking of the same stamps gives the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

FOREIGN_CLOCK_S = 10.0
"""Stamps further than this from their arrival are of another clock (a bridge that stamps with Unix time)."""

_EVEN_TOLERANCE = 0.5
"""A step that is longer by more sample periods than this is a gap, where the stamps are even."""

_FIRST_TOLERANCE_S = 0.25
"""Allowed step while the stream's jitter is not known yet: a Bluetooth bridge delivers bursts up to this long."""

_JITTER_MARGIN = 3.0
_JITTER_MEMORY = 0.8  # a second

_FIT_MEMORY_S = 30.0
_PRIOR_S = 5.0  # the nominal rate weighs like this many seconds of even stamps


@dataclass(frozen=True, slots=True)
class Run:
    """A piece without a gap: samples ``start`` to ``stop`` of a chunk.

    ``gap_s`` is None where they go on from the samples before (or are the first), else the time that is missing before
    them; it is negative where the source's clock was set back.
    """

    start: int
    stop: int
    gap_s: float | None


class GapFinder:
    """Cut a stream of raw stamps at its gaps.

    A stamp opens a new segment when its step from the one before is larger than the stream's own jitter explains,
    learnt second by second, or when it goes back by as much. One gap in a second cannot pass for jitter, two can: in
    the first second, two gaps below a quarter of a second go unseen and make the tolerance large for some seconds.

    Args:
        rate_hz: the stream's nominal rate.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period = 1.0 / rate_hz
        self._steps = np.empty(max(2, round(rate_hz)))
        """The steps of the second in progress that are no gaps; ``_count`` of them are there."""
        self._count = 0
        self._last = -np.inf
        self._tolerance = max(_FIRST_TOLERANCE_S, _EVEN_TOLERANCE * self._period)
        self.jitter_s = 0.0
        """The largest deviation of a step from the nominal period, of late."""

    def split(self, times: NDArray[np.float64]) -> Iterator[Run]:
        """The runs of a chunk's stamps ``(n_samples,)``."""
        start, gap_s = 0, None
        if len(times) and self._last == -np.inf:
            self._last = float(times[0]) - self._period
        position = 0
        while position < len(times):
            # Up to where the tolerance is learnt anew, so that it never depends on the chunk.
            stop = min(len(times), position + len(self._steps) - self._count)
            steps = self._steps[self._count : self._count + stop - position]
            steps[0] = times[position] - self._last
            np.subtract(times[position + 1 : stop], times[position : stop - 1], out=steps[1:])
            longest, shortest = self._period + self._tolerance, -self._tolerance
            if np.maximum.reduce(steps) <= longest and np.minimum.reduce(steps) >= shortest:
                self._last = float(times[stop - 1])
                self._learn(len(steps))
                position = stop
                continue
            n_before = int(np.argmax((steps > longest) | (steps < shortest)))
            cut, cut_gap_s = position + n_before, float(steps[n_before]) - self._period
            self._learn(n_before)
            if cut > start:
                yield Run(start, cut, gap_s)
            start, gap_s = cut, cut_gap_s
            self._last = float(times[cut]) - self._period
            position = cut
        if len(times) > start:
            yield Run(start, len(times), gap_s)

    def _learn(self, n_steps: int) -> None:
        """Keep the next steps. The second largest of a second counts: the largest may be a small gap."""
        self._count += n_steps
        if self._count == len(self._steps):
            deviations = np.abs(self._steps - self._period)
            self.jitter_s = max(_JITTER_MEMORY * self.jitter_s, float(np.partition(deviations, -2)[-2]))
            self._tolerance = max(_EVEN_TOLERANCE * self._period, _JITTER_MARGIN * self.jitter_s)
            self._count = 0


class Clock:
    """The time axis of one segment: an exponentially weighted line through the stamps, block by block.

    The line's slope starts at the nominal period, so that a handful of jittered stamps cannot tilt it.

    Args:
        rate_hz: the stream's nominal rate.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period = 1.0 / rate_hz
        self._n_samples = 0
        self._origin = 0.0
        self._middle = 0.0
        # Weighted moments about the newest block's middle: x the distance in samples, y the stamps' deviation from
        # the nominal axis. The prior is the spread in x of that many seconds of samples without any deviation.
        self._w = self._wx = self._wy = self._wxy = 0.0
        self._wxx = (_PRIOR_S * rate_hz) ** 3 / 12

    def update(self, times: NDArray[np.float64]) -> None:
        """Take the raw stamps of the next block, ``(n_samples,)``, n ≥ 1."""
        n = len(times)
        if self._n_samples == 0:
            self._origin = float(times[0])
        middle = self._n_samples + (n - 1) / 2
        deviation = float(np.add.reduce(times - self._origin)) / n - middle * self._period
        shift = middle - self._middle
        keep = exp(-shift * self._period / _FIT_MEMORY_S)
        self._wxx = keep * (self._wxx - 2 * shift * self._wx + shift**2 * self._w) + n * (n**2 - 1) / 12
        self._wxy = keep * (self._wxy - shift * self._wy)
        self._wx = keep * (self._wx - shift * self._w)
        self._wy = keep * self._wy + n * deviation
        self._w = keep * self._w + n
        self._middle = middle
        self._n_samples += n

    def time_at(self, sample: float) -> float:
        """The time of a sample, counted from the segment's start; fractions lie between samples."""
        intercept, slope = self._line()
        return self._origin + sample * self._period + intercept + slope * (sample - self._middle)

    @property
    def rate_hz(self) -> float | None:
        """The rate that the stamps show; None before there are any."""
        return 1.0 / (self._period + self._line()[1]) if self._n_samples else None

    def _line(self) -> tuple[float, float]:
        mean_x, mean_y = self._wx / self._w, self._wy / self._w
        slope = (self._wxy - self._wx * mean_y) / (self._wxx - self._wx * mean_x)
        return mean_y - slope * mean_x, slope


def foreign_offset(first_stamp: float, received: float) -> float:
    """What to add to stamps that are not of the LSL clock, judged by a segment's first sample; 0 where they are."""
    offset = received - first_stamp
    return offset if abs(offset) > FOREIGN_CLOCK_S else 0.0
