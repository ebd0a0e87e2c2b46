"""What fMRIPrep leaves is read as our own results are, and a folder that is not its own is told."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from cortexcast_training.eegfmri.bold_file import BoldError
from cortexcast_training.eegfmri.brain_template import grey_of, template, template_brain
from cortexcast_training.eegfmri.fmriprep import fmriprep_runs, read_fmriprep
from cortexcast_training.eegfmri.nuisance import NuisanceSettings
from cortexcast_training.eegfmri.parcels import parcel_labels

N_VOLUMES, MM, TR_S = 30, 8, 2.1
STEM = "sub-01_ses-01_task-film01_run-01"
SPACE = f"{STEM}_space-MNI152NLin2009cAsym_res-2"
COLUMNS = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "white_matter", "csf", "global_signal"]
LINE = NuisanceSettings(motion=0, tissue=False, longest_period_s=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Derivatives of a run in which parcel 5 alone is active, and the signal of fluid is everywhere."""
    func = tmp_path / "sub-01" / "ses-01" / "func"
    func.mkdir(parents=True)
    grid, brain = template(MM), template_brain(MM)
    rng = np.random.default_rng(0)
    labels = np.asarray(parcel_labels(Nifti1Image(grey_of(grid).astype(np.int8), grid.affine)).dataobj)
    active, confounds = wave(), rng.standard_normal((N_VOLUMES, len(COLUMNS)))
    values = np.where(brain, 1000.0, 3.0)[..., np.newaxis] + 4 * confounds[:, COLUMNS.index("csf")]
    values[labels == 5] += 20 * active
    image = Nifti1Image(values.astype(np.float32), grid.affine)
    image.header.set_zooms((MM, MM, MM, TR_S))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, func / f"{SPACE}_desc-preproc_bold.nii.gz")
    fields = {"RepetitionTime": TR_S, "SliceTimingCorrected": True, "StartTime": 1.0, "SliceTiming": [0.0, 1.0]}
    (func / f"{SPACE}_desc-preproc_bold.json").write_text(json.dumps(fields))
    nibabel.save(Nifti1Image(brain.astype(np.uint8), grid.affine), func / f"{SPACE}_desc-brain_mask.nii.gz")
    rows = ["\t".join(["framewise_displacement", *COLUMNS])]
    rows += ["\t".join(["n/a" if not number else "0.1", *map(str, row)]) for number, row in enumerate(confounds)]
    (func / f"{STEM}_desc-confounds_timeseries.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def wave() -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(N_VOLUMES) / 6)


def confounds_of(folder: Path) -> Path:
    return next(folder.rglob("*_desc-confounds_timeseries.tsv"))


def test_a_run_is_as_our_own_would_be(folder: Path) -> None:
    (bold,) = fmriprep_runs(folder)
    run = read_fmriprep(bold, NuisanceSettings(motion=0, longest_period_s=None))
    assert run.parcels.shape == (300, N_VOLUMES)
    np.testing.assert_allclose(run.times, 1.0 + TR_S * np.arange(N_VOLUMES))
    assert run.tr_s == TR_S
    assert run.volumes.shape == (*template(MM).shape, N_VOLUMES)
    assert not np.asarray(run.volumes.dataobj)[~run.brain].any()
    assert run.registration is run.anatomy is None
    assert run.motion.shape == (N_VOLUMES, 6)
    steps = np.diff(run.motion, axis=0)
    np.testing.assert_allclose(run.displacement[1:], np.abs(steps * np.r_[1, 1, 1, 50, 50, 50]).sum(axis=1))
    assert np.corrcoef(run.parcels[4], wave())[0, 1] > 0.9
    assert run.parcels[4].std() == pytest.approx(2 * wave().std(), rel=0.1)
    others = np.delete(run.parcels, 4, axis=0)
    assert np.abs(others[np.isfinite(others)]).max() < 1e-3


def test_nuisance_is_taken_out_by_its_confounds_alone(folder: Path) -> None:
    run = read_fmriprep(fmriprep_runs(folder)[0], LINE)
    fluid = np.loadtxt(confounds_of(folder), skiprows=1, usecols=1 + COLUMNS.index("csf"))
    assert np.corrcoef(run.parcels[10], fluid)[0, 1] > 0.95


def test_smoothing_spreads_what_one_parcel_does(folder: Path) -> None:
    sharp, smooth = (read_fmriprep(fmriprep_runs(folder)[0], LINE, width_mm) for width_mm in (0.0, 16.0))
    assert smooth.parcels[4].std() < 0.8 * sharp.parcels[4].std()
    mean = np.asarray(smooth.volumes.dataobj).mean(axis=3)[smooth.brain]
    assert mean.min() > 990


def test_times_are_of_the_middle_where_nothing_is_said(folder: Path) -> None:
    next(folder.rglob("*_bold.json")).write_text("{}")
    assert read_fmriprep(fmriprep_runs(folder)[0], LINE).times[0] == pytest.approx(TR_S / 2)


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def test_files_that_do_not_belong_together_are_told(folder: Path) -> None:
    (bold,) = fmriprep_runs(folder)
    confounds = confounds_of(folder)
    text = confounds.read_text()
    rewrite(confounds, "rot_z", "roll")
    with pytest.raises(BoldError, match="has no column rot_z: give the confounds that fMRIPrep wrote"):
        read_fmriprep(bold, LINE)
    confounds.write_text("\n".join(text.splitlines()[:-2]))
    with pytest.raises(BoldError, match="has 28 rows and the run 30 volumes"):
        read_fmriprep(bold, LINE)
    confounds.unlink()
    with pytest.raises(BoldError, match=r"there is no .*_desc-confounds_timeseries\.tsv"):
        read_fmriprep(bold, LINE)
    mask = next(folder.rglob("*_mask.nii.gz"))
    image = nibabel.load(mask)
    nibabel.save(Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), mask)
    with pytest.raises(BoldError, match="is empty: fMRIPrep found no brain"):
        read_fmriprep(bold, LINE)
    nibabel.save(Nifti1Image(np.ones((3, 3, 3), np.uint8), image.affine), mask)
    with pytest.raises(BoldError, match="have different voxels"):
        read_fmriprep(bold, LINE)


def test_what_is_not_in_mni_space_is_told(folder: Path) -> None:
    (bold,) = fmriprep_runs(folder)
    native = bold.rename(bold.with_name(f"{STEM}_space-T1w_desc-preproc_bold.nii.gz"))
    with pytest.raises(BoldError, match="is not in MNI space"):
        read_fmriprep(native, LINE)
    with pytest.raises(BoldError, match="run with --output-spaces MNI152NLin2009cAsym"):
        fmriprep_runs(folder)
