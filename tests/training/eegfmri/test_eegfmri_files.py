"""Each run finds its own files, by the names that NATVIEW gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexcast_training.eegfmri.bold_file import BoldError
from cortexcast_training.eegfmri.eegfmri_files import LayoutError, find_runs
from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings, preprocess_all
from cortexcast_training.preparing import FolderError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def of_natview(real_data: Path, folder: Path) -> Path:
    """Empty files where NATVIEW has its own."""
    listing = (real_data / "bids" / "natview" / "tree.tsv").read_text().split()
    return touch(folder, *(name for name in listing if name.startswith(("sub-01/", "sub-02/"))))


def test_natview_s_own_names_are_understood(real_data: Path, tmp_path: Path) -> None:
    dataset = of_natview(real_data, tmp_path / "natview")
    touch(tmp_path / "stimuli", "dme.npz")
    runs = find_runs(dataset, stimuli=tmp_path / "stimuli", subjects=["sub-01"])
    by_stem = {run.stem: run for run in runs}
    assert {run.subject for run in runs} == {"sub-01"}
    run = by_stem["sub-01_ses-01_task-dme_run-02"]
    assert (run.task, run.take) == ("dme", "ses-01_run-02")
    assert run.eeg == dataset / "sub-01/ses-01/eeg/sub-01_ses-01_task-dme_run-02"
    assert run.bold == dataset / "sub-01/ses-01/func/sub-01_ses-01_task-dme_run-02_bold.nii.gz"
    assert run.anatomy == dataset / "sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz"
    assert run.stimulus == tmp_path / "stimuli" / "dme.npz"
    assert by_stem["sub-01_ses-01_task-inscapes"].take == "ses-01"
    assert by_stem["sub-01_ses-01_task-inscapes"].stimulus is None
    # What was recorded outside the scanner has no BOLD.
    assert not any("checkerout" in stem for stem in by_stem)
    assert len({(run.subject, run.task, run.take) for run in runs}) == len(runs) >= 10


def test_tasks_and_derivatives_choose(tmp_path: Path) -> None:
    names = [f"sub-01/eeg/sub-01_task-{task}_eeg.vhdr" for task in ("a", "b")]
    dataset = touch(
        tmp_path / "raw",
        *names,
        *(name.replace("eeg.vhdr", "bold.nii.gz").replace("/eeg/", "/func/") for name in names),
    )
    assert [run.task for run in find_runs(dataset, tasks=["b"])] == ["b"]
    end = "_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    derivatives = touch(tmp_path / "fmriprep", f"sub-01/func/sub-01_task-a{end}")
    (run,) = find_runs(dataset, derivatives)
    assert run.fmriprep == derivatives
    assert (run.stem, run.take, run.anatomy) == ("sub-01_task-a", "", None)
    assert run.bold.name.endswith(end)


def test_a_run_in_two_spaces_is_told(tmp_path: Path) -> None:
    spaces = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")
    dataset = touch(tmp_path / "raw", "sub-01/eeg/sub-01_task-a_eeg.vhdr")
    names = [f"sub-01/func/sub-01_task-a_space-{space}_desc-preproc_bold.nii.gz" for space in spaces]
    with pytest.raises(LayoutError, match="sub-01_task-a is there in several spaces"):
        find_runs(dataset, touch(tmp_path / "fmriprep", *names))


@pytest.mark.parametrize(
    ("description", "simulated"),
    [
        ('{"GeneratedBy": [{"Name": "cortexcast simulate eegfmri"}]}', True),
        ('{"GeneratedBy": [{"Name": "fMRIPrep"}, 7]}', False),
        ('{"Name": "NATVIEW"}', False),
        ("[1]", False),
        ("nonsense", False),
    ],
)
def test_what_nobody_recorded_is_known_as_such(tmp_path: Path, description: str, simulated: bool) -> None:
    touch(tmp_path, "sub-01/func/sub-01_task-a_bold.nii.gz", "sub-01/eeg/sub-01_task-a_eeg.set")
    (tmp_path / "dataset_description.json").write_text(description)
    assert find_runs(tmp_path)[0].simulated is simulated


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="there is no folder"):
        find_runs(tmp_path / "nowhere")
    dataset = touch(tmp_path, "sub-01/func/sub-01_task-a_bold.nii.gz")
    with pytest.raises(LayoutError, match="has 1 runs of BOLD and none with EEG beside it"):
        find_runs(dataset)
    touch(tmp_path, "sub-01/eeg/sub-01_task-a_eeg.set")
    with pytest.raises(LayoutError, match="there is no subject 02, 99 with BOLD: there are 01"):
        find_runs(dataset, subjects=["sub-01", "sub-99", "02"])
    with pytest.raises(LayoutError, match="there is no task b with BOLD: there are a"):
        find_runs(dataset, tasks=["b"])
    with pytest.raises(BoldError, match=r"output-spaces MNI152NLin2009cAsym"):
        find_runs(dataset, fmriprep=tmp_path)


def test_what_was_preprocessed_of_one_film_is_no_hindrance_to_another_whose_stimulus_is_known(tmp_path: Path) -> None:
    names = [f"sub-01/eeg/sub-01_task-{task}_eeg.set" for task in ("a", "b")]
    bold = [name.replace("eeg.set", "bold.nii.gz").replace("/eeg/", "/func/") for name in names]
    dataset = touch(tmp_path / "raw", *names, *bold, "stimuli/b.npz")
    for task in ("a", "b"):
        failed = preprocess_all(find_runs(dataset, tasks=[task]), EegFmriSettings(), tmp_path / "out")
        # Files that are empty are refused, which is all that is wrong.
        assert list(failed) == [f"sub-01_task-{task}"]
        assert "cannot be read" in failed[f"sub-01_task-{task}"]
    with pytest.raises(FolderError, match=r'was prepared otherwise \(stimuli was "stimuli"\)'):
        preprocess_all(find_runs(dataset, stimuli=tmp_path / "others"), EegFmriSettings(), tmp_path / "out")


def test_subjects_and_tasks_are_named_with_their_keys_or_without(tmp_path: Path) -> None:
    for subject in ("01", "02"):
        stem = f"sub-{subject}_task-a"
        touch(tmp_path, f"sub-{subject}/func/{stem}_bold.nii.gz", f"sub-{subject}/eeg/{stem}_eeg.set")
    for subjects in (["01"], ["sub-01"]):
        for tasks in (["a"], ["task-a"]):
            assert [run.stem for run in find_runs(tmp_path, subjects=subjects, tasks=tasks)] == ["sub-01_task-a"]


def test_a_run_whose_eeg_is_missing_is_named_and_keeps_no_other_from_it(tmp_path: Path) -> None:
    dataset = touch(tmp_path / "raw", *(f"sub-01/func/sub-01_task-{task}_bold.nii.gz" for task in ("a", "b")))
    touch(dataset, "sub-01/eeg/sub-01_task-b_eeg.set")
    failed = preprocess_all(find_runs(dataset), EegFmriSettings(), tmp_path / "out")
    assert failed["sub-01_task-a"].endswith("sub-01_task-a_eeg.vhdr is not there: fetch it")
    assert "task-b_eeg.set cannot be read" in failed["sub-01_task-b"]


def test_inputs_are_all_that_is_read_and_nothing_of_other_runs(tmp_path: Path) -> None:
    """Sidecars that are inherited are among them, and what fMRIPrep wrote beside its BOLD."""
    own = [f"sub-01/ses-1/eeg/sub-01_ses-1_task-a_{end}" for end in ("eeg.vhdr", "eeg.vmrk", "eeg.eeg", "channels.tsv")]
    inherited = ["task-a_eeg.json", "task-a_bold.json", "sub-01/ses-1/sub-01_ses-1_electrodes.tsv", "stimuli/a.npz"]
    bold, anatomy = "sub-01/ses-1/func/sub-01_ses-1_task-a_bold.nii.gz", "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
    others = ["task-b_eeg.json", "sub-01/ses-1/eeg/sub-01_ses-1_task-b_channels.tsv", "stimuli/b.npz"]
    dataset = touch(tmp_path / "raw", "dataset_description.json", *own, *inherited, bold, anatomy, *others)
    (run,) = find_runs(dataset)
    assert {str(path.relative_to(dataset)) for path in run.inputs()} == {*own, *inherited, bold, anatomy}
    stem = "sub-01/ses-1/func/sub-01_ses-1_task-a"
    space = f"{stem}_space-MNI152NLin2009cAsym_desc"
    derived = [f"{space}-preproc_bold.nii.gz", f"{space}-brain_mask.nii.gz", f"{stem}_desc-confounds_timeseries.tsv"]
    derivatives = touch(tmp_path / "fmriprep", *derived)
    (run,) = find_runs(dataset, derivatives)
    names = {str(path.relative_to(derivatives)) for path in run.inputs() if path.is_relative_to(derivatives)}
    assert names == set(derived)
