"""From neural activity to BOLD: a hemodynamic response in each part of the brain, sooner here and later there.

The shape is SPM's canonical response, as nilearn has it, stretched in time so that its peak comes when it should.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.signal
from nilearn.glm.first_level import spm_hrf
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EARLIEST_S, LATEST_S = 4.0, 7.0
"""Between these the peak lies."""

_FINE_S = 0.01
_LENGTH_S = 32.0


@cache
def _canonical() -> tuple[Floats, float]:
    """The response every ``_FINE_S``, and when its peak is."""
    response = np.asarray(spm_hrf(_FINE_S, oversampling=1, time_length=_LENGTH_S), np.float64)
    return response, float(response.argmax()) * _FINE_S


def response(peak_s: float, rate_hz: float) -> Floats:
    """The response whose peak is so late, at this rate, its sum one.

    Raises:
        ValueError: the peak is not between ``EARLIEST_S`` and ``LATEST_S``.
    """
    if not EARLIEST_S <= peak_s <= LATEST_S:
        raise ValueError(f"a peak at {peak_s:g} s is not between {EARLIEST_S:g} and {LATEST_S:g} s")
    fine, canonical_peak_s = _canonical()
    stretch = peak_s / canonical_peak_s
    times = np.arange(0.0, _LENGTH_S * stretch, 1 / rate_hz)
    sampled = np.interp(times / stretch, np.arange(len(fine)) * _FINE_S, fine, right=0.0)
    return np.asarray(sampled / sampled.sum(), np.float64)


def bold(neural: Floats, peaks_s: Floats, rate_hz: float) -> Floats:
    """What neural activity makes in BOLD; nothing was active before it begins.

    Args:
        neural: ``(n_parcels, n)``.
        peaks_s: ``(n_parcels,)``, of the parcels' responses.
        rate_hz: of the samples, in and out.
    """
    return np.stack(
        [
            scipy.signal.fftconvolve(each, response(float(peak), rate_hz))[: len(each)]
            for each, peak in zip(neural, peaks_s, strict=True)
        ]
    )
