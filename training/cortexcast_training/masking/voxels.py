"""Voxels of grey matter, each as a part of its parcel: what is masked where parcels are too coarse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.brain_template import grey_of
from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings, PreprocessedRun
from cortexcast_training.eegfmri.nuisance import without_nuisance
from cortexcast_training.eegfmri.parcels import parcel_labels
from cortexcast_training.masking.effects import Units
from cortexcast_training.masking.explain import ExplainError, Source

Floats = NDArray[np.float64]


def voxel_image(runs: Sequence[PreprocessedRun]) -> Nifti1Image:
    """The number of each voxel of the grey matter that all runs have, from one on.

    Raises:
        ExplainError: runs have different voxels, or none in common.
    """
    masks = [nibabel.load(run.mask) for run in runs]
    if len({mask.shape for mask in masks}) > 1:
        raise ExplainError("runs have different voxels: preprocess all by the same program and settings")
    grey = np.all([np.asarray(mask.dataobj) > 0 for mask in masks], axis=0) & grey_of(masks[0])
    labels = np.asarray(parcel_labels(Nifti1Image(grey.astype(np.int8), masks[0].affine)).dataobj)
    inside = labels > 0
    if not inside.any():
        raise ExplainError("no voxel near a parcel was scanned in all runs: look at their masks")
    numbers = np.zeros(labels.shape, np.int32)
    numbers[inside] = np.arange(1, inside.sum() + 1)
    return Nifti1Image(numbers, masks[0].affine)


def of_voxels(run: PreprocessedRun, image: Nifti1Image, folder: Path) -> Source:
    """A run whose voxels are masked.

    Args:
        run: as it was preprocessed.
        image: the voxels.
        folder: that the run is in.
    """
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    how = EegFmriSettings.model_validate({name: settings[name] for name in EegFmriSettings.model_fields})
    known = run.run()
    units = voxels(nibabel.load(run.bold), image, run.nuisance(), known.tr_s, how.bold.nuisance.longest_period_s)
    return Source(known, np.arange(len(units.parcel)), units.parcel, units.share, units.courses)


def voxels(
    volumes: Nifti1Image, image: Nifti1Image, taken: Floats, tr_s: float, longest_period_s: float | None
) -> Units:
    """Voxels with their courses in percent: together, by their brightness, they are their parcel's course.

    Args:
        volumes: ``(x, y, z, n_volumes)`` in the scanner's numbers.
        image: above zero where there is a voxel to mask.
        taken: nuisance, ``(n_volumes, n_regressors)``.
        tr_s: from volume to volume.
        longest_period_s: slower drift goes.
    """
    there = np.asarray(image.dataobj) > 0
    labels = np.asarray(parcel_labels(Nifti1Image(there.astype(np.int8), image.affine)).dataobj)
    parcel = labels[there].astype(np.int64) - 1
    recorded = np.asarray(volumes.dataobj, np.float32)[there].astype(np.float64)
    courses = without_nuisance(recorded, taken, tr_s, longest_period_s)
    brightness = recorded.mean(axis=1)
    share = brightness / np.bincount(parcel, brightness)[parcel]
    return Units(parcel, share.astype(np.float32), courses.astype(np.float32))
