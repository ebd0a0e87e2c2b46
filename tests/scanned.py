"""EEG that was recorded in a simulated scanner, and what only a simulation knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cortexcast_training.artefacts import ArtefactSettings
from cortexcast_training.eegfmri.anatomy import draw_anatomy
from cortexcast_training.eegfmri.film import FilmSettings, draw_film
from cortexcast_training.eegfmri.natview_eeg import EegRecording
from cortexcast_training.eegfmri.networks import NetworkSettings, draw_networks
from cortexcast_training.eegfmri.scan import ScanSettings
from cortexcast_training.eegfmri.simulated_runs import as_recording
from cortexcast_training.eegfmri.simulator import (
    RunSettings,
    Simulation,
    simulate,
    simulate_brain,
)
from cortexcast_training.head import template_head

FILM_S = 60.0
STILL = ArtefactSettings(blink_hz=0.0, heart_v=0.0, mains_v=0.0)
COARSE = ScanSettings(shape=(6, 6, 4), voxel_mm=(25.0, 25.0, 30.0))


@dataclass(frozen=True)
class Scanned:
    """A recording and what only a simulation knows.

    Attributes:
        settings: of the run.
        simulation: of it.
        recording: as it is read from files.
        n_volumes: of the scan.
        brain: ``(62, n)`` in V at 250 Hz, what the brain alone shows, average referenced, the reference last.
    """

    settings: RunSettings
    simulation: Simulation
    recording: EegRecording
    n_volumes: int
    brain: np.ndarray


def scan() -> Scanned:
    """A minute of it."""
    head, networks, settings = template_head(2), draw_networks(NetworkSettings()), RunSettings(scan=COARSE)
    film = draw_film(FilmSettings(), FILM_S, 0)
    simulation = simulate(networks, head, draw_anatomy(head.scale, 0), film, settings, subject_seed=0, seed=0)
    still = settings.model_copy(update={"body": STILL, "noise_v": 0.0})
    brain = np.pad(simulate_brain(networks, head, film, still, subject_seed=0, seed=0).eeg, ((0, 1), (0, 0)))
    recording = as_recording("a simulated run", simulation.eeg, simulation.markers)
    return Scanned(settings, simulation, recording, len(recording.volumes), brain - brain.mean(axis=0))
