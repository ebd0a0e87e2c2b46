"""Runs as models see them: band power is causal, on time and of no reference; a simulated run is what was simulated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.eegfmri.audience import Audience
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.runs import HOP_S, RunError, electrode_power, hops_at
from cortexcast_training.eegfmri.simulated_runs import simulated_runs
from cortexcast_training.eegfmri.simulator import ELECTRODES

RATE_HZ = 250.0
NOWHERE = [None] * len(ELECTRODES)


def noise(seconds: float) -> np.ndarray:
    shape = len(ELECTRODES), round(seconds * RATE_HZ)
    return (10e-6 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def power_of(eeg: np.ndarray) -> np.ndarray:
    return electrode_power(eeg, RATE_HZ, ELECTRODES, NOWHERE, "a test")


def test_there_is_a_hop_for_each_quarter_of_a_second() -> None:
    power = power_of(noise(20.0))
    assert power.shape[1:] == (len(ELECTRODES), len(BANDS))
    assert 0 <= 20.0 / HOP_S - len(power) <= 1


def test_what_is_yet_to_come_changes_nothing() -> None:
    eeg, at_s = noise(20.0), 12.0
    other = eeg.copy()
    other[:, round(at_s * RATE_HZ) :] *= 3
    before = int(hops_at(np.array([at_s - 0.1]), 80)[0]) + 1
    assert np.array_equal(power_of(eeg)[:before], power_of(other)[:before])
    assert not np.allclose(power_of(eeg)[before + 2 :], power_of(other)[before + 2 :])


def test_a_rhythm_shows_in_its_band_while_it_lasts() -> None:
    eeg = noise(30.0)
    times = np.arange(eeg.shape[1]) / RATE_HZ
    during = (times >= 10) & (times < 20)
    eeg[4] += (50e-6 * np.sin(2 * np.pi * 11 * times) * during).astype(np.float32)
    change = power_of(eeg)[:, 4] - power_of(noise(30.0))[:, 4]
    band = list(BANDS).index("high alpha")
    inside, outside = hops_at(np.array([11.5, 19.9]), 120), hops_at(np.array([9.9, 21.5]), 120)
    assert change[inside[0] : inside[1], band].min() > 2
    assert np.abs(change[: outside[0]]).max() < 1e-3
    assert np.abs(change[outside[1] :]).max() < 0.05
    assert change[inside[0] : inside[1]].mean(axis=0).argmax() == band


def test_the_reference_does_not_matter() -> None:
    eeg = noise(10.0)
    np.testing.assert_allclose(power_of(eeg - eeg[3]), power_of(eeg), atol=2e-3)


@given(st.floats(0, 100), st.integers(1, 300))
def test_the_hop_at_a_time_is_the_last_that_has_ended(time_s: float, n_hops: int) -> None:
    (hop,) = hops_at(np.array([time_s]), n_hops)
    assert -1 <= hop < n_hops
    assert (hop + 1) * HOP_S <= time_s + 1e-5
    assert hop == n_hops - 1 or (hop + 2) * HOP_S > time_s


def test_electrodes_without_a_place_are_refused() -> None:
    with pytest.raises(RunError, match="a test: 0 of 61 EEG channels can be placed"):
        electrode_power(noise(2.0), RATE_HZ, [f"X{n}" for n in range(61)], NOWHERE, "a test")


def test_simulated_runs_are_of_their_subject_and_film() -> None:
    audience = Audience(film_s=30.0)
    first, second = simulated_runs(audience, 1, (1, 2))
    assert (first.subject, first.film, second.film) == ("sub-01", "film01", "film02")
    for run in (first, second):
        assert run.visible is not None
        assert run.stimulus is not None
        n_volumes = int(np.ceil(30 / 2.1))
        assert run.bold.shape == run.visible.shape == (300, n_volumes)
        assert run.hops.shape == (n_volumes,)
        assert run.hops[0] == round(audience.recording.lead_s / HOP_S) - 1
        assert run.hops[-1] < len(run.power)
        assert run.tr_s == pytest.approx(2.1, abs=0.02)
        assert len(run.stimulus.embedding) == n_volumes
        assert np.isfinite(run.power).all()
    # The film decides what is seen, and part of the BOLD.
    assert first.stimulus is not None
    assert second.stimulus is not None
    assert not np.allclose(first.stimulus.embedding, second.stimulus.embedding)
    (again,) = simulated_runs(audience, 1, (2,))
    assert np.array_equal(again.power, second.power)
    assert np.array_equal(again.bold, second.bold)
