"""Stationary Gaussian signals with a known power spectrum."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat

from cortexcast_models.manifest import Strict

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_GRID_HZ = np.linspace(0.0, 550.0, 55_001)
"""Where the density is integrated: up to half of 1100 Hz, finer than any rhythm is wide."""


class Rhythm(Strict):
    """A peak of the spectrum, a Gaussian over frequency."""

    hz: PositiveFloat
    width_hz: PositiveFloat
    share: NonNegativeFloat
    """Of the signal's variance."""


class Spectrum(Strict):
    """Power that is flat up to a knee and falls with a power of frequency beyond, and rhythms.

    The parameters are those of Donoghue et al., *Nature Neuroscience* 23 (2020). The variance is one.
    """

    knee_hz: PositiveFloat
    exponent: PositiveFloat
    rhythms: tuple[Rhythm, ...] = Field((), strict=False)

    def density(self, hz: Floats) -> Floats:
        """One-sided power per Hz at these frequencies, for unit variance between 0 and 550 Hz."""
        aperiodic_share = 1.0 - sum(rhythm.share for rhythm in self.rhythms)
        density = aperiodic_share / self._aperiodic_area * self._aperiodic(hz)
        for rhythm in self.rhythms:
            z = (hz - rhythm.hz) / rhythm.width_hz
            density += rhythm.share / (rhythm.width_hz * np.sqrt(2 * np.pi)) * np.exp(-0.5 * z**2)
        return density

    def autocovariance(self, lags_s: Floats) -> Floats:
        """At these lags; one at lag zero."""
        density = self.density(_GRID_HZ)
        step = _GRID_HZ[1]
        return np.array([(density * np.cos(2 * np.pi * _GRID_HZ * lag)).sum() * step for lag in lags_s])

    def draw(self, shape: tuple[int, int], rate_hz: float, rng: np.random.Generator) -> Singles:
        """Independent signals ``(n_signals, n_samples)``, unit variance, mean zero.

        Drawn in the frequency domain, so a signal's end fits its beginning.
        """
        n_signals, n_samples = shape
        n = int(scipy.fft.next_fast_len(n_samples, real=True))
        hz = np.asarray(np.fft.rfftfreq(n, 1 / rate_hz), np.float64)
        # A one-sided density S gives bin k the power S·Δf, in two conjugate halves; irfft divides by n.
        amplitude = np.sqrt(self.density(hz) * rate_hz * n / 4).astype(np.float32)
        amplitude[0] = 0.0
        if n % 2 == 0:
            amplitude[-1] = 0.0
        white = rng.standard_normal((n_signals, len(hz), 2), np.float32).view(np.complex64)[..., 0]
        white *= amplitude
        return np.ascontiguousarray(scipy.fft.irfft(white, n, axis=1)[:, :n_samples])

    @cached_property
    def _aperiodic_area(self) -> float:
        return float(np.trapezoid(self._aperiodic(_GRID_HZ), _GRID_HZ))

    def _aperiodic(self, hz: Floats) -> Floats:
        return np.asarray(1.0 / (self.knee_hz**self.exponent + hz**self.exponent), np.float64)
