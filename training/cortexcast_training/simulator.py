"""Simultaneous EEG and MEG of a simulated subject, and the truth behind it.

A recording is brain + artefacts + sensor noise, by sample, in each modality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.activity import States, draw_spontaneous, draw_states
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.artefacts import ArtefactSettings, draw_artefacts
from cortexcast_training.experiment import Events, ExperimentSettings, draw_events, evoked_activity
from cortexcast_training.head import Head
from cortexcast_training.sensor_noise import NoiseSettings, draw_eeg_noise, draw_meg_noise
from cortexcast_training.sources import Sources, patch_fields

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

RATE_HZ = 1100.0

_VEOG_GAIN, _HEOG_GAIN, _EOG_NOISE_V = 2.0, 0.1, 5e-6
"""A blink in the two EOG channels in proportion to the forehead's, and what else they show."""

_ECG_V, _ECG_NOISE_V = 1e-3, 1e-5


class SimulationSettings(Strict):
    """What happens in a recording, apart from head and sources."""

    duration_s: float = Field(60.0, ge=2.0, le=900.0)
    """Longer ones would not fit into one .fif file; several runs do."""
    noise: NoiseSettings = NoiseSettings()
    artefacts: ArtefactSettings = ArtefactSettings()
    experiment: ExperimentSettings = ExperimentSettings()

    @property
    def n_samples(self) -> int:
        """Samples of a recording."""
        return round(self.duration_s * RATE_HZ)


@dataclass(frozen=True)
class Simulation:
    """A recording at ``RATE_HZ`` and its truth, float32.

    Attributes:
        eeg: ``(70, n)`` in V, average referenced, rows in the order of ``leadfield.CAP``.
        meg: ``(306, n)`` in T and T/m, rows in the order of ``leadfield.helmet()``.
        eog: ``(2, n)`` in V, horizontal and vertical.
        ecg: ``(1, n)`` in V.
        stim: ``(n,)``, what STI101 shows.
        events: the pictures shown.
        states: ``(n,)``, the state of the brain; int16.
        brain_eeg: ``(70, n)``, the part of ``eeg`` that comes from the brain.
        brain_meg: ``(306, n)``, likewise: what an estimate of MEG is judged against.
        artefact_eeg: ``(70, n)``, blinks, heart and mains.
        artefact_meg: ``(306, n)``. What remains is sensor noise.
    """

    eeg: Singles
    meg: Singles
    eog: Singles
    ecg: Singles
    stim: Singles
    events: Events
    states: States
    brain_eeg: Singles
    brain_meg: Singles
    artefact_eeg: Singles
    artefact_meg: Singles


def simulate(head: Head, sources: Sources, settings: SimulationSettings, seed: int) -> Simulation:
    """One recording. Ingredients have random numbers of their own: changing one leaves the others as they are.

    It needs about 6 kB of memory a sample: 400 MB a minute.
    """
    n = settings.n_samples
    states = draw_states(sources.settings, n, RATE_HZ, seed)
    events = draw_events(settings.experiment, n, RATE_HZ, seed)
    activity = draw_activity(sources, states, events, settings, seed)
    fields = patch_fields(head, sources)
    brain_eeg = fields.eeg.astype(np.float32) @ activity
    brain_meg = fields.meg.astype(np.float32) @ activity
    del activity

    artefacts = draw_artefacts(settings.artefacts, head, n, RATE_HZ, seed)
    artefact_eeg = artefacts.eeg @ artefacts.waveforms
    artefact_meg = artefacts.meg @ artefacts.waveforms
    eeg = draw_eeg_noise(settings.noise, n, RATE_HZ, seed)
    eeg += brain_eeg
    eeg += artefact_eeg
    meg = draw_meg_noise(settings.noise, n, RATE_HZ, seed)
    meg += brain_meg
    meg += artefact_meg

    blink, heart = artefacts.waveforms[:2]
    rng = stream(seed, "EOG and ECG")
    eog = _EOG_NOISE_V * rng.standard_normal((2, n), np.float32)
    eog += np.outer([_HEOG_GAIN, _VEOG_GAIN], settings.artefacts.blink_v * blink).astype(np.float32)
    ecg = _ECG_NOISE_V * rng.standard_normal((1, n), np.float32) + np.float32(_ECG_V) * heart
    return Simulation(
        eeg=eeg,
        meg=meg,
        eog=eog,
        ecg=ecg,
        stim=events.stim(n, RATE_HZ),
        events=events,
        states=states,
        brain_eeg=brain_eeg,
        brain_meg=brain_meg,
        artefact_eeg=artefact_eeg,
        artefact_meg=artefact_meg,
    )


def draw_activity(sources: Sources, states: States, events: Events, settings: SimulationSettings, seed: int) -> Singles:
    """What each patch does, ``(n_patches, n_samples)``: the truth at the level of the sources."""
    activity = draw_spontaneous(sources.families, sources.settings, states, RATE_HZ, seed)
    for family in sources.families:
        if family.spectrum is None:
            evoked = evoked_activity(settings.experiment, events, len(states), RATE_HZ, seed)
            activity[family.patches] = evoked
    return activity
