"""Parcels are those of the simulated brain, at the times that are told, and a real scan goes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from nibabel.nifti1 import Nifti1Image
from simulated_bold import TR_S, anatomy, correlation, read, simulated

from cortexcast_training.eegfmri import bold_preprocessing
from cortexcast_training.eegfmri.bold_file import BoldError, BoldScan, read_bold
from cortexcast_training.eegfmri.bold_preprocessing import PreprocessedBold, PreprocessingSettings, preprocess_bold
from cortexcast_training.eegfmri.brain_template import template, template_brain
from cortexcast_training.eegfmri.normalisation import NormalisationSettings, Registration, dice
from cortexcast_training.eegfmri.nuisance import NuisanceSettings, without_nuisance
from cortexcast_training.eegfmri.parcel_bold import ParcelBold
from cortexcast_training.eegfmri.resampling import moved, places, sample_linear
from cortexcast_training.eegfmri.scan import Scan, interleaved

N_VOLUMES = 30
LINE = NuisanceSettings(motion=0, tissue=False, longest_period_s=None)
QUICK = PreprocessingSettings(normalisation=NormalisationSettings(voxel_mm=4, affine_mm=6, warp=False), nuisance=LINE)


@pytest.fixture(scope="module")
def simulation() -> tuple[ParcelBold, Scan]:
    return simulated(N_VOLUMES, shift_mm=1.0, turn_deg=1.0)


@pytest.fixture(scope="module")
def run(simulation: tuple[ParcelBold, Scan]) -> PreprocessedBold:
    return preprocess_bold(read(simulation[1]), anatomy().t1, QUICK)


def likeness(courses: np.ndarray, truth: np.ndarray) -> float:
    """Median over parcels of what both have in common, a line taken out of both."""
    straight = without_nuisance(100 + truth, np.empty((truth.shape[1], 0)), TR_S, None)
    return float(np.median(correlation(courses, straight)))


def test_parcels_show_the_brain_nearly_as_well_as_before_the_scanner(
    simulation: tuple[ParcelBold, Scan], run: PreprocessedBold
) -> None:
    truth = simulation[0]
    assert run.parcels.shape == truth.neural.shape
    assert np.isfinite(run.parcels).all()
    before = likeness(truth.signal, truth.neural)
    assert 0.5 < before < 0.8
    assert likeness(run.parcels, truth.neural) > 0.9 * before
    # Of the right size, too.
    assert run.parcels.std() == pytest.approx(truth.signal.std(), rel=0.25)


def test_motion_correction_is_what_makes_it_so(
    simulation: tuple[ParcelBold, Scan], run: PreprocessedBold, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, scan = simulation
    monkeypatch.setattr(bold_preprocessing, "normalise", lambda *_: run.registration)
    without = preprocess_bold(read(scan), anatomy().t1, QUICK.model_copy(update={"motion_correction": False}))
    assert not without.motion.any()
    assert likeness(without.parcels, truth.neural) < 0.8 * likeness(run.parcels, truth.neural)


def test_volumes_are_in_mni_space(run: PreprocessedBold) -> None:
    grid = template(4)
    assert run.volumes.shape == (*grid.shape, N_VOLUMES)
    assert np.array_equal(run.volumes.affine, grid.affine)
    assert not np.asarray(run.volumes.dataobj)[~run.brain].any()
    assert not (run.brain & ~template_brain(4)).any()
    assert run.brain.sum() > 0.85 * template_brain(4).sum()
    assert run.anatomy is not None
    inside, outside = (np.asarray(run.anatomy.dataobj)[mask].mean() for mask in (run.brain, ~template_brain(4)))
    assert inside > 20 * outside
    assert run.registration is not None
    assert run.registration.overlap > 0.9


def test_the_anatomical_scan_covers_the_template(run: PreprocessedBold) -> None:
    assert run.anatomy is not None
    assert dice(np.asarray(run.anatomy.dataobj) > 100, template_brain(4)) > 0.97
    grid = template(4)
    before = sample_linear(np.asarray(anatomy().t1.dataobj, np.float32), anatomy().t1.affine, voxels(grid))
    assert dice(before.reshape(grid.shape) > 100, template_brain(4)) < 0.92


def test_voxels_of_the_template_are_found_in_both_scans(run: PreprocessedBold) -> None:
    """Which are of one head in one place."""
    found = run.registration
    assert found is not None
    assert found.in_anatomy is not None
    assert found.bold_to_anatomy is not None
    true = moved(anatomy().from_mni, voxels(template(4)))[:, template_brain(4).ravel()]
    for points, most_mm in ((found.in_anatomy, 1.5), (found.points, 2.5)):
        assert np.linalg.norm(points[:, template_brain(4).ravel()] - true, axis=0).max() < most_mm
    turn = found.bold_to_anatomy[:3, :3]
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-6)


def voxels(image: Nifti1Image) -> np.ndarray:
    return places(image.shape, np.asarray(image.affine, np.float64))


def test_displacement_is_that_of_the_simulated_head(simulation: tuple[ParcelBold, Scan], run: PreprocessedBold) -> None:
    assert run.displacement.shape == (N_VOLUMES,)
    assert run.displacement[0] == 0
    steps = np.diff(simulation[1].motion, axis=0) * np.r_[1, 1, 1, 50, 50, 50]
    assert np.corrcoef(run.displacement[1:], np.abs(steps).sum(axis=1))[0, 1] > 0.8


@pytest.mark.parametrize(
    ("update", "first_s"),
    [
        ({}, 0.0),
        ({"slice_time_share": 0.5}, 0.5 * TR_S),
        ({"slice_timing": False}, TR_S * 47 / 96),
    ],
)
def test_what_a_volume_shows_was_at_its_time(
    update: dict[str, object], first_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A brain that gets brighter by a percent a second, all over: its brightness tells the time."""
    grid, slice_times = template(4), interleaved(template(4).shape[2], TR_S)
    when = slice_times[:, np.newaxis] + TR_S * np.arange(12)
    brain = scipy.ndimage.binary_dilation(template_brain(4))
    volumes = np.where(brain[..., np.newaxis], 1000 * (1 + when / 100), 10).astype(np.float32)
    found = Registration(places(grid.shape, grid.affine), None, np.eye(4), None, 0.0, 1.0)
    monkeypatch.setattr(bold_preprocessing, "normalise", lambda *_: found)
    settings = QUICK.model_copy(update={"motion_correction": False, **update})
    run = preprocess_bold(BoldScan(Nifti1Image(volumes, grid.affine), TR_S, slice_times), None, settings)
    assert run.times[0] == pytest.approx(first_s)
    np.testing.assert_allclose(np.diff(run.times), TR_S)
    shown_s = 100 * (np.asarray(run.volumes.dataobj)[run.brain] / 1000 - 1)
    # The ends of the run are held, not made up.
    off = (shown_s - run.times)[:, 1:-1]
    assert abs(off.mean()) < 0.05 * TR_S
    if settings.slice_timing:
        assert np.percentile(np.abs(off), 99) < 0.1 * TR_S
    else:
        assert np.percentile(np.abs(off), 99) > 0.4 * TR_S


