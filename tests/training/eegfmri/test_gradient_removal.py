"""Gradients go, and the EEG stays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_models.simulation.spectrum import Spectrum
from cortexcast_training.eegfmri.gradient_removal import NEIGHBOURS, remove_gradients
from cortexcast_training.eegfmri.scanner_artefacts import ScannerArtefactSettings, draw_gradients

RATE_HZ, TR, N_VOLUMES = 5000.0, 10_500, 60
BEGINS = 20_000 + TR * np.arange(N_VOLUMES)


def decibels(signal: np.ndarray, reference: np.ndarray) -> float:
    """Power from 1 to 40 Hz of the middle of a run, against another's."""
    band = scipy.signal.butter(4, [1, 40], "bandpass", fs=RATE_HZ, output="sos")
    middle = slice(BEGINS[10], BEGINS[-10])
    powers = [np.mean(scipy.signal.sosfiltfilt(band, each, axis=1)[:, middle] ** 2) for each in (signal, reference)]
    return float(10 * np.log10(powers[0] / powers[1]))


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    n = 40_000 + TR * N_VOLUMES
    slow = Spectrum(knee_hz=2.0, exponent=1.5).draw((3, n // 20), 250.0, np.random.default_rng(0))
    return (1e-5 * scipy.signal.resample_poly(slow, 20, 1, axis=1)).astype(np.float32)


@pytest.fixture(scope="module")
def gradients(brain: np.ndarray) -> np.ndarray:
    given_gradients = draw_gradients(ScannerArtefactSettings(), 3, N_VOLUMES, TR, RATE_HZ, 0, 0)
    voltage = np.zeros_like(brain)
    for number, begin in enumerate(BEGINS):
        voltage[:, begin : begin + TR] = given_gradients.of_volume(number)
    return voltage


def test_gradients_fall_by_thirty_decibels_and_the_brain_by_less_than_one(
    brain: np.ndarray, gradients: np.ndarray
) -> None:
    cleaned = remove_gradients(brain + gradients, BEGINS, TR)
    without = remove_gradients(brain, BEGINS, TR)
    # It is linear: what is left of the gradients is the difference.
    assert decibels(cleaned - without, gradients) < -30
    assert abs(decibels(without, brain)) < 1
    assert (
        np.corrcoef(without[:, BEGINS[10] : BEGINS[-10]].ravel(), brain[:, BEGINS[10] : BEGINS[-10]].ravel())[0, 1]
        > 0.97
    )


def test_outside_the_scan_nothing_changes(brain: np.ndarray, gradients: np.ndarray) -> None:
    recorded = brain + gradients
    cleaned = remove_gradients(recorded, BEGINS, TR)
    for outside in (slice(BEGINS[0]), slice(BEGINS[-1] + TR, None)):
        assert np.array_equal(cleaned[:, outside], recorded[:, outside])


@given(st.integers(1, 30), st.integers(0, 15), st.integers(0, 99))
def test_what_repeats_exactly_goes_altogether(n_volumes: int, neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    template = rng.standard_normal((2, 50)).astype(np.float32)
    template -= template.mean(axis=1, keepdims=True)
    begins = 7 + 53 * np.arange(n_volumes)
    eeg = np.zeros((2, 7 + 53 * n_volumes), np.float32)
    for begin in begins:
        eeg[:, begin : begin + 50] = template
    np.testing.assert_allclose(remove_gradients(eeg, begins, 50, neighbours), 0, atol=1e-5)


def test_an_electrodes_level_stays() -> None:
    level = np.repeat(np.arange(10.0), 50)[None].astype(np.float32)
    np.testing.assert_allclose(remove_gradients(level, 50 * np.arange(10), 50, NEIGHBOURS), level, atol=1e-6)


@pytest.mark.parametrize(
    ("begins", "message"),
    [
        ([0, 40], "overlap"),
        ([-1, 50], "from sample -1 to 100"),
        ([0, 60], "from sample 0 to 110, the EEG from 0 to 100"),
    ],
)
def test_volumes_that_cannot_be_are_an_error(begins: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        remove_gradients(np.zeros((1, 100), np.float32), np.array(begins), 50)
