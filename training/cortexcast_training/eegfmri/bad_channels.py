"""Find electrodes that do not record the brain: flat, noisy, or unlike every neighbour.

Source: the criteria of Bigdely-Shamlo et al., *Frontiers in Neuroinformatics* 9 (2015), above the frequencies of eyes
and pulse, which are no electrode's fault, and against neighbours instead of all others.
"""

from __future__ import annotations

import mne
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BAND_HZ = (8.0, 45.0)

_WINDOW_S = 1.0
_FLAT_V = 0.1e-6
"""RMS of a window, below any amplifier's noise."""
_LOUD = 5.0
"""Robust standard deviations of the logarithm of RMS over electrodes."""
_NEIGHBOURS = 8
_ALONE = 0.4
"""Correlation with the neighbour that an electrode is most like; of those in order it is above 0.8."""
_SELDOM = 0.25
"""Share of windows in which an electrode may be unlike its neighbours."""


def bad_channels(eeg: Floats, rate_hz: float, places: Floats) -> NDArray[np.bool_]:
    """Which electrodes are bad, ``(n_electrodes,)``.

    Args:
        eeg: ``(n_electrodes, n)`` in V, a second at least.
        rate_hz: of the samples.
        places: ``(n_electrodes, 3)`` in m.
    """
    filtered = mne.filter.filter_data(eeg, rate_hz, *BAND_HZ, verbose="error")
    length = round(_WINDOW_S * rate_hz)
    windows = filtered[:, : eeg.shape[1] // length * length].reshape(len(eeg), -1, length)
    size = np.median(windows.std(axis=2), axis=1)
    flat = size < _FLAT_V
    logarithm = np.log(np.maximum(size, _FLAT_V))
    away = logarithm - np.median(logarithm[~flat])
    loud = away > _LOUD * 1.4826 * np.median(np.abs(away[~flat]))
    return np.asarray(flat | loud | (np.mean(_likeness(windows, places) < _ALONE, axis=1) > _SELDOM), np.bool_)


def _likeness(windows: Floats, places: Floats) -> Floats:
    """The largest correlation with a neighbour, either sign, ``(n_electrodes, n_windows)``."""
    distance = np.linalg.norm(places[:, np.newaxis] - places, axis=2)
    neighbours = np.argsort(distance, axis=1)[:, 1 : _NEIGHBOURS + 1]
    scaled = windows - windows.mean(axis=2, keepdims=True)
    norm = np.linalg.norm(scaled, axis=2, keepdims=True)
    scaled = np.divide(scaled, norm, out=np.zeros_like(scaled), where=norm > 0)
    correlations = [np.einsum("wt,nwt->nw", one, scaled[near]) for one, near in zip(scaled, neighbours, strict=True)]
    return np.array([np.abs(each).max(axis=0) for each in correlations])
