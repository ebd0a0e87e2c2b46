"""The MNI152 template that scans are brought to, as nilearn ships it: 2009, symmetric, its skull stripped."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.ndimage
from nibabel.nifti1 import Nifti1Image
from nilearn import datasets
from numpy.typing import NDArray

from cortexcast_training.eegfmri.resampling import places, sample_linear

Mask = NDArray[np.bool_]

_SURELY_WHITE, _MOSTLY = 0.9, 0.5
_HARDLY_ANY = 0.2
_GREY_MM = 2
_INSIDE_MM = 12
"""So far from the brain's edge there is fluid in ventricles alone."""


@cache
def template(voxel_mm: int) -> Nifti1Image:
    """The T1 of the template, ``(x, y, z)``."""
    image: Nifti1Image = datasets.load_mni152_template(resolution=voxel_mm)
    return image


@cache
def template_brain(voxel_mm: int) -> Mask:
    """Where the brain is in it."""
    return _data(datasets.load_mni152_brain_mask(resolution=voxel_mm)) > 0


def grey_of(image: Nifti1Image) -> Mask:
    """Where more than half is grey matter, in an image's own voxels, in any MNI152 space: all are of one brain.

    nilearn's own mask of it is most of the brain, ventricles and all.
    """
    shape = image.shape[:3]
    inside = _data(datasets.load_mni152_gm_template(resolution=_GREY_MM)) * template_brain(_GREY_MM)
    values = sample_linear(inside, template(_GREY_MM).affine, places(shape, image.affine))
    return np.asarray(values.reshape(shape) > _MOSTLY)


@cache
def template_white(voxel_mm: int) -> Mask:
    """Deep white matter, a voxel away from everything else."""
    white = _data(datasets.load_mni152_wm_template(resolution=voxel_mm)) > _SURELY_WHITE
    return np.asarray(scipy.ndimage.binary_erosion(white))


@cache
def template_fluid(voxel_mm: int) -> Mask:
    """The ventricles, a voxel away from grey matter."""
    grey, white = (
        _data(load(resolution=voxel_mm))
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    inside = scipy.ndimage.binary_erosion(template_brain(voxel_mm), iterations=round(_INSIDE_MM / voxel_mm))
    near_grey = scipy.ndimage.binary_dilation(grey_of(template(voxel_mm)))
    return np.asarray(inside & ~near_grey & (grey < _HARDLY_ANY) & (white < _HARDLY_ANY))


def _data(image: Nifti1Image) -> NDArray[np.float32]:
    return np.asarray(image.dataobj, np.float32)
