"""The parts of the brain that fMRI is told by: 300 places of cortex, basal ganglia, thalamus and cerebellum.

Source: Seitzman et al., *NeuroImage* 206 (2020), as nilearn ships them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nilearn import datasets
from nilearn.image import coord_transform
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

REACH_MM = 15.0
"""What is farther from every parcel's centre belongs to none."""

_IMAGE_MM = 4


@dataclass(frozen=True)
class Parcels:
    """The parcels.

    Attributes:
        names: such as ``Visual 3``: the network, and the number in it.
        networks: that each belongs to.
        regions: ``cortexL``, ``cortexR``, ``cortexMid``, ``thalamus`` and so on.
        centres: ``(n, 3)`` in mm, MNI coordinates.
    """

    names: tuple[str, ...]
    networks: tuple[str, ...]
    regions: tuple[str, ...]
    centres: Floats

    def of(self, network: str) -> NDArray[np.int64]:
        """The numbers of a network's parcels."""
        return np.flatnonzero(np.array(self.networks) == network)


@cache
def parcels() -> Parcels:
    """All of them, in the atlas's order."""
    atlas = datasets.fetch_coords_seitzman_2018()
    networks = tuple(str(network) for network in atlas.networks)
    names = tuple(f"{network} {networks[: number + 1].count(network)}" for number, network in enumerate(networks))
    centres = np.array([atlas.rois[axis] for axis in "xyz"], np.float64).T
    return Parcels(names, networks, tuple(str(region) for region in atlas.regions), centres)


@cache
def parcel_image() -> Nifti1Image:
    """``parcel_labels`` of the template's grey matter: what is told of parcels is shown on it."""
    grey: Nifti1Image = datasets.load_mni152_gm_mask(resolution=_IMAGE_MM)
    return parcel_labels(grey)


def parcel_labels(mask: Nifti1Image) -> Nifti1Image:
    """The parcel of each voxel, the nearest one: its number from 1 on, zero outside the mask and far from all.

    Args:
        mask: 3-D in MNI space, above zero where there is brain.
    """
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    places = np.stack(coord_transform(*voxels.T, mask.affine), axis=1)
    distance, nearest = cKDTree(parcels().centres).query(places)
    labels = np.zeros(mask.shape, np.int16)
    labels[tuple(voxels.T)] = np.where(distance <= REACH_MM, nearest + 1, 0)
    return Nifti1Image(labels, mask.affine)
