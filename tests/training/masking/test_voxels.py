"""Voxels are those of grey matter near a parcel, the same in all runs, and together they are their parcels."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from cortexcast_training.eegfmri.brain_template import grey_of, template
from cortexcast_training.eegfmri.eegfmri_preprocessing import PreprocessedRun
from cortexcast_training.eegfmri.parcel_courses import parcel_courses, parcel_means
from cortexcast_training.eegfmri.parcels import parcel_labels, parcels
from cortexcast_training.masking.explain import ExplainError
from cortexcast_training.masking.voxels import voxel_image, voxels

GRID = template(6)
GREY = grey_of(GRID)
NEAR = np.asarray(parcel_labels(Nifti1Image(GREY.astype(np.int8), GRID.affine)).dataobj) > 0


def with_mask(folder: Path, number: int, mask: np.ndarray, affine: np.ndarray = GRID.affine) -> PreprocessedRun:
    path = folder / f"{number}.nii.gz"
    nibabel.save(Nifti1Image(mask.astype(np.uint8), affine), path)
    return PreprocessedRun(eeg=path, bold=path, mask=path, nuisance_table=path, run_file=path)


def test_voxels_have_the_same_number_in_all_runs(tmp_path: Path) -> None:
    left = np.arange(GREY.shape[0])[:, np.newaxis, np.newaxis] < GREY.shape[0] // 2
    parts = [np.broadcast_to(part, GREY.shape) for part in (left, ~left)]
    numbers = np.asarray(voxel_image([with_mask(tmp_path, n, part) for n, part in enumerate(parts)]).dataobj)
    np.testing.assert_array_equal(numbers > 0, NEAR)
    assert sorted(numbers[numbers > 0].tolist()) == list(range(1, NEAR.sum() + 1))


def test_runs_of_different_voxels_are_refused(tmp_path: Path) -> None:
    moved = GRID.affine + np.eye(4, k=3)
    for number, other in enumerate([(GREY[1:], GRID.affine), (GREY, moved)]):
        runs = [with_mask(tmp_path, 0, GREY), with_mask(tmp_path, number + 1, *other)]
        with pytest.raises(ExplainError, match="different voxels: preprocess all by the same program"):
            voxel_image(runs)


def test_voxels_weighted_by_their_brightness_make_up_their_parcel() -> None:
    """As preprocessing makes parcels of voxels: the mean of the scanner's numbers, then percent, then nuisance."""
    rng = np.random.default_rng(0)
    brightness = GREY * (500 + 300 * rng.random(GREY.shape))
    values = brightness[..., np.newaxis] * (1 + 0.01 * rng.standard_normal((*GREY.shape, 120)))
    volumes, taken = Nifti1Image(values.astype(np.float32), GRID.affine), rng.standard_normal((120, 2))
    expected = parcel_courses(parcel_means(volumes, GREY), taken, 2.1, 128.0)
    units = voxels(volumes, NEAR, taken, 2.1, 128.0)
    shown = units.in_parcels(units.courses, np.zeros((120, len(parcels().names)), np.float32))
    known = np.isfinite(expected).all(axis=1)
    np.testing.assert_allclose(shown[:, known], expected[known].T, atol=2e-4)
    np.testing.assert_allclose(np.bincount(units.parcel, units.share)[np.unique(units.parcel)], 1.0, rtol=1e-5)
