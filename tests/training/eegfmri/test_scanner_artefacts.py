"""Gradients repeat from volume to volume but for the drift, and the pulse follows the heart."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.scanner_artefacts import ScannerArtefactSettings, draw_gradients, draw_pulse

RATE_HZ, TR = 5000.0, 10_500
SETTINGS = ScannerArtefactSettings()


def test_gradients_are_as_large_as_set_and_drift_as_far_as_set() -> None:
    given = draw_gradients(SETTINGS, 64, 100, TR, RATE_HZ, subject_seed=0, seed=0)
    volumes = np.array([given.of_volume(number) for number in range(0, 100, 5)])
    assert np.sqrt(np.mean(volumes**2)) == pytest.approx(1.5e-3, rel=0.05)
    away = volumes - volumes.mean(axis=0)
    assert np.sqrt(np.mean(away**2) / np.mean(volumes**2)) == pytest.approx(0.01, rel=0.3)


def test_without_drift_all_volumes_are_the_same() -> None:
    given = draw_gradients(SETTINGS.model_copy(update={"drift": 0.0}), 8, 4, TR, RATE_HZ, subject_seed=0, seed=0)
    assert all(np.array_equal(given.of_volume(number), given.of_volume(0)) for number in range(4))


def test_gradients_lie_at_harmonics_of_the_slices_below_the_amplifiers_edge() -> None:
    spectrum = np.abs(np.fft.rfft(draw_gradients(SETTINGS, 1, 1, TR, RATE_HZ, 0, 0).template, axis=1)) ** 2
    hz = np.fft.rfftfreq(TR, 1 / RATE_HZ)
    assert spectrum[:, hz > 400].sum() < 1e-3 * spectrum.sum()
    slice_hz = SETTINGS.slices * RATE_HZ / TR
    away = np.abs(hz / slice_hz - np.round(hz / slice_hz)) * slice_hz
    assert spectrum[:, away < 1].sum() > 0.95 * spectrum.sum()


def test_cables_are_the_subjects_and_movement_the_runs() -> None:
    runs = [
        draw_gradients(SETTINGS, 8, 20, TR, RATE_HZ, subject, run).weights for subject, run in ((0, 0), (0, 1), (1, 0))
    ]
    mean = [each.mean(axis=0) for each in runs]
    np.testing.assert_allclose(mean[0], mean[1], rtol=1e-9)
    assert not np.allclose(mean[0], mean[2])
    assert not np.allclose(runs[0], runs[1], rtol=1e-4)


def test_each_heartbeat_is_followed_by_a_pulse_of_its_own() -> None:
    peaks = np.arange(1.0, 59.0, 1.0)
    given = draw_pulse(SETTINGS, 32, peaks, 15_000, 250.0, subject_seed=0, seed=0)
    beats = np.array([given[:, round(250 * peak) : round(250 * (peak + 0.9))] for peak in peaks[:-1]])
    mean = beats.mean(axis=0)
    assert np.abs(mean).max() > 1e-5
    assert np.sqrt(np.mean(mean[:, :15] ** 2)) < 0.1 * np.sqrt(np.mean(mean**2))
    away = np.sqrt(np.mean((beats - mean) ** 2) / np.mean(mean**2))
    assert away == pytest.approx(0.2, abs=0.1)
