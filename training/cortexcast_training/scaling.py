"""What linear analysis of the training data gives: units of order one, the Wiener filter, principal fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.wiener import LaggedCovariances, Taps
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]

_SMALLEST = 1e-3
"""Variance of a component, in proportion to that of an electrode, below which it is not scaled to one."""

_STRETCH = 20_000
"""Samples that are read at once."""


@dataclass(frozen=True)
class Units:
    """What one is, inside the models.

    Attributes:
        eeg: volts: the RMS of the training data's EEG.
        meg: ``(n_sensors,)`` in T and T/m: the RMS over all sensors of the same type.
    """

    eeg: float
    meg: Floats


def units(recordings: Iterable[Prepared], is_mag: NDArray[np.bool_]) -> Units:
    """The units of these recordings.

    Args:
        recordings: of training subjects.
        is_mag: ``(n_sensors,)``, as ``leadfield.is_magnetometer``: each type of sensors has its own unit.
    """
    eeg_power, meg_power, n = 0.0, np.zeros(len(is_mag)), 0
    for recording in recordings:
        for part in _parts(recording):
            eeg_power += float(np.square(recording.eeg[part], dtype=np.float64).mean(axis=1).sum())
            meg_power += np.square(recording.meg[part], dtype=np.float64).sum(axis=0)
            n += part.stop - part.start
    meg = np.empty(len(is_mag))
    for kind in np.unique(is_mag):
        meg[is_mag == kind] = np.sqrt(meg_power[is_mag == kind].mean() / n)
    return Units(float(np.sqrt(eeg_power / n)), meg)


def covariances(
    recordings: Iterable[Prepared], scale: Units, taps: Taps, *, true_meg: bool = False
) -> LaggedCovariances:
    """Lagged covariances of recordings, in these units.

    Args:
        recordings: whose.
        scale: the units.
        taps: the longest filter that they shall give.
        true_meg: of the noise-free MEG, in place of the recorded one.
    """
    total: LaggedCovariances | None = None
    for recording in recordings:
        meg = recording.true_meg if true_meg else recording.meg
        assert meg is not None
        total = total or LaggedCovariances(recording.eeg.shape[1], meg.shape[1], taps)
        for part in _parts(recording):
            total.add(
                np.asarray(recording.eeg[part] / scale.eeg, np.float32),
                np.asarray(meg[part] / scale.meg, np.float32),
            )
    assert total is not None, "no recordings"
    return total


def whitener(covariance: Floats, n: int) -> Floats:
    """Rows ``(n, n_channels)`` that give the principal components, largest first, each of about unit variance.

    Small ones stay smaller: where electrodes were interpolated they hold next to nothing.
    """
    values, vectors = np.linalg.eigh(covariance)
    weights = vectors / np.sqrt(np.maximum(values, 0.0) + _SMALLEST * values.mean())
    return np.ascontiguousarray(weights[:, ::-1][:, :n].T, np.float64)


def _parts(recording: Prepared) -> Iterable[slice]:
    for stretch in recording.stretches():
        for begin in range(stretch.start, stretch.stop, _STRETCH):
            yield slice(begin, min(begin + _STRETCH, stretch.stop))
