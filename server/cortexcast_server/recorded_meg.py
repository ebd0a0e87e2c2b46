"""The MEG that a replayed file holds, beside the estimate of it: in step, sample by sample, and compared. Pure.

A file's MEG takes the same way as the EEG up to the model: cut at the same gaps, the same causal preprocessing over the
same blocks. So each frame of the estimate has one of the recorded MEG, of the same samples, with the same sequence
number and time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.wire import NO_FLAGS, Flags, Frame
from cortexcast_models.manifest import Manifest
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_server.engine import MEG
from cortexcast_server.protocol import Agreement
from cortexcast_server.timebase import GapFinder

MEG_RECORDED = "meg_recorded"
"""The product's name."""

WINDOW_S = 20.0
"""How much an agreement is of."""

_SHARED_FLAGS = Flags.GAP | Flags.RESET | Flags.REPLAYED | Flags.RESTAMPED
_NOT_COMPARED = Flags.RESET | Flags.NO_SIGNAL

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class RecordedMeg:
    """Step the recorded MEG beside an engine that is stepped with the same chunks.

    Args:
        manifest: the bundle's.
        rate_hz: of the stream.
    """

    def __init__(self, manifest: Manifest, rate_hz: float) -> None:
        self._manifest = manifest
        self._rate_hz = rate_hz
        self._gaps = GapFinder(rate_hz)
        self._agreement = _RunningAgreement(manifest)
        self._begin()

    def push(self, stamps: Floats, meg: Singles | None, frames: Iterable[Frame]) -> list[Frame]:
        """Take the MEG of a chunk and give a frame of it for each estimate.

        What is not known is left out, with the rest of its segment, whose filters it would spoil: such frames are NaN
        and have the flag ``NO_SIGNAL``.

        Args:
            stamps: the chunk's, raw, ``(n_samples,)``.
            meg: T and T/m, in the order of the manifest's channels, ``(n_sensors, n_samples)``; NaN where not known,
                None where nothing is.
            frames: those that the engine gave for the chunk.
        """
        estimates = (frame for frame in frames if frame.product == MEG)
        if meg is None:
            meg = np.full((len(self._manifest.channels), len(stamps)), np.nan, np.float32)
        return list(self._frames(stamps, meg, estimates))

    def agreement(self) -> Agreement | None:
        """How far the estimates of late agree with the recorded MEG; None where there is nothing to compare."""
        return self._agreement.value()

    def _frames(self, stamps: Floats, meg: Singles, estimates: Iterator[Frame]) -> Iterator[Frame]:
        for run in self._gaps.split(stamps):
            if run.gap_s is not None:
                self._begin()
            for block in self._preprocessor.push(meg[:, run.start : run.stop]):
                self._known &= not block.not_finite.any()
                data = block.data if self._known else np.full_like(block.data, np.nan)
                self._waiting.append(data.astype(np.float32))
                if len(self._waiting) > self._manifest.lookahead // self._manifest.hop:
                    yield self._frame(self._waiting.popleft(), next(estimates))

    def _begin(self) -> None:
        """Begin a segment, as the engine does after a gap."""
        manifest = self._manifest
        self._preprocessor = Preprocessor(manifest.preprocessing, self._rate_hz, len(manifest.channels), manifest.hop)
        self._waiting: deque[Singles] = deque()
        self._known = True

    def _frame(self, data: Singles, estimate: Frame) -> Frame:
        known = bool(np.isfinite(data[0, 0]))
        self._agreement.add(data, estimate.data, counts=known and not estimate.flags & _NOT_COMPARED)
        flags = estimate.flags & _SHARED_FLAGS | (NO_FLAGS if known else Flags.NO_SIGNAL)
        return Frame(MEG_RECORDED, estimate.sequence, estimate.first_sample, estimate.t0, data, None, flags)


class _RunningAgreement:
    """Sums over the last frames, from which explained variance and correlations follow."""

    def __init__(self, manifest: Manifest) -> None:
        self._types = np.array([channel.type for channel in manifest.channels])
        self._hop = manifest.hop
        self._rate_hz = manifest.rate_hz
        n_frames = max(1, round(WINDOW_S * manifest.rate_hz / manifest.hop))
        # Sums of the recorded, the estimated, their squares and their product, of each sensor.
        self._sums = np.zeros((n_frames, 5, len(self._types)))
        self._counts = np.zeros(n_frames, bool)
        self._next = 0

    def add(self, recorded: Singles, estimated: Singles, *, counts: bool) -> None:
        """Take a frame of both; one that does not count only makes an older one leave."""
        self._counts[self._next] = counts
        if counts:
            x, y = recorded.astype(np.float64), estimated.astype(np.float64)
            self._sums[self._next] = [each.sum(axis=1) for each in (x, y, x * x, y * y, x * y)]
        self._next = (self._next + 1) % len(self._counts)

    def value(self) -> Agreement | None:
        if not self._counts.any():
            return None
        x, y, xx, yy, xy = self._sums[self._counts].sum(axis=0)
        n = int(self._counts.sum()) * self._hop
        scale = np.sqrt((xx - x * x / n).clip(0.0) * (yy - y * y / n).clip(0.0))
        r = np.divide(xy - x * y / n, scale, out=np.zeros(len(scale)), where=scale > 0)
        explained, median_r = {}, {}
        for kind in ("mag", "grad"):
            of_kind = self._types == kind
            power, error = xx[of_kind].sum(), (xx - 2 * xy + yy)[of_kind].sum()
            if power > 0:
                explained[kind] = float(1.0 - error / power)
                median_r[kind] = float(np.median(r[of_kind]))
        return Agreement(seconds=n / self._rate_hz, explained_variance=explained, median_r=median_r)
