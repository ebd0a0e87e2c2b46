"""What a source gives: the signal contract and chunks of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class SignalError(Exception):
    """The signal cannot be used. The message says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a source. ``position`` is in head coordinates (x right, y front, z up), in any unit, or None."""

    name: str
    type: str = "eeg"
    unit: str = ""
    position: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """The contract of a stream: while it holds, chunks can follow one another."""

    name: str
    rate_hz: float
    channels: tuple[Channel, ...]
    replayed: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive samples of one stream.

    Attributes:
        data: float32 ``(n_channels, n_samples)`` in volts.
        times: float64 ``(n_samples,)``, the raw stamps in seconds, in the LSL clock of the source's machine.
        received: when the chunk arrived, in seconds of this machine's LSL clock.
        clock_offset: what to add to ``times`` to get this machine's LSL clock. It is kept apart because its updates
            are steps, which must not look like gaps.
    """

    data: NDArray[np.float32]
    times: NDArray[np.float64]
    received: float
    clock_offset: float = 0.0
