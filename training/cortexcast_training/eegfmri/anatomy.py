"""A subject's brain in the scanner: the MNI template, of another size and lying otherwise.

What varies is an affine map; folding is the template's in every head, as in ``head``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_mask, load_mni152_template
from nilearn.image import resample_img
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.parcels import parcel_labels

Floats = NDArray[np.float64]

_TEMPLATE_MM = 2
_ROTATION_SD_DEG = 4.0
_SHIFT_SD_MM = 5.0

_T1_MM = 2.0
_T1_SHAPE = (96, 112, 96)
_T1_BRIGHTEST = 1000.0


@dataclass(frozen=True)
class Anatomy:
    """A brain in the scanner.

    Attributes:
        from_mni: ``(4, 4)``, MNI coordinates in mm to the scanner's.
        t1: the anatomical scan, skull stripped.
    """

    from_mni: Floats
    t1: Nifti1Image


def draw_anatomy(scale: Floats, subject_seed: int) -> Anatomy:
    """The anatomy of a subject.

    Args:
        scale: ``(3,)``, the size of the head along each axis in proportion to the template.
        subject_seed: draws how the head lies.
    """
    rng = stream(subject_seed, "lying")
    from_mni = np.eye(4)
    turn = Rotation.from_rotvec(_ROTATION_SD_DEG * rng.standard_normal(3), degrees=True).as_matrix()
    from_mni[:3, :3] = turn * scale
    from_mni[:3, 3] = _SHIFT_SD_MM * rng.standard_normal(3)
    brain = _template()
    moved = Nifti1Image(np.asarray(brain.dataobj), from_mni @ brain.affine)
    t1 = resample_img(moved, grid(_T1_SHAPE, (_T1_MM,) * 3), _T1_SHAPE, "linear", force_resample=True, copy_header=True)
    brightness = _T1_BRIGHTEST * np.asarray(t1.dataobj, np.float32)
    return Anatomy(from_mni, Nifti1Image(np.round(brightness).astype(np.int16), t1.affine))


def grid(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> Floats:
    """Of voxels to mm, ``(4, 4)``: RAS, the middle of the scan at the scanner's middle."""
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * voxel_mm
    return affine


@cache
def tissue() -> tuple[Floats, NDArray[np.int16], Floats]:
    """The template as a scanner of BOLD sees it.

    Returns:
        Brightness ``(x, y, z)``, in the grey matter about one; the parcel of each voxel of grey matter, zero elsewhere;
        and the map of voxels to MNI coordinates, ``(4, 4)``.
    """
    brain = _template()
    mask: Nifti1Image = load_mni152_brain_mask(resolution=_TEMPLATE_MM)
    # White matter is brightest in T1, and darker than grey matter and fluid in T2*.
    brightness = np.where(np.asarray(mask.dataobj) > 0, 1.6 - np.asarray(brain.dataobj, np.float64), 0.0)
    grey: Nifti1Image = load_mni152_gm_mask(resolution=_TEMPLATE_MM)
    return brightness, np.asarray(parcel_labels(grey).dataobj), np.asarray(brain.affine, np.float64)


def _template() -> Nifti1Image:
    template: Nifti1Image = load_mni152_template(resolution=_TEMPLATE_MM)
    return template
