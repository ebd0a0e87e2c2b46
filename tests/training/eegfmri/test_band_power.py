"""Band power tells how strong each rhythm was in the last second, and nothing of what comes later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.eegfmri.band_power import HOP, RATE_HZ, WINDOW, log_band_power
from cortexcast_training.eegfmri.bands import BANDS


@given(st.sampled_from(list(BANDS)), st.floats(0.3, 0.7), st.floats(-7, -4), st.floats(0, 6.28))
def test_a_sine_shows_in_its_band_by_its_power(band: str, at: float, log_size: float, phase: float) -> None:
    low, high = BANDS[band]
    size, hz = 10**log_size, np.round(low + at * (high - low))
    if not low + 1 < hz < high - 1:
        hz = (low + high) / 2
    times = np.arange(4 * WINDOW) / RATE_HZ
    sine = (size * np.sqrt(2) * np.sin(2 * np.pi * hz * times + phase)).astype(np.float32)
    power = np.exp(log_band_power(sine[None])[8:, 0])
    number = list(BANDS).index(band)
    assert (power.argmax(axis=1) == number).all()
    np.testing.assert_allclose(power.sum(axis=1), size**2, rtol=0.1)


@given(st.integers(0, 99), st.integers(1, 400))
def test_it_is_causal_and_takes_whole_hops(seed: int, n: int) -> None:
    eeg = 1e-5 * np.random.default_rng(seed).standard_normal((3, 400)).astype(np.float32)
    whole, begun = log_band_power(eeg), log_band_power(eeg[:, :n])
    assert begun.shape == (n // HOP, 3, len(BANDS))
    np.testing.assert_allclose(begun, whole[: n // HOP], rtol=1e-5)


@given(st.floats(0.1, 10), st.integers(0, 99))
def test_twice_as_large_is_a_constant_more(factor: float, seed: int) -> None:
    eeg = 1e-5 * np.random.default_rng(seed).standard_normal((2, 300)).astype(np.float32)
    more = log_band_power(np.float32(factor) * eeg) - log_band_power(eeg)
    np.testing.assert_allclose(more[3:], 2 * np.log(factor), atol=0.01)


def test_silence_is_finite() -> None:
    assert np.isfinite(log_band_power(np.zeros((2, 200), np.float32))).all()


@pytest.mark.parametrize("n", [0, HOP - 1])
def test_less_than_a_hop_is_nothing(n: int) -> None:
    assert log_band_power(np.zeros((2, n), np.float32)).shape == (0, 2, len(BANDS))
