"""Simultaneous EEG and fMRI of a simulated subject who watches a film, and the truth behind them.

The EEG runs before the scanner does and after it; the film begins with the first volume. The amplifier's clock is the
scanner's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.artefacts import Artefacts, ArtefactSettings, draw_artefacts
from cortexcast_training.eegfmri.anatomy import Anatomy
from cortexcast_training.eegfmri.brain_eeg import BrainEegSettings, draw_brain_eeg
from cortexcast_training.eegfmri.film import Film
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ, Activity, Networks, draw_activity
from cortexcast_training.eegfmri.parcel_bold import WARM_UP_S, BoldSettings, ParcelBold, draw_parcel_bold
from cortexcast_training.eegfmri.scan import Scan, ScanSettings, draw_scan
from cortexcast_training.eegfmri.scanner_artefacts import ScannerArtefactSettings, draw_gradients, draw_pulse
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.head import Head
from cortexcast_training.leadfield import CAP

Singles = NDArray[np.float32]

RATE_HZ = 5000.0
BRAIN_HZ = 250.0
"""At which the brain's EEG is drawn: it holds nothing above 45 Hz."""

ELECTRODES = (
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz", "Pz",
    "Oz", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "TP9", "TP10", "POz", "F1", "F2", "C1", "C2", "P1",
    "P2", "AF3", "AF4", "FC3", "FC4", "CP3", "CP4", "PO3", "PO4", "F5", "F6", "C5", "C6", "P5", "P6", "AF7", "AF8",
    "FT7", "FT8", "TP7", "TP8", "PO7", "PO8", "Fpz", "CPz",
)  # fmt: skip
"""Of the scanner's cap, in NATVIEW's order; ``REFERENCE`` is recorded against."""

REFERENCE = "FCz"
ECG, EOG = "ECG", ("EOGL", "EOGU")

_ECG_V = 1e-3
_EOG_SHARE = (-0.4, 0.8)
"""Of a blink at the forehead, below and above the eye."""

_STEP_S = 1 / ACTIVITY_HZ
_TASK_DELAY_S = 0.042
"""After the first volume begins, the computer that shows the film says so."""


class RunSettings(Strict):
    """What happens in a run, apart from head, networks and film."""

    lead_s: float = Field(6.5, ge=0, multiple_of=_STEP_S)
    """From the beginning of the EEG to the first volume."""
    tail_s: float = Field(2.0, ge=0, multiple_of=_STEP_S)
    """From the end of the last one to the end of the EEG."""
    noise_v: NonNegativeFloat = 1e-6
    """Of each electrode by itself, below 125 Hz."""
    brain: BrainEegSettings = BrainEegSettings()
    body: ArtefactSettings = ArtefactSettings(mains_hz=60.0)
    scanner: ScannerArtefactSettings = ScannerArtefactSettings()
    bold: BoldSettings = BoldSettings()
    scan: ScanSettings = ScanSettings()


@dataclass(frozen=True)
class Marker:
    """What a marker file says.

    Attributes:
        sample: of the EEG, from zero on.
        kind: ``Response`` of the scanner, ``Stimulus`` of the task.
        code: such as ``R128``.
    """

    sample: int
    kind: str
    code: str


@dataclass(frozen=True)
class BrainRun:
    """What brain and body do in a run, whatever the scanner does to it.

    Attributes:
        eeg: ``(61, n)`` in V at ``BRAIN_HZ``: ``ELECTRODES`` against ``REFERENCE``, as outside the scanner.
        body: eyes and heart in it.
        activity: of the networks, from before the EEG; time zero is when the first volume begins.
        parcels: their BOLD.
    """

    eeg: Singles
    body: Artefacts
    activity: Activity
    parcels: ParcelBold


@dataclass(frozen=True)
class Simulation:
    """A run and its truth.

    Attributes:
        eeg: ``(64, n)`` in V at ``RATE_HZ``: ``ELECTRODES`` against ``REFERENCE``, then ``ECG``, then ``EOG``.
        markers: of volumes and of the task, ascending.
        scan: of BOLD.
        brain: what is behind it.
    """

    eeg: Singles
    markers: tuple[Marker, ...]
    scan: Scan
    brain: BrainRun


