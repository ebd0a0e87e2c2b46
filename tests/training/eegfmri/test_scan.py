"""A scan shows each parcel's course where the parcel is, when its slice is excited, under the motion that is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image
from nilearn.image import resample_img
from nilearn.masking import compute_epi_mask

from cortexcast_training.eegfmri.anatomy import Anatomy, draw_anatomy, grid, tissue
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ
from cortexcast_training.eegfmri.parcel_bold import ParcelBold
from cortexcast_training.eegfmri.scan import ScanSettings, draw_scan, interleaved, rigid

TR_S = 2.0
STILL = ScanSettings(
    shift_mm=0.0, turn_deg=0.0, drift_percent=0.0, pulse_percent=0.0, breath_percent=0.0, noise_percent=0.0
)
HEARTBEATS = np.arange(-1.0, 100.0, 0.9)
LYING_AS_THE_TEMPLATE = np.eye(4)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.array([0.95, 0.92, 0.97]), 0)


def parcel_bold(course: np.ndarray, noise: float = 0.0) -> ParcelBold:
    times = np.arange(0, course.shape[1] / ACTIVITY_HZ, TR_S)
    neural = course[:, np.round(times * ACTIVITY_HZ).astype(int)]
    return ParcelBold(times, neural + noise, neural, neural, course)


@given(st.integers(1, 60), st.floats(0.5, 4))
def test_every_slice_is_excited_once_in_a_volume(n_slices: int, tr_s: float) -> None:
    times = interleaved(n_slices, tr_s)
    np.testing.assert_allclose(np.sort(times), np.arange(n_slices) * tr_s / n_slices)
    assert (np.abs(np.diff(times)) > tr_s / n_slices * 0.99).all()


def test_a_still_brain_without_activity_does_not_change(anatomy: Anatomy) -> None:
    scan = draw_scan(STILL, anatomy, parcel_bold(np.zeros((300, 40))), TR_S, HEARTBEATS, 0)
    volumes = np.asarray(scan.volumes.dataobj)
    assert (volumes == volumes[..., :1]).all()
    assert not scan.motion.any()
    assert scan.volumes.header.get_zooms() == pytest.approx((*STILL.voxel_mm, TR_S))
    mask = np.asarray(compute_epi_mask(scan.volumes).dataobj) > 0
    litres = mask.sum() * np.prod(STILL.voxel_mm) / 1e6
    assert 1.2 < litres < 2.2


def test_a_parcel_shows_its_course_when_its_slice_is_excited(anatomy: Anatomy) -> None:
    """Every parcel rises by a percent a second: so what a voxel has risen by tells when it was seen."""
    course = np.tile(np.arange(80) / ACTIVITY_HZ, (300, 1))
    scan = draw_scan(STILL, anatomy, parcel_bold(course), TR_S, HEARTBEATS, 0)
    without = draw_scan(STILL, anatomy, parcel_bold(np.zeros((300, 80))), TR_S, HEARTBEATS, 0)
    volumes, rest = (np.asarray(each.volumes.dataobj, np.float64) for each in (scan, without))
    risen = 100 * (volumes[..., 4] / np.maximum(rest[..., 4], 1) - 1)
    active = (rest[..., 4] > 500) & (risen > 4)
    assert active.sum() > 5000
    seen = np.where(active, risen, np.nan)
    for number in np.flatnonzero(active.any(axis=(0, 1))):
        assert np.nanmean(seen[:, :, number]) == pytest.approx(4 * TR_S + scan.slice_times[number], abs=0.05)


def test_the_brain_is_where_the_motion_says(anatomy: Anatomy) -> None:
    """Moved back, a volume is the first one."""
    moving = STILL.model_copy(update={"shift_mm": 3.0, "turn_deg": 3.0})
    scan = draw_scan(moving, anatomy, parcel_bold(np.zeros((300, 240))), TR_S, HEARTBEATS, 1)
    assert not scan.motion[0].any()
    worst = int(np.abs(scan.motion[:, :3]).sum(axis=1).argmax())
    volumes, affine = np.asarray(scan.volumes.dataobj, np.float32), np.asarray(scan.volumes.affine)

    def likeness(motion: np.ndarray) -> float:
        """To the first volume, of the one that has moved most, if it has moved so."""
        back = Nifti1Image(volumes[..., worst], np.linalg.inv(rigid(motion)) @ affine)
        again = resample_img(back, affine, volumes.shape[:3], force_resample=True, copy_header=True)
        return float(np.corrcoef(np.asarray(again.dataobj).ravel(), volumes[..., 0].ravel())[0, 1])

    motion = scan.motion[worst]
    assert likeness(motion) > 0.98
    assert 1 - likeness(motion) < 0.3 * (1 - likeness(np.zeros(6)))
    assert likeness(-motion) < likeness(np.zeros(6))


def test_parcels_lie_where_they_lie_in_the_template() -> None:
    """In a brain that lies as the template, only one parcel being active."""
    course = np.zeros((300, 40))
    course[123] = 5.0
    anatomy = Anatomy(LYING_AS_THE_TEMPLATE, draw_anatomy(np.ones(3), 0).t1)
    volumes, rest = (
        np.asarray(draw_scan(STILL, anatomy, parcel_bold(each), TR_S, HEARTBEATS, 0).volumes.dataobj, np.float64)[
            ..., 2
        ]
        for each in (course, np.zeros((300, 40)))
    )
    active = np.argwhere(volumes > 1.03 * np.maximum(rest, 100))
    affine = grid(STILL.shape, STILL.voxel_mm)
    places = active @ affine[:3, :3].T + affine[:3, 3]
    _, labels, to_mni = tissue()
    expected = np.argwhere(labels == 124) @ to_mni[:3, :3].T + to_mni[:3, 3]
    assert len(active) > 5
    assert np.linalg.norm(places.mean(axis=0) - expected.mean(axis=0)) < 3


def test_noise_drift_pulse_and_breath_are_as_large_as_set(anatomy: Anatomy) -> None:
    rest = parcel_bold(np.zeros((300, 240)))
    for name, expected in (("noise", 1.0), ("drift", 1 / np.sqrt(12)), ("pulse", 0.5**0.5), ("breath", 0.5**0.5)):
        settings = STILL.model_copy(update={f"{name}_percent": 2.0})
        volumes = np.asarray(draw_scan(settings, anatomy, rest, TR_S, HEARTBEATS, 0).volumes.dataobj, np.float64)
        inside = volumes.min(axis=3) > 500
        percent = 100 * (volumes[inside] / volumes[inside].mean(axis=1, keepdims=True) - 1)
        assert percent.std() == pytest.approx(2 * expected, rel=0.1), name


def test_a_subjects_t1_has_the_size_that_is_given() -> None:
    sizes = []
    for scale in (0.9, 1.0):
        t1 = draw_anatomy(np.full(3, scale), 3).t1
        sizes.append(float((np.asarray(t1.dataobj) > 200).sum()))
    assert sizes[0] / sizes[1] == pytest.approx(0.9**3, rel=0.03)
