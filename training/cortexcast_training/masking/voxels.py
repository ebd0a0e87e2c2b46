"""Voxels of grey matter, each as a part of its parcel: what is masked where parcels are too coarse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.brain_template import grey_of
from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings, PreprocessedRun
from cortexcast_training.eegfmri.nuisance import without_nuisance
from cortexcast_training.eegfmri.parcels import parcel_labels
from cortexcast_training.masking.effects import Units
from cortexcast_training.masking.explain import ExplainError, Source

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def voxel_image(runs: Sequence[PreprocessedRun]) -> Nifti1Image:
    """The number of each voxel of grey matter near a parcel that any run has, from one on.

    Raises:
        ExplainError: runs have different voxels, or a mask cannot be read.
    """
    try:
        first, *others = (nibabel.load(run.mask) for run in runs)
    except (OSError, ImageFileError) as error:
        raise ExplainError(f"a mask cannot be read ({error}): preprocess that run anew") from None
    scanned = np.asarray(first.dataobj) > 0
    for mask in others:
        if mask.shape != first.shape or not np.allclose(mask.affine, first.affine, atol=1e-3):
            raise ExplainError("runs have different voxels: preprocess all by the same program and settings")
        scanned |= np.asarray(mask.dataobj) > 0
    inside = _parcel_of(scanned & grey_of(first), first.affine) > 0
    numbers = np.zeros(inside.shape, np.int32)
    numbers[inside] = np.arange(1, inside.sum() + 1)
    return Nifti1Image(numbers, first.affine)


def of_voxels(run: PreprocessedRun, image: Nifti1Image, folder: Path) -> Source:
    """A run whose voxels are masked: those that preprocessing has made its parcels of.

    Args:
        run: as it was preprocessed.
        image: of ``voxel_image``.
        folder: that the run is in.

    Raises:
        RunError, ExplainError: a file of it cannot be read.
    """
    known, numbers = run.run(), np.asarray(image.dataobj)
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        how = EegFmriSettings.model_validate({name: settings[name] for name in EegFmriSettings.model_fields})
        there = (numbers > 0) & (np.asarray(nibabel.load(run.mask).dataobj) > 0)
        units = voxels(nibabel.load(run.bold), there, run.nuisance(), known.tr_s, how.bold.nuisance.longest_period_s)
    except (OSError, ValueError, KeyError, EOFError, ImageFileError) as error:
        raise ExplainError(f"{run.bold.parent} or settings.json is damaged ({error}): preprocess it anew") from None
    return Source(known, numbers[there].astype(np.int64) - 1, units.parcel, units.share, units.courses)


def voxels(volumes: Nifti1Image, there: Mask, taken: Floats, tr_s: float, longest_period_s: float | None) -> Units:
    """Voxels with their courses in percent: together, by their brightness, they are their parcel's course.

    Args:
        volumes: ``(x, y, z, n_volumes)`` in the scanner's numbers.
        there: ``(x, y, z)``, the voxels, all of them near a parcel.
        taken: nuisance, ``(n_volumes, n_regressors)``.
        tr_s: from volume to volume.
        longest_period_s: slower drift goes.
    """
    parcel = _parcel_of(there, volumes.affine)[there].astype(np.int64) - 1
    recorded = np.asarray(volumes.dataobj, np.float32)[there].astype(np.float64)
    courses = without_nuisance(recorded, taken, tr_s, longest_period_s)
    brightness = recorded.mean(axis=1)
    share = brightness / np.bincount(parcel, brightness)[parcel]
    return Units(parcel, share.astype(np.float32), courses.astype(np.float32))


def _parcel_of(mask: Mask, affine: Floats) -> NDArray[np.int16]:
    return np.asarray(parcel_labels(Nifti1Image(mask.astype(np.int8), affine)).dataobj)
