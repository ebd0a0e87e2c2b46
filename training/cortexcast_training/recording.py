"""A simultaneous recording of EEG and MEG in memory, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Place = tuple[float, float, float]


class RecordingError(Exception):
    """A recording cannot be used. The message says which, why, and what to do."""


@dataclass(frozen=True)
class Recording:
    """EEG and MEG of one run, SI units.

    Attributes:
        name: for people: the file, or the simulated subject.
        subject, run: such as ``sub-03`` and ``run-01``.
        rate_hz: of all signals.
        eeg: ``(n_electrodes, n)`` in V, of the brain's electrodes alone.
        electrodes: their names, and
        positions: where they were digitised, in metres, head frame; None where they were not.
        good_electrodes: bool ``(n_electrodes,)``, not marked as bad.
        meg: ``(306, n)`` in T and T/m, in the order of ``leadfield.helmet()``.
        good_sensors: bool ``(306,)``.
        dev_head_t: ``(4, 4)``, the helmet's pose in the head frame.
        artifacts: ``(k, n)`` in V: EOG and ECG, as many as there are.
        events: int64 ``(n_events, 2)``: sample and code.
        good: bool ``(n,)``: in no part that is marked as bad.
        true_meg: ``(306, n)``, of a simulation: noise-free and of the brain alone.
    """

    name: str
    subject: str
    run: str
    rate_hz: float
    eeg: Singles
    electrodes: tuple[str, ...]
    positions: tuple[Place | None, ...]
    good_electrodes: NDArray[np.bool_]
    meg: Singles
    good_sensors: NDArray[np.bool_]
    dev_head_t: NDArray[np.float64]
    artifacts: Singles
    events: NDArray[np.int64]
    good: NDArray[np.bool_]
    true_meg: Singles | None = None
