"""A BIDS data set of EEG and MEG: its recordings, and the files that tell of each, found as the standard has it.

Recordings are found by MNE-BIDS, and what applies to each by the standard's inheritance principle.

Format: the Brain Imaging Data Structure (Gorgolewski et al., *Scientific Data* 3 (2016)); of MEG, Niso Galan et al.,
*Scientific Data* 5 (2018).
"""

from __future__ import annotations

import csv
import glob
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mne_bids

from cortexcast_training.recording import RecordingError

CHANNEL_TYPES = {"EEG": "eeg", "HEOG": "eog", "VEOG": "eog", "EOG": "eog", "ECG": "ecg"}
"""Types of ``*_channels.tsv`` that are used beside MEG, in MNE's words."""

_EMPTY_ROOM = "emptyroom"
_DERIVATIVES = "derivatives"
_NO_RECORDINGS = ("calibration", "crosstalk")
"""Of a helmet: .fif files that lie beside recordings."""


@dataclass(frozen=True)
class MegFile:
    """A recording of EEG and MEG, and the files that tell of it.

    Attributes:
        path: of its .fif; of a split one, the first.
        subject, run: such as ``sub-01`` and ``ses-meg_task-facerecognition_run-01``: all that its name tells it from
            others by, so that it is called the same whatever else is there.
        empty_room: the .fif of the empty room that belongs to it; None where there is none.
        tables: the ``*_channels.tsv`` and ``*_events.tsv`` of both, as far as there are any.
        problem: why those files cannot be told; empty where they can.
    """

    path: Path
    subject: str
    run: str
    empty_room: Path | None = None
    tables: tuple[Path, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """Of what is made of it."""
        return f"{self.subject}_{self.run}"


def holds_meg(dataset: Path) -> bool:
    """Whether there are recordings of MEG in a data set, be it as recorded or derived."""
    patterns = ("sub-*/**/*_meg.fif", f"{_DERIVATIVES}/**/*_meg.fif")
    return any(next(_glob(dataset, each), None) for each in patterns)


def find_recordings(
    dataset: Path, processing: str = "", subjects: Sequence[str] = (), runs: Sequence[str] = ()
) -> list[MegFile]:
    """The recordings of a data set, by name; those of its empty room are not among them.

    Args:
        dataset: its folder.
        processing: those of this processing, such as ``sss``, mostly among the derivatives; empty: as recorded.
        subjects: those alone, such as ``sub-01``; empty: all.
        runs: those alone, such as ``01``; empty: all.

    Raises:
        RecordingError: there is none, or not of one of those named, or two of one name.
    """
    dataset = dataset.absolute()
    everything = [
        path
        for path in mne_bids.find_matching_paths(
            dataset, datatypes="meg", suffixes="meg", extensions=".fif", check=False
        )
        if _is_recording(path, dataset)
    ]
    found = [path for path in everything if (path.processing or "") == processing]
    if not found:
        kind = f"_proc-{processing}" if processing else ""
        others = sorted({f"--proc {path.processing}" if path.processing else "no --proc" for path in everything})
        told = f"; there are such for {', '.join(others)}" if others else ""
        raise RecordingError(
            f"{dataset} holds no recordings such as sub-01/ses-meg/meg/*{kind}_meg.fif"
            + (told or ": is it a BIDS data set?")
        )
    for kind, wanted, there in (
        ("subject", [name.removeprefix("sub-") for name in subjects], {path.subject for path in found}),
        ("run", [name.removeprefix("run-") for name in runs], {path.run or "01" for path in found}),
    ):
        if unknown := sorted(set(wanted) - there):
            raise RecordingError(f"{dataset} has no {kind} {', '.join(unknown)}: there are {', '.join(sorted(there))}")
        if wanted:
            found = [path for path in found if (path.subject if kind == "subject" else path.run or "01") in wanted]
    files: dict[str, MegFile] = {}
    for path in found:
        file = _meg_file(path)
        if other := files.get(file.name):
            raise RecordingError(f"{other.path} and {file.path} are both {file.name}: take one of them out of the way")
        files[file.name] = file
    return [files[name] for name in sorted(files)]


def sidecar(path: Path, suffix: str, extension: str) -> Path | None:
    """The file of this suffix that tells of a recording, such as ``channels`` and ``.tsv``; None where there is none.

    The nearest one that applies to it. What is derived from a recording has that of the recording where it has none of
    its own.

    Raises:
        RecordingError: there are two of which none is more special.
    """
    for of in (path, _as_recorded(path)):
        if found := applying(of, suffix, extension):
            first, *others = found
            for other in others:
                if (other.parent, len(_parts(other.name))) == (first.parent, len(_parts(first.name))):
                    raise RecordingError(f"{first} and {other.name} both apply to {path.name}: leave one of them")
            return first
    return None


def applying(path: Path, suffix: str, extension: str) -> list[Path]:
    """The sidecars that apply to a file, by the inheritance principle: the nearest first, then the most special.

    One applies that lies with it, or above it in the data set, and whose name holds nothing that the file's does not.
    """
    path, ending = path.absolute(), f"{suffix}{extension}"
    parts = _parts(path.name)
    return [
        each
        for folder in path.parents
        if folder.is_relative_to(_dataset(path))
        for each in sorted(_glob(folder, f"*{ending}"), key=lambda file: (-len(_parts(file.name)), file.name))
        if all(
            # The places of electrodes may be given in any space.
            part in parts or (suffix == "electrodes" and part.startswith("space-"))
            for part in _parts(each.name.removesuffix(ending))
        )
    ]


def sidecar_fields(path: Path) -> dict[str, Any]:
    """What all .json say that apply to a file: those nearer to it, and among them the more special, win.

    Raises:
        RecordingError: one of them cannot be read.
    """
    suffix = path.name.split(".", 1)[0].rpartition("_")[2]
    fields: dict[str, Any] = {}
    for each in reversed(applying(path, suffix, ".json")):
        try:
            found = json.loads(each.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecordingError(f"{each} cannot be read ({error}): correct it") from None
        if not isinstance(found, dict):
            raise RecordingError(f"{each} must be a JSON object: correct it")
        fields |= found
    return fields


def read_table(path: Path | None) -> list[dict[str, str]]:
    """The rows of a .tsv; none of None.

    Raises:
        RecordingError: it cannot be read.
    """
    if path is None:
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path} cannot be read ({error}): it must be tab-separated text in UTF-8") from None


def _is_recording(path: Any, dataset: Path) -> bool:
    """Whether it is one of somebody, the first part where it is split, and as a whole."""
    top = Path(path.fpath).relative_to(dataset).parts[0]
    return (
        # Of the derivatives only what says how it was processed: anything else has the name of what it was made of.
        (top.startswith("sub-") or (top == _DERIVATIVES and path.processing is not None))
        and path.description is None
        and path.subject not in (None, _EMPTY_ROOM)
        and path.acquisition not in _NO_RECORDINGS
        and (path.split or "1").lstrip("0") == "1"
    )


def _meg_file(path: Any) -> MegFile:
    fif = Path(path.fpath)
    entities = (("ses", path.session), ("task", path.task), ("acq", path.acquisition), ("run", path.run or "01"))
    file = MegFile(fif, f"sub-{path.subject}", "_".join(f"{key}-{value}" for key, value in entities if value))
    try:
        room = _empty_room(fif, path.processing)
        tables = [sidecar(fif, "channels", ".tsv"), sidecar(fif, "events", ".tsv")]
        if room is not None:
            tables.append(sidecar(room, "channels", ".tsv"))
        return replace(file, empty_room=room, tables=tuple(table for table in tables if table is not None))
    except RecordingError as error:
        return replace(file, problem=str(error))


def _empty_room(path: Path, processing: str | None) -> Path | None:
    """The first that is there of those that the sidecar names; of a derivative, processed likewise."""
    recorded = _as_recorded(path)
    # Not by MNE-BIDS, which wants the empty room as recorded to be there where only what was made of it was fetched.
    named = sidecar_fields(recorded).get("AssociatedEmptyRoom", [])
    for each in named if isinstance(named, list) else [named]:
        room = _dataset(recorded) / str(each).removeprefix("bids::")
        processed = f"{room.name.removesuffix('_meg.fif')}_proc-{processing}_meg.fif"
        rooms = sorted(_glob(_dataset(path), f"**/{processed}")) if processing else [room]
        if found := next((room for room in rooms if room.is_file()), None):
            return found
    return None


def _parts(name: str) -> set[str]:
    """What a file's name is made of: entities such as ``sub-01``, suffix, extension."""
    return set(re.split(r"[._]", name)) - {""}


def _dataset(path: Path) -> Path:
    """The folder above that of the file's subject; of a file that is no part of a data set, its own."""
    # Links are not followed: git-annex keeps what they lead to elsewhere.
    path = path.absolute()
    return next(
        (each.parent for each in path.parents if each.name.startswith("sub-") and each.name in _parts(path.name)),
        path.parent,
    )


def _as_recorded(path: Path) -> Path:
    """Where a derivative would lie as it was recorded, beside what tells of that; any other file's own path."""
    path = path.absolute()
    derived = _dataset(path)
    source = next((each.parent for each in derived.parents if each.name == _DERIVATIVES), derived)
    return source / path.relative_to(derived)


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    """Through links to folders too, which those of ``Path`` do not follow."""
    return (folder / name for name in glob.iglob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