def simulate_brain(
    networks: Networks, head: Head, film: Film, settings: RunSettings, subject_seed: int, seed: int
) -> BrainRun:
    """What brain and body do in one run.

    Args:
        networks: the population's.
        head: the subject's.
        film: what is shown.
        settings: what else happens.
        subject_seed: draws what is the subject's own in all runs.
        seed: of the run.
    """
    n_volumes = int(np.ceil(film.duration_s / settings.bold.tr_s))
    # Whole steps: the EEG ends a little after what is asked for.
    end_s = float(np.ceil((n_volumes * settings.bold.tr_s + settings.tail_s) / _STEP_S)) * _STEP_S
    activity = draw_activity(networks, film, -settings.lead_s - WARM_UP_S, end_s, seed)
    during = activity.since(-settings.lead_s)
    eeg = draw_brain_eeg(networks, head, during, settings.brain, BRAIN_HZ, subject_seed, seed)
    body = draw_artefacts(settings.body, head, eeg.shape[1], BRAIN_HZ, seed)
    eeg += body.eeg @ body.waveforms
    eeg += np.float32(settings.noise_v) * stream(seed, "amplifier").standard_normal(eeg.shape, np.float32)
    against = eeg - eeg[CAP.index(REFERENCE)]
    return BrainRun(
        eeg=against[[CAP.index(name) for name in ELECTRODES]],
        body=body,
        activity=activity,
        parcels=draw_parcel_bold(networks, activity, settings.bold, n_volumes, seed),
    )


def simulate(
    networks: Networks, head: Head, anatomy: Anatomy, film: Film, settings: RunSettings, subject_seed: int, seed: int
) -> Simulation:
    """One run in the scanner, BOLD and EEG.

    Args:
        networks: the population's.
        head: the subject's.
        anatomy: likewise.
        film: what is shown.
        settings: what else happens.
        subject_seed: draws what is the subject's own in all runs.
        seed: of the run.
    """
    brain = simulate_brain(networks, head, film, settings, subject_seed, seed)
    eeg, markers = scanned_eeg(brain, film, settings, subject_seed, seed)
    heartbeats = brain.body.heartbeats - settings.lead_s
    scan = draw_scan(settings.scan, anatomy, brain.parcels, settings.bold.tr_s, heartbeats, seed)
    return Simulation(eeg, markers, scan, brain)


def scanned_eeg(
    brain: BrainRun, film: Film, settings: RunSettings, subject_seed: int, seed: int
) -> tuple[Singles, tuple[Marker, ...]]:
    """What the amplifier in the scanner records of a run, as in ``Simulation``: at 5 kHz it takes memory."""
    body, tr_s, n_volumes = brain.body, settings.bold.tr_s, len(brain.parcels.times)
    blink, heart = body.waveforms[:2]
    others = np.stack([_ECG_V * heart, *(share * settings.body.blink_v * blink for share in _EOG_SHARE)])
    eeg = _faster(np.concatenate([brain.eeg, others.astype(np.float32)]))
    eeg += draw_pulse(settings.scanner, len(eeg), body.heartbeats, eeg.shape[1], RATE_HZ, subject_seed, seed)
    tr_samples = round(tr_s * RATE_HZ)
    begins = round(settings.lead_s * RATE_HZ) + tr_samples * np.arange(n_volumes)
    gradients = draw_gradients(settings.scanner, len(eeg), n_volumes, tr_samples, RATE_HZ, subject_seed, seed)
    for number, begin in enumerate(begins):
        eeg[:, begin : begin + tr_samples] += gradients.of_volume(number)
    return eeg, _markers(begins, film.duration_s)


def _faster(signals: Singles) -> Singles:
    """From ``BRAIN_HZ`` to ``RATE_HZ``."""
    return np.asarray(scipy.signal.resample_poly(signals, round(RATE_HZ / BRAIN_HZ), 1, axis=1), np.float32)


def _markers(begins: NDArray[np.int64], film_s: float) -> tuple[Marker, ...]:
    """One for each volume; of the task one at the beginning, one each second, one at the end."""
    task = int(begins[0]) + round(_TASK_DELAY_S * RATE_HZ)
    seconds = [Marker(task + round(second * RATE_HZ), "Stimulus", "S  5") for second in range(1, int(film_s))]
    ends = Marker(task, "Stimulus", "S  1"), Marker(task + round(film_s * RATE_HZ), "Stimulus", "S 99")
    volumes = [Marker(int(begin), "Response", VOLUME) for begin in begins]
    return tuple(sorted([*volumes, *seconds, *ends], key=lambda marker: marker.sample))
