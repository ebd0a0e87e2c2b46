"""What sensors show without a head: their own noise, and the environment's field in the helmet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_models.simulation.spectrum import Spectrum
from cortexcast_training.leadfield import CAP, electrode_positions, external_fields, is_magnetometer

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

BAND_HZ = 45.0
"""The EEG's noise is stated below this frequency; its spectrum is flat up to half of the rate."""

_ORDERS = np.repeat([1.0, 0.25, 0.05], [3, 5, 7])
"""RMS of uniform fields, gradients and the next order: what is far away is smooth."""


class NoiseSettings(Strict):
    """Noise of the sensors."""

    eeg_v: NonNegativeFloat = 3.3e-6
    """RMS of an electrode's noise below 45 Hz. The brain's EEG is 10 µV: an amplitude ratio of 3."""
    eeg_common_share: float = Field(0.2, ge=0, le=1)
    """Of its variance, in three patterns that vary smoothly over the head, as cables and movement make."""
    magnetometer_t: NonNegativeFloat = 3e-15
    """Per √Hz."""
    gradiometer_t_per_m: NonNegativeFloat = 3e-13
    """Per √Hz."""
    environment_t: NonNegativeFloat = 2e-13
    """RMS over the magnetometers of what distant sources make in a shielded room."""
    environment: Spectrum = Spectrum(knee_hz=1.0, exponent=1.5)


def eeg_noise_density(settings: NoiseSettings) -> Floats:
    """The covariance of the EEG's noise per Hz, one-sided, flat: ``(70, 70)`` in V²/Hz, average referenced."""
    mixing = np.hstack([np.diag(_eeg_white(settings)), _eeg_common(settings)])
    mixing -= mixing.mean(axis=0)
    return np.asarray(mixing @ mixing.T / BAND_HZ, np.float64)


def meg_noise_density(settings: NoiseSettings, hz: Floats) -> Floats:
    """The covariance of the MEG's noise per Hz, one-sided, at these frequencies: ``(n, 306, 306)``."""
    environment = environment_fields(settings)
    density = settings.environment.density(hz)[:, np.newaxis, np.newaxis] * (environment @ environment.T)
    return np.asarray(density + np.diag(_meg_white(settings) ** 2), np.float64)


def environment_fields(settings: NoiseSettings) -> Floats:
    """What 15 independent sources of unit variance show, whose spectrum is ``settings.environment``: ``(306, 15)``."""
    weights = settings.environment_t * _ORDERS / np.linalg.norm(_ORDERS)
    return np.asarray(weights * external_fields(), np.float64)


def draw_eeg_noise(settings: NoiseSettings, n_samples: int, rate_hz: float, seed: int) -> Singles:
    """``(70, n_samples)`` in V, average referenced."""
    rng = stream(seed, "EEG noise")
    scale = np.sqrt(rate_hz / 2 / BAND_HZ)
    noise = rng.standard_normal((len(CAP), n_samples), np.float32)
    noise *= (scale * _eeg_white(settings)).astype(np.float32)[:, np.newaxis]
    common = (scale * _eeg_common(settings)).astype(np.float32)
    noise += common @ rng.standard_normal((common.shape[1], n_samples), np.float32)
    noise -= noise.mean(axis=0)
    return noise


def draw_meg_noise(settings: NoiseSettings, n_samples: int, rate_hz: float, seed: int) -> Singles:
    """``(306, n_samples)`` in T and T/m."""
    noise = stream(seed, "MEG noise").standard_normal((len(is_magnetometer()), n_samples), np.float32)
    noise *= (np.sqrt(rate_hz / 2) * _meg_white(settings)).astype(np.float32)[:, np.newaxis]
    fields = environment_fields(settings).astype(np.float32)
    noise += fields @ settings.environment.draw((fields.shape[1], n_samples), rate_hz, stream(seed, "environment"))
    return noise


def _eeg_white(settings: NoiseSettings) -> Floats:
    return np.full(len(CAP), settings.eeg_v * np.sqrt(1 - settings.eeg_common_share))


def _eeg_common(settings: NoiseSettings) -> Floats:
    """The smooth patterns, ``(70, 3)``: linear in each coordinate."""
    places = electrode_positions()
    patterns = np.array([places[name] for name in CAP])
    patterns -= patterns.mean(axis=0)
    patterns /= np.sqrt(np.mean(patterns**2, axis=0) * patterns.shape[1])
    return np.asarray(settings.eeg_v * np.sqrt(settings.eeg_common_share) * patterns, np.float64)


def _meg_white(settings: NoiseSettings) -> Floats:
    return np.where(is_magnetometer(), settings.magnetometer_t, settings.gradiometer_t_per_m)
