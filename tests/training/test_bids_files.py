"""Recordings and sidecars of a data set are found by their names, as BIDS has it: of what they hold nothing is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexcast_training.bids_files import find_recordings, sidecar
from cortexcast_training.recording import RecordingError


def test_a_recording_has_the_same_name_whatever_else_is_there(tmp_path: Path) -> None:
    stems = {
        "sub-01/meg/sub-01_task-rest": "task-rest_run-01",
        "sub-01/meg/sub-01_task-faces_acq-loud_run-02_split-1": "task-faces_acq-loud_run-02",
        "sub-02/ses-1/meg/sub-02_ses-1_task-rest": "ses-1_task-rest_run-01",
    }
    found: list[str] = []
    for n, stem in enumerate(stems, 1):
        path = tmp_path / f"{stem}_meg.fif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found = [file.run for file in find_recordings(tmp_path)]
        assert sorted(found) == sorted([*stems.values()][:n])


def test_what_was_made_of_a_recording_is_not_taken_for_it(tmp_path: Path) -> None:
    names = [
        "sub-01/meg/sub-01_task-rest_meg.fif",
        "sub-01/meg/sub-01_task-rest_desc-clean_meg.fif",
        "derivatives/mine/sub-01/meg/sub-01_task-rest_meg.fif",
        "derivatives/mine/sub-01/meg/sub-01_task-rest_desc-clean_meg.fif",
        "derivatives/sss/sub-01/meg/sub-01_task-rest_proc-sss_meg.fif",
        "derivatives/sss/sub-01/meg/sub-01_task-rest_proc-sss_desc-ica_meg.fif",
        "sourcedata/sub-01/meg/sub-01_task-rest_meg.fif",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [file.path for file in find_recordings(tmp_path)] == [tmp_path / names[0]]
    assert [file.path for file in find_recordings(tmp_path, "sss")] == [tmp_path / names[4]]
    other = tmp_path / names[4].replace("derivatives/sss", "derivatives/again")
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(RecordingError, match=r"again.* and .*sss.* are both sub-01_task-rest_run-01"):
        find_recordings(tmp_path, "sss")


def test_the_nearest_table_that_applies_is_taken(tmp_path: Path) -> None:
    """One applies whose name says nothing that the recording's does not."""
    session = tmp_path / "sub-01" / "ses-1"
    file = session / "meg" / "sub-01_ses-1_task-rest_run-01_meg.fif"
    file.parent.mkdir(parents=True)

    def table(folder: Path, stem: str) -> Path:
        path = folder / f"{stem}channels.tsv"
        path.touch()
        return path

    table(file.parent, "sub-01_ses-1_task-rest_run-02_")
    table(session, "sub-01_ses-1_task-rest_acq-x_")
    assert sidecar(file, "channels", ".tsv") is None
    for folder, stem in (
        (tmp_path, ""),
        (tmp_path, "task-rest_"),
        (session, "sub-01_ses-1_"),
        (session, "sub-01_ses-1_task-rest_"),
        (file.parent, "sub-01_ses-1_"),
    ):
        nearer = table(folder, stem)
        assert sidecar(file, "channels", ".tsv") == nearer
    table(file.parent, "sub-01_task-rest_run-01_")
    table(file.parent, "sub-01_ses-1_run-01_")
    with pytest.raises(RecordingError, match=r"run-01_channels.tsv both apply to .*: leave one of them"):
        sidecar(file, "channels", ".tsv")
