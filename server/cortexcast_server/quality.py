"""Signal quality: which channels are flat or not finite, and whether the amplitudes can be volts at all. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.preprocessing import Block
from cortexcast_server.signal import SignalError

FLAT_S = 1.0
"""A channel that does not move for so long is flat: a quantised, resting EEG moves much earlier."""

RECOVERY_S = 2.0
"""A channel is bad until it has been finite for so long: the filters need that to forget the step back to signal."""

PLAUSIBLE_V = (1e-8, 5e-3)
"""Filtered scalp EEG has a standard deviation of 1 to 100 µV; this leaves room for test signals and artefacts."""

_JUDGED_AFTER_S = 1.0

_SETTLED_S = 5.0
"""From nothing to an electrode's offset is a step of up to 0.3 V: a 0.3 Hz high-pass needs so long to 1 mV."""


class Quality:
    """Follow one stream's channels block by block.

    Args:
        rate_hz: the rate of the blocks' samples.
        unit: the stream's declared unit, for the error's text.
    """

    def __init__(self, n_channels: int, rate_hz: float, unit: str) -> None:
        self._rate_hz = rate_hz
        self._unit = unit
        self.bad = np.zeros(n_channels, np.bool_)
        """Bool ``(n_channels,)``: flat, or lately not finite. Another array where it changed, else the same one."""
        self._still_s = np.zeros(n_channels)
        self._finite_s = np.full(n_channels, np.inf)
        self._following = False
        """Some channel is still or recovers."""
        self._settling_s = 0.0
        self._energy = np.zeros(n_channels)
        self._moved_s = np.zeros(n_channels)
        self._judged = False

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Bool ``(n_channels,)``: constant for a second."""
        return self._still_s >= FLAT_S

    @property
    def not_finite(self) -> NDArray[np.bool_]:
        """Bool ``(n_channels,)``: NaN or infinite within the last two seconds."""
        return self._finite_s < RECOVERY_S

    def update(self, block: Block) -> None:
        """Take the next block; its data are in volts, filtered.

        Raises:
            SignalError: after a second of moving signal, if the amplitudes cannot be volts as declared.
        """
        duration_s = block.data.shape[1] / self._rate_hz
        if self._following or block.constant.any() or block.not_finite.any():
            self._follow(block, duration_s)
        if not self._judged:
            self._judge(block, duration_s)

    def _follow(self, block: Block, duration_s: float) -> None:
        self._still_s = np.where(block.constant, self._still_s + duration_s, 0.0)
        self._finite_s = np.where(block.not_finite, 0.0, self._finite_s + duration_s)
        not_finite = self.not_finite
        self._following = bool(block.constant.any() or not_finite.any())
        bad = self.flat | not_finite
        if not np.array_equal(bad, self.bad):
            self.bad = bad

    def _judge(self, block: Block, duration_s: float) -> None:
        if block.constant.all():
            # Nothing is sent yet: what comes begins with a step that the filters have to forget.
            self._settling_s = _SETTLED_S
            self._energy[:] = self._moved_s[:] = 0.0
            return
        self._settling_s -= duration_s
        if self._settling_s > 0:
            return
        moving = ~(block.constant | self.bad)
        self._energy += moving * duration_s * (block.data**2).mean(axis=1)
        self._moved_s += moving * duration_s
        if self._moved_s.max() < _JUDGED_AFTER_S:
            return
        self._judged = True
        moved = self._moved_s > 0
        typical = float(np.median(np.sqrt(self._energy[moved] / self._moved_s[moved])))
        low, high = PLAUSIBLE_V
        if not low <= typical <= high:
            raise SignalError(
                f"the EEG's typical amplitude would be {typical:.3g} V with the declared unit {self._unit!r}; scalp "
                "EEG has 1e-6 to 1e-4 V. Correct the unit in the stream's metadata, or set it here with --unit (for "
                f"example --unit {'microvolts' if typical > high else 'volts'})"
            )
