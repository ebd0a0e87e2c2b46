"""The courses of parcels, in percent, without nuisance."""

from __future__ import annotations

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.nuisance import without_nuisance
from cortexcast_training.eegfmri.parcels import parcel_labels, parcels

Floats = NDArray[np.float64]


def parcel_means(volumes: Nifti1Image, grey: NDArray[np.bool_]) -> Floats:
    """The mean of each parcel, ``(n_parcels, n_volumes)``; NaN where a parcel has no voxel.

    Means are of the scanner's numbers, so bright voxels, whose noise is least in proportion, count most.

    Args:
        volumes: ``(x, y, z, n_volumes)`` in MNI space.
        grey: ``(x, y, z)``, the voxels that count.
    """
    labels = np.asarray(parcel_labels(Nifti1Image(grey.astype(np.int8), volumes.affine)).dataobj)[grey]
    voxels = np.asarray(volumes.dataobj)[grey]
    means = np.full((len(parcels().names), volumes.shape[3]), np.nan)
    for label in np.unique(labels[labels > 0]):
        means[label - 1] = voxels[labels == label].mean(axis=0, dtype=np.float64)
    return means


def parcel_courses(means: Floats, taken: Floats, tr_s: float, longest_period_s: float | None) -> Floats:
    """Change in percent, nuisance taken out, ``(n_parcels, n_volumes)``; NaN where ``means`` is.

    The arguments, and the error, are those of ``without_nuisance``.
    """
    courses = np.full_like(means, np.nan)
    scanned = np.isfinite(means).all(axis=1)
    courses[scanned] = without_nuisance(means[scanned], taken, tr_s, longest_period_s)
    return courses
