"""The head that ships is the one that the code draws, and of no subject that anything is trained or judged on."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_models.bundle import read_bundle
from cortexcast_models.simulation.head import FILE, SimulatedHead, pack_head, read_head
from cortexcast_training.datasets import benchmark_subjects, training_subjects, validation_subjects
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.sensor_noise import NoiseSettings, eeg_noise_density
from cortexcast_training.simulated_head import SEED, simulated_head
from cortexcast_training.sources import SourceSettings


@pytest.fixture(scope="module")
def shipped() -> SimulatedHead:
    return read_head()


def test_the_code_draws_it_again(shipped: SimulatedHead) -> None:
    drawn = simulated_head()
    assert drawn.record == shipped.record
    for name in ("eeg", "meg", "blink", "eeg_noise"):
        of_shipped, of_drawn = getattr(shipped, name), getattr(drawn, name)
        np.testing.assert_allclose(of_drawn, of_shipped, rtol=1e-4, atol=1e-5 * np.abs(of_shipped).max())


def test_it_is_of_no_subject() -> None:
    data = SimulatedData(train=100, validation=10)
    subjects = [*training_subjects(data), *validation_subjects(data), *benchmark_subjects(data, 100)]
    assert max(subject.seed for subject in subjects) < SEED


def test_it_is_small_and_the_same_head_gives_the_same_bytes(shipped: SimulatedHead) -> None:
    assert FILE.stat().st_size < 1_000_000
    assert pack_head(shipped) == pack_head(read_head())


def test_channels_are_those_of_the_shipped_bundle(shipped: SimulatedHead) -> None:
    manifest = read_bundle("meg-leadfield").manifest
    assert shipped.record.sensors == manifest.channels
    assert [each.name for each in shipped.record.electrodes] == [each.name for each in manifest.montage]


def test_patches_are_as_strong_as_set(shipped: SimulatedHead) -> None:
    """On this head and not on the template, so roughly."""
    networks = shipped.families[0].patches
    share = np.r_[np.full(networks.stop, 1 / SourceSettings().states), np.ones(shipped.eeg.shape[1] - networks.stop)]
    rms = np.sqrt(np.mean(shipped.eeg.astype(np.float64) ** 2 @ share))
    assert 5e-6 < rms < 20e-6
    np.testing.assert_allclose(shipped.eeg.mean(axis=0), 0, atol=1e-12)


def test_noise_has_the_covariance_that_is_stated(shipped: SimulatedHead) -> None:
    root = shipped.eeg_noise.astype(np.float64)
    stated = eeg_noise_density(NoiseSettings())
    np.testing.assert_allclose(root @ root.T, stated, atol=1e-5 * np.abs(stated).max())
