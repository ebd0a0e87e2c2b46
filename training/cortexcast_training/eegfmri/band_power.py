"""Log band power of EEG, causal: what the last second held at each hop.

One matrix takes a window to its Fourier coefficients and another sums their power over bands, so that training and the
exported graph compute the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS

Singles = NDArray[np.float32]

RATE_HZ = 100.0
WINDOW, HOP = 100, 25
"""Samples: a second, and a quarter of one."""

FLOOR_V2 = 1e-18
"""Added to each power: a nanovolt squared, far below any amplifier's noise."""


@dataclass(frozen=True)
class Matrices:
    """What band power is computed by.

    Attributes:
        fourier: ``(WINDOW, 2 * n_bins)``, Hann-tapered cosines, then sines; squares add up to power in V².
        bands: ``(n_bins, n_bands)``, which bins each band holds.
    """

    fourier: Singles
    bands: Singles


def matrices() -> Matrices:
    """These matrices."""
    hz = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)
    edges = np.array(list(BANDS.values()))
    bins = np.flatnonzero((hz >= edges.min()) & (hz < edges.max()))
    taper = np.hanning(WINDOW + 1)[:-1]
    taper *= np.sqrt(2 / (WINDOW * (taper**2).sum()))
    angle = 2 * np.pi * np.arange(WINDOW)[:, np.newaxis] * hz[bins] / RATE_HZ
    fourier = taper[:, np.newaxis] * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    inside = (hz[bins, np.newaxis] >= edges[:, 0]) & (hz[bins, np.newaxis] < edges[:, 1])
    return Matrices(fourier.astype(np.float32), inside.astype(np.float32))


def log_band_power(eeg: Singles) -> Singles:
    """Of each hop, ``(n_hops, n_channels, n_bands)``; what lies before the recording is zero.

    Args:
        eeg: ``(n_channels, n)`` in V at ``RATE_HZ``; what is left after the last whole hop is not looked at.
    """
    given = matrices()
    n_hops = eeg.shape[1] // HOP
    padded = np.pad(eeg[:, : n_hops * HOP], ((0, 0), (WINDOW, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, HOP::HOP]
    cosine, sine = np.split(windows.astype(np.float32) @ given.fourier, 2, axis=2)
    power = (cosine**2 + sine**2) @ given.bands
    return np.asarray(np.log(power + np.float32(FLOOR_V2)).swapaxes(0, 1), np.float32)
