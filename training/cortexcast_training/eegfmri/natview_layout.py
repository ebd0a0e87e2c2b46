"""Simulated subjects on disk, in the layout of NATVIEW, with the truth beside them.

    OUT/dataset_description.json, participants.tsv, README
    OUT/stimuli/film01.npz
    OUT/sub-01/ses-01/anat/sub-01_ses-01_T1w.{nii.gz,json}
    OUT/sub-01/ses-01/eeg/sub-01_ses-01_{electrodes.tsv,coordsystem.json}
    OUT/sub-01/ses-01/eeg/sub-01_ses-01_task-film01_run-01_{eeg.vhdr,eeg.vmrk,eeg.eeg,eeg.json,channels.tsv,events.tsv}
    OUT/sub-01/ses-01/func/sub-01_ses-01_task-film01_run-01_{bold.nii.gz,bold.json,events.tsv}
    OUT/derivatives/truth/sub-01/sub-01_ses-01_task-film01_run-01_{clean.npy,parcels.npz,motion.tsv,truth.json}

Formats: the Brain Imaging Data Structure, EEG (Pernet et al., *Scientific Data* 6 (2019)); BrainVision's core data
format 1.0. Of NATVIEW: Telesford et al., *Scientific Data* 10 (2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nibabel
import numpy as np
import pybv

from cortexcast_models.montage import standard_positions
from cortexcast_training.eegfmri.anatomy import Anatomy
from cortexcast_training.eegfmri.film import Film, FilmSettings, stimulus
from cortexcast_training.eegfmri.networks import Networks
from cortexcast_training.eegfmri.simulator import (
    BRAIN_HZ,
    ECG,
    ELECTRODES,
    EOG,
    RATE_HZ,
    REFERENCE,
    Marker,
    RunSettings,
    Simulation,
)
from cortexcast_training.eegfmri.stimulus import write_stimulus
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.head import Head
from cortexcast_training.simulated_dataset import SimulatedDataset, write_json, write_table

SESSION = "ses-01"
STIMULI = "stimuli"

_RESOLUTION_UV = 0.5
"""Of the amplifier for scanners, whose 16 bits must hold what gradients induce."""

_MAINS_HZ = 60

README = """\
SIMULATED. EEG and fMRI of brains that do not exist, watching films that do not exist, in the layout of NATVIEW.
stimuli/ holds what is seen in each film: a point in a visual semantic space for each volume, and its label.
The truth behind each run lies in derivatives/truth: the EEG without what the scanner does to it (clean.npy, float32, V,
at 250 Hz, electrodes in the file's order), the BOLD of 300 parcels and the part of it that electrodes can see
(parcels.npz), how the head moved (motion.tsv), and all settings and seeds (truth.json).
"""


@dataclass(frozen=True)
class FilmRun:
    """A subject's run.

    Attributes:
        film: its number, from one on.
        seed: of the run.
        simulation: what was recorded.
    """

    film: int
    seed: int
    simulation: Simulation


def film_name(number: int) -> str:
    """The task of a film, as file names have it."""
    return f"film{number:02d}"


def write_films(dataset: SimulatedDataset, films: Iterable[Film], settings: FilmSettings, tr_s: float) -> None:
    """Write what is seen in each film of these settings, numbered from one on, volume by volume."""
    (dataset.folder / STIMULI).mkdir()
    for number, film in enumerate(films, 1):
        write_stimulus(dataset.folder / STIMULI / f"{film_name(number)}.npz", stimulus(film, settings, tr_s))


def write_subject(
    dataset: SimulatedDataset,
    subject: str,
    head: Head,
    anatomy: Anatomy,
    networks: Networks,
    settings: RunSettings,
    runs: Iterable[FilmRun],
) -> None:
    """Write a subject, as a whole or not at all.

    Args:
        dataset: to add to.
        subject: such as ``sub-01``.
        head: the subject's.
        anatomy: likewise.
        networks: the population's.
        settings: of each run.
        runs: one is in memory at a time.
    """
    name = f"{subject}_{SESSION}"
    with dataset.new_subject(subject) as (raw, truth):
        for folder in ("anat", "eeg", "func"):
            (raw / SESSION / folder).mkdir(parents=True)
        nibabel.save(anatomy.t1, raw / SESSION / "anat" / f"{name}_T1w.nii.gz")
        write_json(raw / SESSION / "anat" / f"{name}_T1w.json", {"Manufacturer": _MANUFACTURER, "SkullStripped": True})
        _write_electrodes(raw / SESSION / "eeg", name)
        for run in runs:
            stem = f"{name}_task-{film_name(run.film)}_run-01"
            write_eeg(raw / SESSION / "eeg", stem, run.simulation)
            _write_bold(raw / SESSION / "func", stem, run.simulation, settings.bold.tr_s)
            _write_truth(truth, stem, head, networks, settings, run)


_MANUFACTURER = "simulated by cortexcast"


def write_eeg(folder: Path, stem: str, simulation: Simulation) -> Path:
    """Write the EEG of a run and its sidecars.

    Args:
        folder: exists.
        stem: the files' name up to the suffix, such as ``sub-01_ses-01_task-film01_run-01``.
        simulation: the run.

    Returns:
        The ``_eeg.vhdr``.
    """
    names = [*ELECTRODES, ECG, *EOG]
    pybv.write_brainvision(
        data=simulation.eeg,
        sfreq=RATE_HZ,
        ch_names=names,
        ref_ch_names=REFERENCE,
        fname_base=f"{stem}_eeg",
        folder_out=folder,
        events=[
            # The writer puts the letter before the number.
            {"onset": marker.sample, "type": marker.kind, "description": int(marker.code[1:])}
            for marker in simulation.markers
        ],
        resolution=_RESOLUTION_UV,
        fmt="binary_int16",
    )
    types = ["EEG"] * len(ELECTRODES) + ["ECG"] + ["EOG"] * len(EOG)
    write_table(
        folder / f"{stem}_channels.tsv",
        ["name", "type", "units", "sampling_frequency"],
        [[name, kind, "uV", f"{RATE_HZ:g}"] for name, kind in zip(names, types, strict=True)],
    )
    write_table(folder / f"{stem}_events.tsv", _EVENT_COLUMNS, _events(simulation.markers))
    write_json(
        folder / f"{stem}_eeg.json",
        {
            "TaskName": _task(stem),
            "Manufacturer": _MANUFACTURER,
            "EEGChannelCount": len(ELECTRODES),
            "ECGChannelCount": 1,
            "EOGChannelCount": len(EOG),
            "EEGReference": REFERENCE,
            "PowerLineFrequency": _MAINS_HZ,
            "SamplingFrequency": RATE_HZ,
            "SoftwareFilters": "n/a",
            "RecordingDuration": simulation.eeg.shape[1] / RATE_HZ,
        },
    )
    return folder / f"{stem}_eeg.vhdr"


_EVENT_COLUMNS = ("onset", "duration", "sample", "type", "marker_code")


def _events(markers: tuple[Marker, ...]) -> list[list[object]]:
    """Onsets count from the task's beginning, samples from one on: as NATVIEW has them."""
    begins = next(marker.sample for marker in markers if marker.code != VOLUME)
    return [
        [
            f"{max(0, marker.sample - begins) / RATE_HZ:g}",
            f"{1 / RATE_HZ:g}",
            marker.sample + 1,
            marker.kind,
            " ".join(marker.code.split()),
        ]
        for marker in markers
    ]


def _task(stem: str) -> str:
    entities = dict(entity.split("-", 1) for entity in stem.split("_"))
    return entities["task"]


def _write_electrodes(folder: Path, name: str) -> None:
    """The cap's, on a sphere of radius one, as in NATVIEW: nobody digitised where they are on the subject."""
    places = np.array([standard_positions()[electrode.upper()] for electrode in ELECTRODES])
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    write_table(
        folder / f"{name}_electrodes.tsv",
        ["name", "x", "y", "z", "type"],
        [
            [electrode, f"{y:.6f}", f"{-x:.6f}", f"{z:.6f}", "EEG"]
            for electrode, (x, y, z) in zip(ELECTRODES, places, strict=True)
        ],
    )
    write_json(
        folder / f"{name}_coordsystem.json",
        {
            "EEGCoordinateSystem": "Other",
            "EEGCoordinateUnits": "n/a",
            "EEGCoordinateSystemDescription": "of the cap; seen from between the ears: x to the front, y to the left",
        },
    )


def _write_bold(folder: Path, stem: str, simulation: Simulation, tr_s: float) -> None:
    nibabel.save(simulation.scan.volumes, folder / f"{stem}_bold.nii.gz")
    write_json(
        folder / f"{stem}_bold.json",
        {
            "TaskName": _task(stem),
            "Manufacturer": _MANUFACTURER,
            "RepetitionTime": tr_s,
            "SliceTiming": simulation.scan.slice_times.round(6).tolist(),
        },
    )
    write_table(folder / f"{stem}_events.tsv", ["onset", "duration", "trial_type"], [[0, "n/a", "run_start"]])


def _write_truth(folder: Path, stem: str, head: Head, networks: Networks, settings: RunSettings, run: FilmRun) -> None:
    """Everything that draws the same again, and what was drawn."""
    simulation = run.simulation
    np.save(folder / f"{stem}_clean.npy", simulation.brain.eeg)
    parcels, activity = simulation.brain.parcels, simulation.brain.activity
    np.savez(
        folder / f"{stem}_parcels.npz",
        times=parcels.times,
        signal=parcels.signal,
        neural=parcels.neural,
        visible=parcels.visible,
        activity_times=activity.times,
        activity=activity.values,
        networks=np.array(networks.names),
    )
    write_table(
        folder / f"{stem}_motion.tsv",
        ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"],
        [[f"{each:.6f}" for each in row] for row in simulation.scan.motion],
    )
    write_json(
        folder / f"{stem}_truth.json",
        {
            "simulated": True,
            "cortexcast": version("cortexcast"),
            "head_seed": head.seed,
            "recording_seed": run.seed,
            "clean_rate_hz": BRAIN_HZ,
            "head": head.settings.model_dump(mode="json"),
            "networks": networks.settings.model_dump(mode="json"),
            "recording": settings.model_dump(mode="json"),
        },
    )
