"""EEG, markers and scan of one run belong together."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from cortexcast_training.artefacts import ArtefactSettings
from cortexcast_training.eegfmri.anatomy import draw_anatomy
from cortexcast_training.eegfmri.film import FilmSettings, draw_film
from cortexcast_training.eegfmri.gradient_removal import remove_gradients
from cortexcast_training.eegfmri.networks import NetworkSettings, draw_networks
from cortexcast_training.eegfmri.scanner_artefacts import ScannerArtefactSettings
from cortexcast_training.eegfmri.simulator import (
    BRAIN_HZ,
    ECG,
    ELECTRODES,
    EOG,
    RATE_HZ,
    RunSettings,
    Simulation,
    simulate,
)
from cortexcast_training.eegfmri.volume_markers import VOLUME, volume_begins
from cortexcast_training.head import template_head

FILM_S = 30.0
QUIET = ScannerArtefactSettings(pulse_v=0.0, drift=0.0)


def run(settings: RunSettings, seed: int = 0) -> Simulation:
    head = template_head(2)
    film = draw_film(FilmSettings(), FILM_S, 0)
    return simulate(draw_networks(NetworkSettings()), head, draw_anatomy(head.scale, 0), film, settings, 0, seed)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return run(RunSettings(scanner=QUIET, noise_v=0.0))


def begins(simulation: Simulation) -> np.ndarray:
    samples = np.array([marker.sample for marker in simulation.markers if marker.code == VOLUME])
    n_volumes = simulation.scan.volumes.shape[3]
    return volume_begins(samples, n_volumes, 2.1, RATE_HZ, simulation.eeg.shape[1])


def test_there_is_a_marker_for_each_volume_and_each_second(simulation: Simulation) -> None:
    assert len(begins(simulation)) == np.ceil(FILM_S / 2.1)
    assert begins(simulation)[0] == 6.5 * RATE_HZ
    codes = [marker.code for marker in simulation.markers if marker.kind == "Stimulus"]
    assert codes == ["S  1", *["S  5"] * 29, "S 99"]
    samples = [marker.sample for marker in simulation.markers]
    assert samples == sorted(samples)
    assert simulation.brain.parcels.signal.shape == (300, simulation.scan.volumes.shape[3])


def test_without_gradients_the_eeg_is_the_clean_one(simulation: Simulation) -> None:
    cleaned = remove_gradients(simulation.eeg, begins(simulation), 10_500)
    assert simulation.eeg.shape == (len(ELECTRODES) + len((ECG, *EOG)), 20 * simulation.brain.eeg.shape[1])
    # What resampling keeps: its filters fall below half of the lower rate.
    below = scipy.signal.butter(8, 50.0, fs=BRAIN_HZ, output="sos")
    resampled = scipy.signal.resample_poly(cleaned[: len(ELECTRODES)], 1, 20, axis=1)
    slower, clean = (scipy.signal.sosfiltfilt(below, each, axis=1) for each in (resampled, simulation.brain.eeg))
    outside = slice(round(0.2 * BRAIN_HZ), round(6 * BRAIN_HZ))
    np.testing.assert_allclose(slower[:, outside], clean[:, outside], atol=5e-7)
    inside = slice(round(8 * BRAIN_HZ), round(30 * BRAIN_HZ))
    assert np.corrcoef(slower[:, inside].ravel(), clean[:, inside].ravel())[0, 1] > 0.9


def test_gradients_are_there_while_the_scanner_runs(simulation: Simulation) -> None:
    runs = slice(begins(simulation)[0], begins(simulation)[-1] + 10_500)
    assert simulation.eeg[:, runs].std() > 1e-3
    assert simulation.eeg[:, : runs.start].std() < 2e-4
    assert simulation.eeg[:, runs.stop :].std() < 2e-4


def test_the_pulse_is_there_from_the_beginning_and_follows_the_ecg() -> None:
    """The field is always on."""
    body = ArtefactSettings(blink_hz=0.0, mains_v=0.0)
    with_pulse, without = (
        run(RunSettings(scanner=ScannerArtefactSettings(pulse_v=size, gradient_v=0.0), body=body)).eeg
        for size in (40e-6, 0.0)
    )
    pulse = np.sqrt(np.mean((with_pulse - without)[: len(ELECTRODES)] ** 2, axis=0))
    beats, _ = scipy.signal.find_peaks(without[len(ELECTRODES)], height=5e-4, distance=2000)
    beats = beats[beats + 2000 < len(pulse)]
    assert len(beats) > 30
    assert np.mean([pulse[beat + 900] for beat in beats]) > 5 * np.mean([pulse[beat] for beat in beats])


def test_every_seed_is_a_run_of_its_own_and_the_same_again() -> None:
    first, again, other = (run(RunSettings(), seed) for seed in (0, 0, 1))
    assert np.array_equal(first.eeg, again.eeg)
    assert np.array_equal(np.asarray(first.scan.volumes.dataobj), np.asarray(again.scan.volumes.dataobj))
    assert not np.allclose(first.brain.eeg, other.brain.eeg)
    assert not np.allclose(first.brain.parcels.signal, other.brain.parcels.signal)
