"""A BIDS data set of EEG and MEG, prepared: one folder a recording, each with what it was made of and how.

    OUT/dataset_description.json, prepare.json
    OUT/sub-01_run-01/{eeg,meg,good,events,noise}.npy, recording.json, provenance.json

Several are prepared at a time, and what is there is not prepared again unless its files have changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cortexcast_training.bids_files import MegFile, sidecar
from cortexcast_training.empty_room import noise_covariance
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.provenance import is_of, provenance
from cortexcast_training.recipe import DataError, RecordedData
from cortexcast_training.recording import RecordingError
from cortexcast_training.recording_file import read_recording
from cortexcast_training.simulated_dataset import DESCRIPTION, description, write_json
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.windows import read_prepared, recording_folders, write_prepared
from cortexcast_training.workers import Workers, in_parallel

COMMAND = "cortexcast data prepare"

_SETTINGS = "prepare.json"
PROVENANCE = "provenance.json"
"""Beside each recording."""

Floats = NDArray[np.float64]


def prepare_dataset(
    files: Sequence[MegFile],
    settings: PrepareSettings,
    out: Path,
    workers: Workers,
    say: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> dict[str, str]:
    """Prepare those recordings that are not yet. What is wrong with one keeps no other from it.

    Args:
        files: all that are wanted.
        settings: how.
        out: where to; it is made.
        workers: who does it.
        say: hears what is done, how much of it, and of how much.

    Returns:
        Why a recording could not be used, by its name.

    Raises:
        DataError: what is there was prepared with other settings, or is something else.
        WindowError: a recording cannot be written.
        WorkerError: see there.
    """
    out = out.absolute()  # a cluster's workers are elsewhere
    _claim(out, settings)
    missing = [file for file in files if not _is_there(file, out)]
    failed: dict[str, str] = {}
    noise: dict[Path, Floats] = {}
    rooms = sorted({file.empty_room for file in missing if file.empty_room is not None})
    say("empty rooms", 0, len(rooms))
    for done, (room, found) in enumerate(in_parallel(_noise_of, [(room, settings) for room in rooms], workers), 1):
        say("empty rooms", done, len(rooms))
        if isinstance(found, str):
            failed |= {file.name: found for file in missing if file.empty_room == room}
        else:
            noise[room] = found
    usable = [file for file in missing if file.name not in failed]
    n_done = len(files) - len(usable)
    say("recordings", n_done, len(files))
    tasks = [(file, None if file.empty_room is None else noise[file.empty_room], settings, out) for file in usable]
    for done, (name, reason) in enumerate(in_parallel(_prepare_one, tasks, workers), n_done + 1):
        say("recordings", done, len(files))
        if reason is not None:
            failed[name] = reason
    return dict(sorted(failed.items()))


def recorded_subjects(data: RecordedData, settings: PrepareSettings) -> tuple[list[Path], list[Path], list[Path]]:
    """The folders of prepared recordings to train on, of those to validate, and of those that are held out.

    Raises:
        DataError: they were prepared otherwise than by these settings, or subjects that are named are not there.
        WindowError: there are none.
    """
    folder = Path(data.folder)
    folders = recording_folders(folder)
    if (was := _settings_of(folder)) != settings:
        differs = "" if was is None else f" ({_difference(was, settings)})"
        raise DataError(
            f"{folder} was not prepared as the recipe's [prepare] says{differs}: prepare it into another folder by "
            f"'{COMMAND} DATASET --config RECIPE --out FOLDER'"
        )
    of = {path: read_prepared(path).subject for path in folders}
    apart = {*data.validation, *data.held_out}
    if unknown := apart - set(of.values()):
        raise DataError(
            f"{folder} has no {', '.join(sorted(unknown))}: its subjects are {', '.join(sorted(set(of.values())))}"
        )
    if twice := {*data.validation} & {*data.held_out}:
        raise DataError(f"{', '.join(sorted(twice))}: a subject is either validated with or held out")
    train = [path for path in folders if of[path] not in apart]
    if not train:
        raise DataError(f"{folder} has no subjects beside those to validate and to hold out")
    validation, held_out = ([path for path in folders if of[path] in some] for some in (data.validation, data.held_out))
    return train, validation, held_out


def _claim(out: Path, settings: PrepareSettings) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and _settings_of(out) is None)):
        raise DataError(f"{out} is no folder of prepared recordings: give another one")
    if (was := _settings_of(out)) not in (None, settings):
        assert was is not None
        raise DataError(
            f"{out} was prepared with other settings ({_difference(was, settings)}): give another folder, or remove it"
        )
    if was is None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / DESCRIPTION, description("EEG and MEG, prepared", "derivative", COMMAND))
        write_json(out / _SETTINGS, settings.model_dump(mode="json"))


def _settings_of(folder: Path) -> PrepareSettings | None:
    try:
        return PrepareSettings.model_validate_json((folder / _SETTINGS).read_bytes())
    except (OSError, ValidationError):
        return None


def _difference(was: PrepareSettings, wanted: PrepareSettings) -> str:
    names = [name for name in PrepareSettings.model_fields if getattr(was, name) != getattr(wanted, name)]
    return ", ".join(f"{name} was {json.dumps(was.model_dump(mode='json')[name])}" for name in names)


def _is_there(file: MegFile, out: Path) -> bool:
    """Whether it was prepared of the files as they are now."""
    return is_of(out / file.name / PROVENANCE, _inputs(file))


def _inputs(file: MegFile) -> list[Path]:
    split = sorted(file.path.parent.glob(file.path.name.replace("_split-01_", "_split-*_")))
    others = (sidecar(file.path, "channels", ".tsv"), sidecar(file.path, "events", ".tsv"), file.empty_room)
    return [path for path in (*split, *others) if path is not None]


def _noise_of(room: Path, settings: PrepareSettings) -> tuple[Path, Floats | str]:
    """An empty room's covariance, or what is wrong with it."""
    try:
        return room, noise_covariance(room, settings)
    except RecordingError as error:
        return room, str(error)


def _prepare_one(file: MegFile, noise: Floats | None, settings: PrepareSettings, out: Path) -> tuple[str, str | None]:
    try:
        recording = replace(read_recording(file.path), subject=file.subject, run=file.run)
        prepared = prepare(recording, settings)
    except RecordingError as error:
        return file.name, str(error)
    if noise is not None:
        to_helmet = virtual_helmet_map(recording.dev_head_t, recording.good_sensors)
        prepared = replace(prepared, noise=to_helmet @ noise @ to_helmet.T)
    write_prepared(out, prepared, {PROVENANCE: provenance(_inputs(file), settings).text()})
    return file.name, None
