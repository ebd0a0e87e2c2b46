"""Electrodes that do not record the brain are found, and others are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from scanned import Scanned

from cortexcast_training.eegfmri.bad_channels import bad_channels
from cortexcast_training.eegfmri.simulator import BRAIN_HZ, ELECTRODES
from cortexcast_training.leadfield import electrode_positions

PLACES = np.array([electrode_positions()[name] for name in ELECTRODES])
BAD = 13


def found(eeg: np.ndarray) -> list[int]:
    return np.flatnonzero(bad_channels(eeg, BRAIN_HZ, PLACES)).tolist()


@pytest.fixture(scope="module")
def eeg(scanned: Scanned) -> np.ndarray:
    """With blinks, heart and mains."""
    return scanned.simulation.brain.eeg[:, : round(30 * BRAIN_HZ)].astype(np.float64)


def test_electrodes_that_record_the_brain_are_good(eeg: np.ndarray) -> None:
    assert found(eeg) == []


def test_a_pulse_and_a_drift_make_no_electrode_bad(eeg: np.ndarray) -> None:
    times = np.arange(eeg.shape[1]) / BRAIN_HZ
    fields = np.random.default_rng(0).standard_normal((len(eeg), 2))
    assert found(eeg + 40e-6 * fields @ np.array([np.sin(2 * np.pi * 1.1 * times) ** 5, times / 10])) == []


@pytest.mark.parametrize("bad", ["flat", "constant", "loud", "alone", "another's noise now and then"])
def test_a_bad_electrode_is_found(eeg: np.ndarray, bad: str) -> None:
    rng, broken = np.random.default_rng(0), eeg.copy()
    white = rng.standard_normal(eeg.shape[1])
    if bad == "flat":
        broken[BAD] *= 1e-3
    elif bad == "constant":
        broken[BAD] = 1e-3
    elif bad == "loud":
        broken[BAD] *= 50
    elif bad == "alone":
        broken[BAD] = scipy.ndimage.gaussian_filter1d(3 * eeg[BAD].std() * white, 2.0)
    else:
        broken[BAD] += 50e-6 * white * (np.arange(eeg.shape[1]) % 2500 < 1000)
    assert found(broken) == [BAD]


def test_several_are_found_at_once(eeg: np.ndarray) -> None:
    broken = eeg.copy()
    broken[[0, 20, 21, 60]] = 20e-6 * np.random.default_rng(0).standard_normal((4, eeg.shape[1]))
    assert found(broken) == [0, 20, 21, 60]
