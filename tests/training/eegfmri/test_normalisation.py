"""Brains are brought to the template, with the skull and without, folded otherwise, and where headers are off."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from dipy.align.transforms import AffineTransform3D, RigidTransform3D
from nibabel.nifti1 import Nifti1Image
from simulated_bold import anatomy, simulated

from cortexcast_training.eegfmri import normalisation
from cortexcast_training.eegfmri.anatomy import Anatomy
from cortexcast_training.eegfmri.brain_mask import brain_mask
from cortexcast_training.eegfmri.brain_template import template, template_brain
from cortexcast_training.eegfmri.normalisation import (
    NormalisationSettings,
    RegistrationError,
    normalise,
)
from cortexcast_training.eegfmri.resampling import moved, places, sample_linear

MM = 4
AFFINE = NormalisationSettings(voxel_mm=MM, affine_mm=6, warp=False)
WARP = NormalisationSettings(voxel_mm=MM, affine_mm=6, warp_mm=4)


@pytest.fixture(scope="module")
def mean() -> Nifti1Image:
    """Of volumes."""
    _, scan = simulated(2, shape=(25, 31, 22), voxel_mm=(7.0, 7.0, 7.0), shift_mm=0.0, turn_deg=0.0)
    return Nifti1Image(np.asarray(scan.volumes.dataobj, np.float32).mean(axis=3), scan.volumes.affine)


def errors_mm(found: np.ndarray, of: Anatomy) -> np.ndarray:
    """How far off the voxels of the template's brain are."""
    grid = template(MM)
    true = moved(of.from_mni, places(grid.shape, grid.affine))
    return np.asarray(np.linalg.norm(found - true, axis=0)[template_brain(MM).ravel()])


def test_without_an_anatomical_scan_the_volumes_are_brought_to_the_template(mean: Nifti1Image) -> None:
    found = normalise(mean, brain_mask(mean), None, AFFINE.model_copy(update={"affine_mm": 5}))
    assert found.in_anatomy is found.bold_to_anatomy is None
    assert errors_mm(found.points, anatomy()).mean() < 2
    assert found.overlap > 0.9


def test_a_head_with_its_skull_whose_origin_was_lost_is_found(mean: Nifti1Image) -> None:
    """As when somebody has set the origin elsewhere: here 40 mm away."""
    t1 = anatomy().t1
    values = np.asarray(t1.dataobj, np.float32).copy()
    far_mm = 2 * scipy.ndimage.distance_transform_edt(values < 50)
    values[(far_mm > 2) & (far_mm < 7)] = 60
    values[(far_mm >= 7) & (far_mm < 14)] = 1400
    values[35:60, 35:60, :8] = 700
    elsewhere = np.eye(4)
    elsewhere[:3, 3] = [10, -30, 25]
    head = Nifti1Image(values, elsewhere @ t1.affine)
    found = normalise(mean, brain_mask(mean), head, NormalisationSettings(voxel_mm=MM, affine_mm=5, warp=False))
    assert found.in_anatomy is not None
    assert errors_mm(moved(np.asarray(np.linalg.inv(elsewhere), np.float64), found.in_anatomy), anatomy()).mean() < 2
    assert errors_mm(found.points, anatomy()).mean() < 3


def test_a_brain_that_is_folded_otherwise_is_warped(mean: Nifti1Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bent smoothly by 4 mm along each axis; the warp takes most of it away."""
    rng = np.random.default_rng(0)
    straight = anatomy().t1
    bend = np.stack([scipy.ndimage.gaussian_filter(rng.standard_normal(straight.shape), 10) for _ in range(3)])
    bend *= 4 / bend.std()
    at = np.indices(straight.shape) + bend / 2
    values = scipy.ndimage.map_coordinates(np.asarray(straight.dataobj, np.float32), at, order=1)
    bent = Nifti1Image(values, straight.affine)
    by_wanted = {RigidTransform3D: np.eye(4), AffineTransform3D: anatomy().from_mni}
    monkeypatch.setattr(normalisation, "_align", lambda *given: by_wanted[type(given[3])])
    found = normalise(mean, brain_mask(mean), bent, WARP)
    assert found.in_anatomy is not None
    grid = template(MM)
    errors = []
    for where in (moved(found.affine, places(grid.shape, grid.affine)), found.in_anatomy):
        # Where the unbent brain had what is there now.
        back = where + np.stack([sample_linear(each.astype(np.float32), straight.affine, where) for each in bend])
        errors.append(errors_mm(back, anatomy()).mean())
    assert found.warp_mm > 2
    assert errors[0] > 3
    assert errors[1] < 0.6 * errors[0]


def test_what_is_no_brain_is_told(mean: Nifti1Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is found far from where it is."""
    far = np.eye(4)
    far[0, 3] = 60
    monkeypatch.setattr(normalisation, "_align", lambda *_: far)
    with pytest.raises(RegistrationError, match=r"overlap by 0\.\d\d \(Dice coefficient\) and must by 0\.6"):
        normalise(mean, brain_mask(mean), None, AFFINE)
