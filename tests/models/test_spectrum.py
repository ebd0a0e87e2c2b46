"""What is drawn has the spectrum and the variance that it states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from cortexcast_models.simulation.spectrum import Rhythm, Spectrum

ALPHA = Spectrum(knee_hz=2.0, exponent=1.5, rhythms=(Rhythm(hz=10.0, width_hz=1.0, share=0.7),))
SPECTRA = st.builds(
    lambda knee, exponent, share: Spectrum(
        knee_hz=knee, exponent=exponent, rhythms=(Rhythm(hz=10.0, width_hz=1.0, share=share),)
    ),
    st.floats(0.5, 20),
    st.floats(1, 4),
    st.floats(0, 1),
)


@given(SPECTRA)
def test_the_density_adds_up_to_one(spectrum: Spectrum) -> None:
    hz = np.linspace(0, 550, 200_001)
    assert np.trapezoid(spectrum.density(hz), hz) == pytest.approx(1.0, abs=1e-3)
    assert spectrum.autocovariance(np.zeros(1))[0] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("n", [30_001, 44_000])
def test_drawn_signals_have_the_density_the_autocovariance_and_the_variance(n: int) -> None:
    x = ALPHA.draw((100, n), 1100.0, np.random.default_rng(0))
    assert x.dtype == np.float32
    assert x.shape == (100, n)
    assert x.var() == pytest.approx(1.0, rel=0.03)
    hz, found = signal.welch(x, 1100.0, nperseg=4400)
    expected = ALPHA.density(hz)
    inside = (hz >= 2) & (hz <= 100)
    np.testing.assert_allclose(found.mean(axis=0)[inside], expected[inside], rtol=0.15)
    for lag in (11, 55, 110):
        product = float((x[:, :-lag] * x[:, lag:]).mean())
        assert product == pytest.approx(ALPHA.autocovariance(np.array([lag / 1100.0]))[0], abs=0.03)


def test_signals_are_independent_and_follow_the_seed() -> None:
    x = ALPHA.draw((50, 22_000), 1100.0, np.random.default_rng(1))
    correlation = np.corrcoef(x)
    assert np.abs(correlation - np.eye(50)).max() < 0.3
    assert np.array_equal(x, ALPHA.draw((50, 22_000), 1100.0, np.random.default_rng(1)))
    assert not np.array_equal(x, ALPHA.draw((50, 22_000), 1100.0, np.random.default_rng(2)))
