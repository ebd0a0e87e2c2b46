"""A simultaneous recording of EEG and MEG, wherever it came from, and however long it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Place = tuple[float, float, float]


class RecordingError(Exception):
    """A recording cannot be used. The message says which, why, and what to do."""


class Signals(NamedTuple):
    """What was recorded, or a stretch of it, SI units.

    Attributes:
        eeg: ``(n_electrodes, n)`` in V, of the brain's electrodes alone.
        meg: ``(306, n)`` in T and T/m, in the order of ``leadfield.helmet()``.
        artifacts: ``(k, n)`` in V: EOG and ECG, as many as there are.
        true_meg: ``(306, n)``, of a simulation: noise-free and of the brain alone.
    """

    eeg: Singles
    meg: Singles
    artifacts: Singles
    true_meg: Singles | None = None

    def part(self, start: int, stop: int) -> Signals:
        """Samples ``start`` to ``stop``."""
        return Signals(*(None if each is None else each[:, start:stop] for each in self))  # type: ignore[arg-type]

    def stacked(self) -> Singles:
        """All of them, one below the other."""
        return np.concatenate([each for each in self if each is not None])


@dataclass(frozen=True)
class Recording:
    """EEG and MEG of one run.

    Attributes:
        name: for people: the file, or the simulated subject.
        subject, run: such as ``sub-03`` and ``run-01``.
        simulated: no brain was measured, as the file says.
        rate_hz: of all signals.
        n_samples: of each of them.
        signals: gives the samples from one number to another; of a file they are read only then. Raises
            ``RecordingError`` where the file is damaged.
        electrodes: names of the EEG's rows, and
        positions: where they were digitised, in metres, head frame; None where they were not.
        good_electrodes: bool ``(n_electrodes,)``, not marked as bad.
        good_sensors: bool ``(306,)``.
        dev_head_t: ``(4, 4)``, the helmet's pose in the head frame.
        events: int64 ``(n_events, 2)``: sample and code.
        good: bool ``(n_samples,)``: in no part that is marked as bad.
    """

    name: str
    subject: str
    run: str
    simulated: bool
    rate_hz: float
    n_samples: int
    signals: Callable[[int, int], Signals]
    electrodes: tuple[str, ...]
    positions: tuple[Place | None, ...]
    good_electrodes: NDArray[np.bool_]
    good_sensors: NDArray[np.bool_]
    dev_head_t: NDArray[np.float64]
    events: NDArray[np.int64]
    good: NDArray[np.bool_]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.n_samples / self.rate_hz

    def all_signals(self) -> Signals:
        """The whole of it: 1.5 kB a sample."""
        return self.signals(0, self.n_samples)
