"""Simulated subjects on disk, in the layout of ds000117, with the truth beside them.

    OUT/dataset_description.json, participants.tsv, README
    OUT/sub-01/ses-meg/meg/sub-01_ses-meg_task-facerecognition_run-01_{meg.fif,meg.json,channels.tsv,events.tsv}
    OUT/sub-01/ses-meg/meg/sub-01_ses-meg_coordsystem.json
    OUT/derivatives/truth/sub-01/..._run-01_{brain.npy,states.tsv,truth.json}
    OUT/derivatives/truth/sub-01/sub-01_patches.npz

Format: the Brain Imaging Data Structure, MEG (Niso Galan et al., *Scientific Data* 5 (2018)).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io.constants import FIFF
from mne.transforms import apply_trans

from cortexcast_models.simulation import SIMULATED
from cortexcast_training.experiment import PULSE_S, condition
from cortexcast_training.head import Head
from cortexcast_training.leadfield import CAP, head_to_mri, helmet, is_magnetometer
from cortexcast_training.simulated_dataset import SimulatedDataset, write_json, write_table
from cortexcast_training.simulator import RATE_HZ, Simulation, SimulationSettings
from cortexcast_training.sources import Sources, patch_fields

TASK = "facerecognition"

EEG_NAMES = tuple(f"EEG{number:03d}" for number in range(1, 75))
"""The channels of the EEG amplifier. Four of them, as in ds000117, are no electrodes of the brain:"""

OTHER_NAMES = {"HEOG": "EEG061", "VEOG": "EEG062", "ECG": "EEG063", "MISC": "EEG064"}
BRAIN_NAMES = tuple(name for name in EEG_NAMES if name not in OTHER_NAMES.values())
"""The 70 electrodes, in the order of ``leadfield.CAP``."""

STIM_NAME = "STI101"

BYTES_PER_SAMPLE = 4 * (len(EEG_NAMES) + 306 + 1) + 4 * 306
"""Of a recording and its noise-free MEG on disk."""

_MEASURED = datetime(2000, 1, 1, tzinfo=UTC)
"""A recording must have a date; that of a simulation means nothing."""


def write_subject(
    dataset: SimulatedDataset,
    subject: str,
    head: Head,
    sources: Sources,
    settings: SimulationSettings,
    runs: Iterable[tuple[int, Simulation]],
) -> None:
    """Write a subject, as a whole or not at all.

    Args:
        dataset: to add to.
        subject: such as ``sub-01``.
        head: the subject's.
        sources: what is active in the brain.
        settings: of each run.
        runs: seed and recording of each; one is in memory at a time.
    """
    with dataset.new_subject(subject) as (raw, truth):
        recordings = raw / "ses-meg" / "meg"
        recordings.mkdir(parents=True)
        write_json(recordings / f"{subject}_ses-meg_coordsystem.json", _coordinate_system(head))
        fields = patch_fields(head, sources)
        np.savez(truth / f"{subject}_patches.npz", eeg=fields.eeg, meg=fields.meg)
        for number, (seed, simulation) in enumerate(runs, 1):
            run = f"{subject}_ses-meg_task-{TASK}_run-{number:02d}"
            write_run(recordings, run, head, simulation)
            np.save(truth / f"{run}_brain.npy", simulation.brain_meg)
            _write_states(truth / f"{run}_states.tsv", simulation)
            write_json(truth / f"{run}_truth.json", _truth(head, sources, settings, seed))


def write_run(folder: Path, run: str, head: Head, simulation: Simulation) -> Path:
    """Write one recording and its sidecars.

    Args:
        folder: exists.
        run: the files' name up to the suffix, such as ``sub-01_ses-meg_task-facerecognition_run-01``.
        head: who was recorded.
        simulation: what.

    Returns:
        The ``_meg.fif``.
    """
    path = folder / f"{run}_meg.fif"
    info = _info(head)
    rows = {name: simulation.eeg[row] for row, name in enumerate(BRAIN_NAMES)}
    rows |= dict(zip((OTHER_NAMES["HEOG"], OTHER_NAMES["VEOG"]), simulation.eog, strict=True))
    rows |= {OTHER_NAMES["ECG"]: simulation.ecg[0], STIM_NAME: simulation.stim}
    data = np.zeros((len(info["ch_names"]), simulation.eeg.shape[1]))
    data[: len(simulation.meg)] = simulation.meg
    for row, name in enumerate(info["ch_names"]):
        if name in rows:
            data[row] = rows[name]
    raw = mne.io.RawArray(data, info, copy=None, verbose="error")
    raw.set_meas_date(_MEASURED)
    raw.save(path, fmt="single", verbose="error")

    types = [_BIDS_TYPES.get(kind, kind.upper()) for kind in raw.get_channel_types()]
    for kind, name in OTHER_NAMES.items():
        types[info["ch_names"].index(name)] = kind
    sites = dict(zip(BRAIN_NAMES, CAP, strict=True))
    write_table(
        folder / f"{run}_channels.tsv",
        ["name", "type", "units", "status", "description"],
        [
            [name, kind, _UNITS.get(kind, "V"), "good", sites.get(name, "n/a")]
            for name, kind in zip(info["ch_names"], types, strict=True)
        ],
    )
    write_table(
        folder / f"{run}_events.tsv",
        ["onset", "duration", "sample", "stim_type", "trigger"],
        [
            [f"{sample / RATE_HZ:.6f}", f"{PULSE_S:g}", sample, condition(int(code)), code]
            for sample, code in zip(simulation.events.samples, simulation.events.codes, strict=True)
        ],
    )
    write_json(folder / f"{run}_meg.json", _sidecar(simulation))
    return path


_BIDS_TYPES = {"mag": "MEGMAG", "grad": "MEGGRADPLANAR", "stim": "TRIG"}
_UNITS = {"MEGMAG": "T", "MEGGRADPLANAR": "T/m", "TRIG": "n/a", "MISC": "n/a"}

README = """\
SIMULATED. EEG and MEG of brains that do not exist, in the layout of OpenNeuro's ds000117.
The truth behind each recording lies in derivatives/truth: the MEG that the brain alone makes (brain.npy, float32,
306 channels in the file's order, T and T/m), the states of the brain (states.tsv), what the head shows of each patch of
cortex (patches.npz), and all settings and seeds (truth.json).
"""


def _info(head: Head) -> Any:
    """306 MEG sensors, 74 EEG channels and STI101, with places and digitised points, as an ``mne.Info``."""
    sensors = helmet(head.dev_head_t)
    types = dict.fromkeys(EEG_NAMES, "eeg")
    types |= {OTHER_NAMES["HEOG"]: "eog", OTHER_NAMES["VEOG"]: "eog", OTHER_NAMES["ECG"]: "ecg"}
    types |= {OTHER_NAMES["MISC"]: "misc", STIM_NAME: "stim"}
    meg_types = ["mag" if mag else "grad" for mag in is_magnetometer()]
    info = mne.create_info([*sensors["ch_names"], *types], RATE_HZ, [*meg_types, *types.values()], verbose="error")
    for channel, sensor in zip(info["chs"], sensors["chs"], strict=False):
        for key in ("loc", "coil_type", "coord_frame", "unit"):
            channel[key] = sensor[key]
    nasion, lpa, rpa = apply_trans(np.linalg.inv(head_to_mri(head.model)["trans"]), head.model.fiducials)
    places = dict(zip(BRAIN_NAMES, head.electrodes, strict=True))
    info.set_montage(mne.channels.make_dig_montage(places, nasion, lpa, rpa, coord_frame="head"), on_missing="ignore")
    with info._unlock():  # MNE sets these only from files of a machine
        info["dev_head_t"] = sensors["dev_head_t"]
        info["line_freq"] = 50.0
    info["description"] = SIMULATED
    assert all(channel["coord_frame"] == FIFF.FIFFV_COORD_DEVICE for channel in info["chs"][: len(meg_types)])
    return info


def _sidecar(simulation: Simulation) -> dict[str, Any]:
    n_mags = int(is_magnetometer().sum())
    return {
        "TaskName": TASK,
        "Manufacturer": "simulated by cortexcast",
        "SamplingFrequency": RATE_HZ,
        "PowerLineFrequency": 50,
        "DewarPosition": "upright",
        "SoftwareFilters": "n/a",
        "DigitizedLandmarks": True,
        "DigitizedHeadPoints": False,
        "RecordingType": "continuous",
        "RecordingDuration": simulation.eeg.shape[1] / RATE_HZ,
        "MEGChannelCount": len(simulation.meg),
        "MEGMagnetometerCount": n_mags,
        "EEGChannelCount": len(BRAIN_NAMES),
        "EOGChannelCount": 2,
        "ECGChannelCount": 1,
        "MiscChannelCount": 1,
        "TriggerChannelCount": 1,
        "EEGPlacementScheme": "extended 10-20",
        "EEGReference": "average",
    }


def _coordinate_system(head: Head) -> dict[str, Any]:
    fiducials = apply_trans(np.linalg.inv(head_to_mri(head.model)["trans"]), head.model.fiducials)
    landmarks = {name: place.round(6).tolist() for name, place in zip(("NAS", "LPA", "RPA"), fiducials, strict=True)}
    return {
        "MEGCoordinateSystem": "ElektaNeuromag",
        "MEGCoordinateUnits": "m",
        "EEGCoordinateSystem": "ElektaNeuromag",
        "EEGCoordinateUnits": "m",
        "AnatomicalLandmarkCoordinates": landmarks,
        "AnatomicalLandmarkCoordinateSystem": "ElektaNeuromag",
        "AnatomicalLandmarkCoordinateUnits": "m",
    }


def _truth(head: Head, sources: Sources, settings: SimulationSettings, seed: int) -> dict[str, Any]:
    """Everything that draws the same again, and what was drawn of the head."""
    return {
        "simulated": True,
        "cortexcast": version("cortexcast"),
        "head_seed": head.seed,
        "recording_seed": seed,
        "head": head.settings.model_dump(mode="json"),
        "sources": sources.settings.model_dump(mode="json"),
        "recording": settings.model_dump(mode="json"),
        "drawn": {
            "scale": head.scale.tolist(),
            "skull_conductivity": head.model.conductivity[1],
            "dev_head_t": head.dev_head_t.tolist(),
            "helmet_pushed_m": head.pushed_m,
            "eeg_gain": head.eeg_gain.tolist(),
            "meg_gain": head.meg_gain.tolist(),
        },
    }


def _write_states(path: Path, simulation: Simulation) -> None:
    """Onset, duration and number of each state."""
    states = simulation.states
    starts = np.r_[0, np.flatnonzero(np.diff(states)) + 1]
    lengths = np.diff(np.r_[starts, len(states)])
    write_table(
        path,
        ["onset", "duration", "sample", "state"],
        [
            [f"{start / RATE_HZ:.6f}", f"{length / RATE_HZ:.6f}", start, states[start]]
            for start, length in zip(starts, lengths, strict=True)
        ],
    )
