"""A BIDS data set of EEG and MEG, prepared: one folder a recording, each with what it was made of and how.

    OUT/dataset_description.json, prepare.json
    OUT/sub-01_task-rest_run-01/{eeg,meg,good,events,noise}.npy, recording.json, provenance.json

Several are prepared at a time, and what is there is not prepared again unless its files have changed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.bids_files import MegFile
from cortexcast_training.empty_room import noise_covariance
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.preparing import COMMAND, claim, dataset_name, difference, reason, said_in
from cortexcast_training.provenance import InputError, Source, is_of, look, provenance
from cortexcast_training.recipe import DataError, RecordedData
from cortexcast_training.recording import RecordingError
from cortexcast_training.recording_file import read_recording
from cortexcast_training.simulated_dataset import truth_of
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.windows import read_prepared, recording_folders, write_prepared
from cortexcast_training.workers import Workers, in_parallel

_SETTINGS = "prepare.json"
PROVENANCE = "provenance.json"
"""Beside each recording."""

Floats = NDArray[np.float64]


def prepare_dataset(
    dataset: Path,
    processing: str,
    files: Sequence[MegFile],
    settings: PrepareSettings,
    out: Path,
    workers: Workers,
    say: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> dict[str, str]:
    """Prepare those recordings that are not yet. What is wrong with one keeps no other from it.

    What was prepared of files that have changed since is removed where it cannot be prepared again.

    Args:
        dataset: its folder.
        processing: that of the files; empty: as recorded.
        files: all that are wanted.
        settings: how.
        out: where to; it is made.
        workers: who does it.
        say: hears what is done, how much of it, and of how much.

    Returns:
        Why a recording could not be used, by its name.

    Raises:
        FolderError: what is there was prepared otherwise, or is something else.
        WorkerError: see there.
    """
    dataset, out = dataset.absolute(), out.absolute()  # a cluster's workers are elsewhere
    origin = {"dataset": dataset_name(dataset), "processing": processing}
    claim(out, _SETTINGS, origin | settings.model_dump(mode="json"), "EEG and MEG, prepared")
    failed = {file.name: file.problem for file in files if file.problem}
    missing: dict[MegFile, list[Source]] = {}
    for file in files:
        try:
            if not file.problem and not is_of(out / file.name / PROVENANCE, sources := _sources(file, dataset)):
                missing[file] = sources
        except (InputError, RecordingError) as error:  # what was prepared before may be as good as ever
            failed[file.name] = str(error)
    refused: dict[str, str] = {}
    noise: dict[Path, Floats] = {}
    rooms = sorted({file.empty_room for file in missing if file.empty_room is not None})
    say("empty rooms", 0, len(rooms))
    for done, (room, found) in enumerate(in_parallel(_noise_of, [(room, settings) for room in rooms], workers), 1):
        say("empty rooms", done, len(rooms))
        if isinstance(found, str):
            refused |= {file.name: found for file in missing if file.empty_room == room}
        else:
            noise[room] = found
    tasks = [
        (file, sources, None if file.empty_room is None else noise[file.empty_room], settings, out)
        for file, sources in missing.items()
        if file.name not in refused
    ]
    n_done = len(files) - len(tasks)
    say("recordings", n_done, len(files))
    for done, (name, why) in enumerate(in_parallel(_prepare_one, tasks, workers), n_done + 1):
        say("recordings", done, len(files))
        if why is not None:
            refused[name] = why
    for name in refused:
        shutil.rmtree(out / name, ignore_errors=True)
    return dict(sorted((failed | refused).items()))


def recorded_subjects(data: RecordedData, settings: PrepareSettings) -> tuple[list[Path], list[Path], list[Path]]:
    """The folders of prepared recordings to train on, of those to validate, and of those that are held out.

    Raises:
        DataError: they were prepared otherwise than by these settings, or subjects that are named are not there.
        WindowError: there are none.
    """
    folder = Path(data.folder)
    folders = recording_folders(folder)
    said, wanted = said_in(folder / _SETTINGS) or {}, settings.model_dump(mode="json")
    if (was := {name: said.get(name) for name in wanted}) != wanted:
        differs = f" ({difference(was, wanted)})" if said else ""
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


def _sources(file: MegFile, dataset: Path) -> list[Source]:
    """All files that it is made of, as they are now."""
    paths = [*_parts(file.path), *file.tables, truth_of(file.path)]
    if file.empty_room is not None:
        paths += _parts(file.empty_room)
    return look([path for path in paths if path is not None], [dataset])


def _parts(path: Path) -> list[Path]:
    """Of a .fif: itself, or, as MNE-Python follows them, all that it was split into."""
    others = path.parent.glob(re.sub(r"_split-0*1_", "_split-*_", path.name))
    return [path, *sorted(other for other in others if other != path)]


def _noise_of(room: Path, settings: PrepareSettings) -> tuple[Path, Floats | str]:
    """An empty room's covariance, or what is wrong with it."""
    try:
        return room, noise_covariance(room, settings)
    except Exception as error:  # whatever it is, it must not keep others from being prepared
        return room, reason(error)


def _prepare_one(
    file: MegFile, sources: Sequence[Source], noise: Floats | None, settings: PrepareSettings, out: Path
) -> tuple[str, str | None]:
    try:
        recording = replace(read_recording(file.path), subject=file.subject, run=file.run)
        prepared = prepare(recording, settings)
        if noise is not None:
            to_helmet = virtual_helmet_map(recording.dev_head_t, recording.good_sensors)
            prepared = replace(prepared, noise=to_helmet @ noise @ to_helmet.T)
        write_prepared(out, prepared, {PROVENANCE: provenance(sources, settings).text()})
    except Exception as error:  # likewise
        return file.name, reason(error)
    return file.name, None
