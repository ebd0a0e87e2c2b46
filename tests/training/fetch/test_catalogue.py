"""Which files of a data set are wanted: invariants on made-up ones, and the real listings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexcast_training.fetch.catalogue import (
    DATASETS,
    FetchError,
    RemoteFile,
    Wanted,
    placed,
    subject_of,
    wanted_files,
    without_other_days,
)

SUBJECTS = ("sub-01", "sub-02", "sub-11")
EVERYBODY = [f"sub-{n:02d}" for n in range(1, 17)]


def listing(folder: Path) -> list[RemoteFile]:
    """A data set's real listing. Its sizes of what git-annex keeps are those of the links."""
    rows = [line.split("\t") for line in (folder / "tree.tsv").read_text().splitlines()]
    return [RemoteFile(path, path, int(size), "") for size, path in rows]


@pytest.fixture(scope="module")
def faces(real_data: Path) -> list[RemoteFile]:
    return listing(real_data / "bids" / "ds000117")


@pytest.fixture(scope="module")
def films(real_data: Path) -> list[RemoteFile]:
    return listing(real_data / "bids" / "natview")


def wanted_faces(faces: list[RemoteFile], wanted: Wanted, scans: tuple[str, ...] = ()) -> dict[str, int]:
    chosen = without_other_days(wanted_files(DATASETS["ds000117"], faces, wanted), scans)
    return {file.path: file.size for file in chosen}


def test_of_three_subjects_all_runs_after_sss_are_there_and_none_as_recorded(faces: list[RemoteFile]) -> None:
    chosen = wanted_faces(faces, Wanted(SUBJECTS, derivatives=True))
    sss = {path for path in chosen if path.endswith("_proc-sss_meg.fif") and "emptyroom" not in path}
    assert sss == {
        f"derivatives/meg_derivatives/{subject}/ses-meg/meg/{subject}_ses-meg_task-facerecognition_run-{run:02d}"
        "_proc-sss_meg.fif"
        for subject in SUBJECTS
        for run in range(1, 7)
    }
    assert not [path for path in chosen if path.startswith("sub-") and path.endswith(".fif")]
    assert {"participants.tsv", "dataset_description.json", "task-facerecognition_events.json"} <= chosen.keys()
    events = [path for path in chosen if re.fullmatch(r"sub-\d+/ses-meg/meg/.*_run-\d+_events\.tsv", path)]
    assert len(events) == 3 * 6
    assert len([path for path in chosen if path.startswith("stimuli/")]) == 930
    assert not [path for path in chosen if "ses-mri" in path or "freesurfer" in path]
    # Every file of the listing that these are, and no other, said without the code's own patterns.
    of_subject = rf"({'|'.join(SUBJECTS)}|sub-emptyroom)/"
    expected = {
        file.path: file.size
        for file in faces
        if (re.match(rf"({of_subject}|derivatives/meg_derivatives/({of_subject}|[^/]*$))", file.path))
        and "/ses-mri/" not in file.path
        and not re.match(r"sub-.*\.fif$", file.path)
    }
    assert {path: size for path, size in chosen.items() if "sub-" in path or "derivatives" in path} == expected
    assert sum(expected.values()) == sum(file.size for file in faces if file.path in expected)


def test_as_recorded_no_derivative_is_wanted(faces: list[RemoteFile]) -> None:
    chosen = wanted_faces(faces, Wanted(("sub-03",)))
    assert len([path for path in chosen if re.match(r"sub-03/.*_meg\.fif$", path)]) == 6
    assert not [path for path in chosen if path.startswith("derivatives")]


def test_of_the_empty_room_only_the_days_of_who_is_wanted(faces: list[RemoteFile], real_data: Path) -> None:
    scans = [(real_data / "bids/ds000117/sub-02/ses-meg/sub-02_ses-meg_scans.tsv").read_text()]
    chosen = wanted_faces(faces, Wanted(("sub-02",), derivatives=True), tuple(scans))
    rooms = {match.group(1) for path in chosen if (match := re.search(r"emptyroom/ses-(\d+)/", path))}
    assert rooms == {"20090506"}
    assert "sub-emptyroom/sub-emptyroom_task-noise_channels.tsv" in chosen


def test_of_films_runs_with_everything_that_is_needed(films: list[RemoteFile]) -> None:
    chosen = {file.path for file in wanted_files(DATASETS["natview"], films, Wanted(("sub-01",), ("01",)))}
    run = "sub-01/ses-01/eeg/sub-01_ses-01_task-dme_run-01"
    assert {f"{run}_eeg.set", f"{run}_eeg.vmrk", f"{run}_channels.tsv"} <= chosen
    assert "sub-01/ses-01/func/sub-01_ses-01_task-dme_run-01_bold.nii.gz" in chosen
    assert "sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz" in chosen
    assert not [path for path in chosen if "eyetracking" in path or "run-02" in path or path.startswith("sub-02")]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (Wanted(("sub-99",)), r"^there is no subject sub-99: there are sub-01, .*sub-16$"),
        (Wanted(runs=("07", "9")), r"^there is no run 07, 9: there are 01, 02, 03, 04, 05, 06$"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(faces: list[RemoteFile], wanted: Wanted, complaint: str) -> None:
    with pytest.raises(FetchError, match=complaint):
        wanted_faces(faces, wanted)


@settings(max_examples=20)
@given(
    st.sets(st.sampled_from(EVERYBODY), min_size=1, max_size=3),
    st.sets(st.sampled_from([f"{n:02d}" for n in range(1, 7)])),
    st.booleans(),
)
def test_more_is_never_less(faces: list[RemoteFile], subjects: set[str], runs: set[str], derivatives: bool) -> None:
    """Each subject that is wanted adds its files, and who names none has them all."""
    together = wanted_faces(faces, Wanted(tuple(subjects), tuple(runs), derivatives))
    everything = wanted_faces(faces, Wanted((), tuple(runs), derivatives))
    assert together.items() <= everything.items()
    apart = [wanted_faces(faces, Wanted((subject,), tuple(runs), derivatives)) for subject in subjects]
    assert {path for each in apart for path in each} == set(together)
    assert {subject_of(path) for path in together} == {"", "sub-emptyroom", *subjects}


def test_a_file_is_placed_by_the_folder_of_the_bucket_that_it_is_in() -> None:
    films = DATASETS["natview"]
    root = "data/Projects/NATVIEW_EEGFMRI/"
    assert placed(films, f"{root}raw_data/sub-01/x.set") == "sub-01/x.set"
    assert placed(films, f"{root}stimuli/dme.npz") == "stimuli/dme.npz"
    assert placed(films, f"{root}preproc_data/sub-01/y") == "derivatives/preproc_data/sub-01/y"