def test_slice_times_that_are_not_known_are_asked_for(simulation: tuple[ParcelBold, Scan]) -> None:
    scan = replace(read(simulation[1]), slice_times=None)
    with pytest.raises(BoldError, match="slice times are not known: put SliceTiming into the sidecar, or set"):
        preprocess_bold(scan, None, QUICK)


def test_a_scan_without_a_brain_is_told() -> None:
    values = np.zeros((10, 10, 10, 5), np.float32)
    values[5, 5, 5] = np.arange(1, 6)
    scan = BoldScan(Nifti1Image(values, np.diag([4.0, 4.0, 4.0, 1.0])), TR_S, np.zeros(10))
    with pytest.raises(BoldError, match="no brain is to be seen in the mean volume"):
        preprocess_bold(scan, None, QUICK)


def test_a_real_scan_goes_through_and_gives_the_same_again(real_data: Path) -> None:
    """Of voxels of 25 mm, without an anatomical scan."""
    scan = read_bold(real_data / "bold" / "run001" / "bold_25mm.nii.gz")
    scan = replace(scan, volumes=scan.volumes.slicer[..., :60])
    settings = PreprocessingSettings(slice_timing=False, normalisation=QUICK.normalisation)
    run, again = (preprocess_bold(scan, None, settings) for _ in range(2))
    assert np.array_equal(run.parcels, again.parcels, equal_nan=True)
    scanned = np.isfinite(run.parcels).all(axis=1)
    assert scanned.sum() > 250
    assert run.parcels.shape == (300, 60)
    assert run.times[0] == 1.25
    assert 0.1 < run.parcels[scanned].std() < 3
    assert run.registration is not None
    assert run.registration.overlap > 0.75
    assert 0 < run.displacement.mean() < 1
