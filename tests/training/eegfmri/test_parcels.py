"""Parcels lie where their atlas says, and every voxel near one belongs to the nearest."""

from __future__ import annotations

import numpy as np
from nilearn.datasets import load_mni152_gm_mask
from nilearn.image import coord_transform

from cortexcast_training.eegfmri.parcels import REACH_MM, parcel_labels, parcels


def test_the_atlas_is_read_as_it_is() -> None:
    atlas = parcels()
    assert len(atlas.names) == len(set(atlas.names)) == len(atlas.centres) == 300
    left, right = (np.array(atlas.regions) == f"cortex{side}" for side in "LR")
    assert (atlas.centres[left, 0] < 5).all()
    assert (atlas.centres[right, 0] > -5).all()
    assert (atlas.centres[atlas.of("Visual"), 1] < -25).all()


def test_each_voxel_belongs_to_the_nearest_parcel_in_reach() -> None:
    mask = load_mni152_gm_mask(resolution=4)
    image = parcel_labels(mask)
    labels = np.asarray(image.dataobj)
    assert not labels[np.asarray(mask.dataobj) == 0].any()
    assert set(labels[labels > 0]) == set(range(1, 301))
    for voxel in np.random.default_rng(0).permutation(np.argwhere(np.asarray(mask.dataobj) > 0))[:300]:
        place = np.array(coord_transform(*voxel, image.affine))
        distances = np.linalg.norm(parcels().centres - place, axis=1)
        label = labels[tuple(voxel)]
        if label:
            assert distances[label - 1] == distances.min() <= REACH_MM
        else:
            assert distances.min() > REACH_MM
