"""Movement that is simulated is found again, to a fraction of a voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image
from scipy.spatial.transform import Rotation
from simulated_bold import simulated

from cortexcast_training.eegfmri.brain_mask import brain_mask
from cortexcast_training.eegfmri.motion_correction import (
    MotionError,
    estimate_motion,
    framewise_displacement,
    maps_of,
)
from cortexcast_training.eegfmri.scan import Scan, ScanSettings

FULL_SIZE = ScanSettings().model_dump(include={"shape", "voxel_mm"})
"""The bound is for scans as they are, not for the coarse ones of other tests."""


def estimated(scan: Scan) -> np.ndarray:
    volumes = np.asarray(scan.volumes.dataobj, np.float32)
    mean = Nifti1Image(volumes.mean(axis=3), scan.volumes.affine)
    return estimate_motion(volumes, scan.volumes.affine, brain_mask(mean))


def off(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What is left of each volume's movement since the first, in mm and degrees."""
    left = np.linalg.inv(maps_of(truth)) @ maps_of(estimate)
    turns = Rotation.from_matrix(left[:, :3, :3]).as_rotvec(degrees=True)
    return np.concatenate([left[:, :3, 3], turns], axis=1)


@pytest.mark.parametrize(("shift_mm", "turn_deg"), [(0.3, 0.3), (3.0, 3.0)])
def test_movement_is_found(shift_mm: float, turn_deg: float) -> None:
    """With activity, drift, pulse, breathing and noise in every voxel."""
    _, scan = simulated(12, shift_mm=shift_mm, turn_deg=turn_deg, **FULL_SIZE)
    moved = np.abs(scan.motion * np.r_[1, 1, 1, np.degrees([1, 1, 1])]).max()
    assert moved > 2 * shift_mm
    estimate = estimated(scan)
    np.testing.assert_allclose(estimate[0], 0, atol=1e-9)
    assert np.abs(off(estimate, scan.motion)).max() < 0.2


def test_a_brain_that_is_still_does_not_move() -> None:
    _, scan = simulated(8, shift_mm=0.0, turn_deg=0.0, **FULL_SIZE)
    assert np.abs(off(estimated(scan), np.zeros((8, 6)))).max() < 0.15


def test_voxels_may_lie_in_any_way() -> None:
    """Left-handed, and the axes in another order: the same movement in mm."""
    _, scan = simulated(6, shift_mm=1.0, turn_deg=1.0)
    volumes = np.asarray(scan.volumes.dataobj)
    other = np.ascontiguousarray(np.moveaxis(volumes[::-1], 2, 0))
    to_old = np.array([[0, -1, 0, volumes.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    flipped = Scan(Nifti1Image(other, scan.volumes.affine @ to_old), scan.slice_times, scan.motion)
    np.testing.assert_allclose(estimated(flipped), estimated(scan), atol=1e-3)


@given(st.integers(0, 99), st.floats(-80, 80))
def test_displacement_is_that_of_the_head_wherever_the_origin_is(seed: int, far_mm: float) -> None:
    """Power's sum of shifts and of turns at 50 mm, about the brain's middle."""
    rng = np.random.default_rng(seed)
    centre = np.array([far_mm, -far_mm, 10.0])
    motion = np.concatenate([rng.normal(0, 1, (9, 3)), rng.normal(0, 0.02, (9, 3))], axis=1)
    about = maps_of(motion)
    about[:, :3, 3] += centre - about[:, :3, :3] @ centre
    elsewhere = np.concatenate([about[:, :3, 3], motion[:, 3:]], axis=1)
    expected = np.abs(np.diff(motion[:, :3], axis=0)).sum(axis=1) + 50 * np.abs(np.diff(motion[:, 3:], axis=0)).sum(
        axis=1
    )
    np.testing.assert_allclose(framewise_displacement(elsewhere, centre), np.r_[0.0, expected], atol=1e-9)


def test_a_volume_of_something_else_is_told() -> None:
    """As of a scanner that was stopped: noise."""
    _, scan = simulated(4, shift_mm=0.0, turn_deg=0.0)
    volumes = np.asarray(scan.volumes.dataobj).copy()
    volumes[..., 3] = np.random.default_rng(0).integers(0, 100, volumes.shape[:3])
    with pytest.raises(MotionError, match="volume 4 is unlike the others"):
        estimated(Scan(Nifti1Image(volumes, scan.volumes.affine), scan.slice_times, scan.motion))
