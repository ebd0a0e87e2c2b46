"""The public data sets that can be fetched, and which of their files are wanted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


class FetchError(Exception):
    """A data set cannot be fetched. The message says why and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What of a data set is wanted.

    Attributes:
        subjects: such as ``sub-01``; all where empty.
        runs: such as ``01``; all where empty.
        derivatives: what the data set's makers made of recordings, in place of those that it stands for.
    """

    subjects: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    derivatives: bool = False


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set.

    Attributes:
        key: where it lies in the bucket.
        path: where it belongs in the data set's folder, with slashes.
        size: bytes.
        etag: changes with the content; the content's MD5 where the file was put there in one part.
    """

    key: str
    path: str
    size: int
    etag: str


@dataclass(frozen=True)
class PublicDataset:
    """A data set in a bucket that everybody may read.

    Attributes:
        title: what it is.
        bucket: on Amazon S3.
        folders: those of the bucket, and where in the data set each belongs.
        ignored: pattern of paths that nothing here reads.
        recordings: pattern of those that derivatives stand for.
        derivatives: pattern of what the data set's makers made of recordings.
        terms: licence, as far as the data set tells it, and what to cite.
    """

    title: str
    bucket: str
    folders: Mapping[str, str]
    ignored: str
    recordings: str
    derivatives: str
    terms: str


DATASETS = {
    "ds000117": PublicDataset(
        title="EEG and MEG of 16 people who look at faces (OpenNeuro ds000117)",
        bucket="openneuro.org",
        folders={"ds000117/": ""},
        ignored=r"^\.|/ses-mri/|^derivatives/freesurfer/|_(bold|dwi|T1w|FLASH|defacemask)\.json$",
        recordings=r"^sub-.*_meg\.fif$",
        derivatives=r"^derivatives/",
        terms="CC0. Wakeman & Henson, Scientific Data 2, 150001 (2015), doi 10.1038/sdata.2015.1",
    ),
    "natview": PublicDataset(
        title="EEG and fMRI of 22 people who watch films (NATVIEW)",
        bucket="fcp-indi",
        folders={
            "data/Projects/NATVIEW_EEGFMRI/raw_data/": "",
            "data/Projects/NATVIEW_EEGFMRI/stimuli/": "stimuli/",
            "data/Projects/NATVIEW_EEGFMRI/preproc_data/": "derivatives/preproc_data/",
        },
        ignored=r"^\.|eyetracking",
        recordings=r"(?!)",  # nothing: the published EEG has lost stretches of time, so it cannot be laid on volumes
        derivatives=r"^derivatives/",
        terms="Telesford et al., Scientific Data 10, 554 (2023), doi 10.1038/s41597-023-02458-8, which has the terms",
    ),
}
"""By the name that the command takes."""

EMPTY_ROOM = "sub-emptyroom"


def placed(dataset: PublicDataset, key: str) -> str:
    """Where a file of the bucket belongs in the data set's folder."""
    folder = next(folder for folder in dataset.folders if key.startswith(folder))
    return dataset.folders[folder] + key.removeprefix(folder)


def wanted_files(dataset: PublicDataset, files: Sequence[RemoteFile], wanted: Wanted) -> list[RemoteFile]:
    """Those of all files that are wanted; of the empty room every recording, whatever its day.

    Raises:
        FetchError: a subject or a run that is wanted is not there.
    """
    others = dataset.recordings if wanted.derivatives else dataset.derivatives
    offered = [file for file in files if not re.search(dataset.ignored, file.path)]
    for what, there, asked in (
        ("subject", {subject_of(file.path) for file in offered} - {"", EMPTY_ROOM}, wanted.subjects),
        ("run", {_run_of(file.path) for file in offered} - {""}, wanted.runs),
    ):
        if missing := [each for each in asked if each not in there]:
            raise FetchError(f"there is no {what} {', '.join(missing)}: there are {', '.join(sorted(there))}")
    return [
        file
        for file in offered
        if not re.search(others, file.path)
        and (not wanted.subjects or subject_of(file.path) in {"", EMPTY_ROOM, *wanted.subjects})
        and (not wanted.runs or _run_of(file.path) in {"", *wanted.runs})
    ]


def without_other_days(files: Sequence[RemoteFile], scans: Iterable[str]) -> list[RemoteFile]:
    """The files without recordings of the empty room of days on which nobody else who is wanted was recorded.

    Args:
        files: wanted.
        scans: the contents of the wanted subjects' ``_scans.tsv``. Where they tell no day of an empty room, all stay.
    """
    days = {day.replace("-", "") for text in scans for day in re.findall(r"\t(\d{4}-\d\d-\d\d)T", text)}
    rooms = {file.path: match.group(1) for file in files if (match := re.search(r"/ses-(\d{8})/", file.path))}
    if not days & set(rooms.values()):
        return list(files)
    return [file for file in files if EMPTY_ROOM not in file.path or rooms.get(file.path, "") in {"", *days}]


def subject_of(path: str) -> str:
    """The subject whose folder a file is in, or nothing."""
    return next((part for part in PurePosixPath(path).parts[:-1] if part.startswith("sub-")), "")


def _run_of(path: str) -> str:
    match = re.search(r"_run-(\w+?)_", path.rpartition("/")[2])
    return match.group(1) if match else ""
