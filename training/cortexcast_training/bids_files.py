"""A BIDS data set of EEG and MEG: its recordings, and the files that tell of each, found as the standard has it.

Format: the Brain Imaging Data Structure, MEG (Niso Galan et al., *Scientific Data* 5 (2018)), by MNE-BIDS.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne_bids

from cortexcast_training.recording import RecordingError

_EMPTY_ROOM = "emptyroom"
_DERIVATIVES = "derivatives"
_NO_RECORDINGS = ("calibration", "crosstalk")
"""Of a helmet: .fif files that lie beside recordings."""


@dataclass(frozen=True)
class MegFile:
    """A recording of EEG and MEG.

    Attributes:
        path: of its .fif; of a split one, the first.
        empty_room: of the .fif of the empty room that belongs to it; None where there is none.
        subject, run: such as ``sub-01`` and ``run-01``, or ``ses-02_task-rest_run-01`` where a data set has several
            sessions and tasks.
    """

    path: Path
    empty_room: Path | None
    subject: str
    run: str

    @property
    def name(self) -> str:
        """Of what is made of it."""
        return f"{self.subject}_{self.run}"


def holds_meg(dataset: Path) -> bool:
    """Whether there are recordings of MEG in a data set, be it as recorded or derived."""
    return any(next(dataset.glob(pattern), None) for pattern in ("sub-*/**/*_meg.fif", "derivatives/**/*_meg.fif"))


def find_recordings(
    dataset: Path, processing: str = "", subjects: Sequence[str] = (), runs: Sequence[str] = ()
) -> list[MegFile]:
    """The recordings of a data set, by name; those of its empty room are not among them.

    Args:
        dataset: its folder.
        processing: those of this processing, such as ``sss``, which lie among the derivatives; empty: as recorded.
        subjects: those alone, such as ``sub-01``; empty: all.
        runs: those alone, such as ``01``; empty: all.

    Raises:
        RecordingError: there is none, or not of one of those named.
    """
    dataset = dataset.absolute()
    everything = [
        path
        for path in mne_bids.find_matching_paths(
            dataset, datatypes="meg", suffixes="meg", extensions=".fif", check=False
        )
        if path.subject != _EMPTY_ROOM and path.split in (None, "01") and path.acquisition not in _NO_RECORDINGS
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
    several = [
        (key, entity)
        for key, entity in (("ses", "session"), ("task", "task"), ("acq", "acquisition"), ("rec", "recording"))
        if len({getattr(path, entity) for path in everything}) > 1
    ]
    files = []
    for path in found:
        apart = [f"{key}-{value}" for key, entity in several if (value := getattr(path, entity))]
        run = "_".join([*apart, f"run-{path.run or '01'}"])
        files.append(MegFile(Path(path.fpath), _empty_room(path, dataset), f"sub-{path.subject}", run))
    return sorted(files, key=lambda each: each.name)


def sidecar(path: Path, suffix: str, extension: str) -> Path | None:
    """The file of this suffix that tells of a recording, such as ``channels`` and ``.tsv``, wherever it lies.

    What is derived from a recording has that of the recording where it has none of its own. Of a recording that is no
    part of a data set, it lies beside it. None where there is none.
    """
    own = _bids_path(path)
    if own is None:
        beside = path.with_name(f"{path.name.removesuffix('.fif').removesuffix('_meg')}_{suffix}{extension}")
        return beside if beside.is_file() else None
    for of in (own, _as_recorded(own)):
        found = of.find_matching_sidecar(suffix=suffix, extension=extension, on_error="ignore")
        if found is not None and Path(found).is_file():
            return Path(found)
    return None


def read_table(path: Path | None) -> list[dict[str, str]]:
    """The rows of a .tsv; none of None."""
    if path is None:
        return []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def _empty_room(path: Any, dataset: Path) -> Path | None:
    """As the sidecar says; of a derivative, the empty room that was processed likewise, where there is one."""
    recorded = _as_recorded(path).update(root=dataset)
    about = recorded.find_matching_sidecar(suffix="meg", extension=".json", on_error="ignore")
    if about is None:
        return None
    # Not by MNE-BIDS, which wants the empty room as recorded to be there where only what was made of it was fetched.
    try:
        named = json.loads(Path(about).read_text(encoding="utf-8")).get("AssociatedEmptyRoom")
    except (OSError, ValueError, AttributeError) as error:
        raise RecordingError(f"{about} does not say which empty room belongs to it ({error}): correct it") from None
    named = named[0] if isinstance(named, list) and named else named
    if not isinstance(named, str):
        return None
    room = dataset / named.removeprefix("bids::")
    if path.processing:
        processed = f"{room.name.removesuffix('_meg.fif')}_proc-{path.processing}_meg.fif"
        return next(iter(sorted(Path(path.root).rglob(processed))), None)
    return room if room.is_file() else None


def _bids_path(path: Path) -> Any:
    """None of a file that does not lie where its name belongs."""
    path = path.resolve()
    try:
        found = mne_bids.get_bids_path_from_fname(path, check=False, verbose="error")
    except (ValueError, KeyError, RuntimeError):
        return None
    return found if found.root and Path(found.fpath) == path else None


def _as_recorded(path: Any) -> Any:
    """The recording that a derivative was made of."""
    root = next((each.parent for each in Path(path.root).parents if each.name == _DERIVATIVES), path.root)
    return path.copy().update(root=root, processing=None, check=False)
