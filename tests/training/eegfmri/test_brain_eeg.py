"""The power of a network's rhythms follows its activity; deep networks do not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.brain_eeg import BrainEegSettings, draw_brain_eeg
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ, Activity, Networks, NetworkSettings, draw_networks
from cortexcast_training.head import template_head

RATE_HZ = 125.0
ALONE = BrainEegSettings(background_share=0.0, strength_log_sd=0.0)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return draw_networks(NetworkSettings())


def eeg(networks: Networks, activity: np.ndarray, settings: BrainEegSettings = ALONE, seed: int = 0) -> np.ndarray:
    given = Activity(np.arange(activity.shape[1]) / ACTIVITY_HZ, activity)
    return draw_brain_eeg(networks, template_head(2), given, settings, RATE_HZ, subject_seed=0, seed=seed)


def test_it_is_as_large_as_set_and_average_referenced(networks: Networks) -> None:
    given = eeg(networks, np.zeros((len(networks.names), 240)), BrainEegSettings(rms_v=7e-6))
    assert given.shape == (70, 60 * RATE_HZ)
    assert given.std() == pytest.approx(7e-6, rel=1e-3)
    assert np.abs(given.mean(axis=0)).max() < 1e-4 * given.std()


@pytest.mark.parametrize("band", ["theta", "high alpha", "high beta"])
def test_power_changes_with_activity_by_its_coupling(networks: Networks, band: str) -> None:
    """Where one network alone makes rhythms in one band alone, and is active in the second half."""
    number = list(BANDS).index(band)
    for network in np.flatnonzero(~networks.is_deep)[::4]:
        amplitude = np.zeros_like(networks.amplitude)
        amplitude[network, number] = 1.0
        activity = np.zeros((len(networks.names), 960))
        activity[network, 480:] = 1.0
        given = eeg(replace(networks, amplitude=amplitude), activity).astype(np.float64)
        half = given.shape[1] // 2
        change = np.log(np.square(given[:, half:]).sum() / np.square(given[:, :half]).sum())
        assert change == pytest.approx(networks.coupling[network, number], abs=0.15)
        hz = np.fft.rfftfreq(given.shape[1], 1 / RATE_HZ)
        power = np.square(np.abs(np.fft.rfft(given, axis=1))).sum(axis=0)
        low, high = BANDS[band]
        assert power[(hz > low - 1) & (hz < high + 1)].sum() > 0.99 * power.sum()


def test_what_lies_deep_does_not_show(networks: Networks) -> None:
    activity = np.random.default_rng(0).standard_normal((len(networks.names), 240))
    changed = activity.copy()
    changed[networks.is_deep] += 3.0
    assert np.array_equal(eeg(networks, activity), eeg(networks, changed))
    changed[~networks.is_deep] += 3.0
    assert not np.allclose(eeg(networks, activity), eeg(networks, changed))


def test_the_background_is_as_large_as_set(networks: Networks) -> None:
    activity = np.zeros((len(networks.names), round(60 * ACTIVITY_HZ)))
    alone = eeg(networks, activity)
    both = eeg(networks, activity, ALONE.model_copy(update={"background_share": 2.0}))
    share = np.vdot(both, alone) / np.vdot(alone, alone)
    assert share == pytest.approx(1 / np.sqrt(3), rel=0.05)
