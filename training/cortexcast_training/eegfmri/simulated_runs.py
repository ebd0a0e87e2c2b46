"""Simulated runs as models see them: with the EEG as outside the scanner, or as cleaning leaves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cortexcast_training.eegfmri.audience import Audience, subject_name
from cortexcast_training.eegfmri.eeg_cleaning import clean_eeg
from cortexcast_training.eegfmri.film import stimulus
from cortexcast_training.eegfmri.natview_eeg import EegRecording
from cortexcast_training.eegfmri.natview_layout import film_name
from cortexcast_training.eegfmri.networks import draw_networks
from cortexcast_training.eegfmri.runs import Run, electrode_power, hops_at
from cortexcast_training.eegfmri.simulator import (
    BRAIN_HZ,
    ECG,
    ELECTRODES,
    EOG,
    RATE_HZ,
    REFERENCE,
    BrainRun,
    Marker,
    scanned_eeg,
    simulate_brain,
)
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.head import draw_head
from cortexcast_training.leadfield import electrode_positions

Singles = NDArray[np.float32]


def simulated_runs(
    audience: Audience, subject: int, films: Sequence[int], *, in_scanner: bool = False
) -> Iterator[Run]:
    """Runs of one subject, one film each.

    Args:
        audience: that the subject is of.
        subject: number of.
        films: that the subject watches.
        in_scanner: whether gradients and pulse are in the EEG, and cleaned away again. It takes minutes.
    """
    seed = audience.subject_seed(subject)
    settings, networks = audience.recording, draw_networks(audience.networks)
    with threadpool_limits(1):  # as in leadfield
        head = draw_head(audience.head, seed)
        for number in films:
            film, run_seed = audience.film(number), audience.run_seed(subject, number)
            brain = simulate_brain(networks, head, film, settings, seed, run_seed)
            names = subject_name(subject), film_name(number)
            if in_scanner:
                eeg, markers = scanned_eeg(brain, film, settings, seed, run_seed)
                power = _cleaned_power(as_recording(", ".join(names), eeg, markers), brain, settings.bold.tr_s)
            else:
                power = electrode_power(brain.eeg, BRAIN_HZ, ELECTRODES, [None] * len(ELECTRODES), ", ".join(names))
            yield Run(
                *names,
                power=power,
                bold=brain.parcels.signal.astype(np.float32),
                hops=hops_at(settings.lead_s + brain.parcels.times, len(power)),
                stimulus=stimulus(film, audience.networks.film, settings.bold.tr_s),
                visible=brain.parcels.visible.astype(np.float32),
                simulated=True,
            )


def as_recording(name: str, eeg: Singles, markers: Sequence[Marker]) -> EegRecording:
    """Simulated EEG of the scanner as it is read from files.

    Args:
        name: for people.
        eeg: ``(64, n)`` in V, and
        markers: as ``scanned_eeg`` gives them.
    """
    places = electrode_positions()
    return EegRecording(
        name=name,
        eeg=eeg,
        rate_hz=RATE_HZ,
        names=(*ELECTRODES, ECG, *EOG),
        types=(*["eeg"] * len(ELECTRODES), "ecg", *["eog"] * len(EOG)),
        volumes=np.array([marker.sample for marker in markers if marker.code == VOLUME]),
        events=tuple(marker for marker in markers if marker.code != VOLUME),
        places={name: places[name] for name in (*ELECTRODES, REFERENCE)},
        reference=REFERENCE,
    )


def _cleaned_power(recording: EegRecording, brain: BrainRun, tr_s: float) -> Singles:
    return clean_eeg(recording, len(brain.parcels.times), tr_s).power(recording.name)
