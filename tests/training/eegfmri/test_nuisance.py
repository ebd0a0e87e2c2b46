"""What is named goes, all else stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image

from cortexcast_training.eegfmri.brain_template import (
    grey_of,
    template,
    template_brain,
    template_fluid,
    template_white,
)
from cortexcast_training.eegfmri.nuisance import NuisanceError, NuisanceSettings, regressors, without_nuisance
from cortexcast_training.eegfmri.parcel_courses import parcel_courses, parcel_means
from cortexcast_training.eegfmri.parcels import parcel_labels

N, TR_S = 120, 2.0
NONE = np.empty((N, 0))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.sampled_from([0, 6, 24]), st.booleans(), st.booleans(), st.integers(0, 99))
def test_what_regressors_explain_is_gone(motion: int, tissue: bool, whole_brain: bool, seed: int) -> None:
    settings = NuisanceSettings(motion=motion, tissue=tissue, whole_brain=whole_brain)  # type: ignore[arg-type]
    moves, means, whole = noise(seed, N, 6), noise(seed + 1, 2, N), noise(seed + 2, N)
    taken = regressors(settings, moves, means, whole)
    assert taken.shape == (N, motion + 2 * tissue + whole_brain)
    for number, each in enumerate((moves, means.T, whole[:, np.newaxis])):
        assert ((taken[:, :, np.newaxis] == each[:, np.newaxis]).all(axis=0).any(axis=0)).all() == (
            (motion > 0, tissue, whole_brain)[number]
        )
    courses = 1000 + noise(seed + 3, 4, N) + noise(seed + 4, 4, taken.shape[1]) @ taken.T
    cleaned = without_nuisance(courses, taken, TR_S, 128.0)
    assert np.abs(taken.T @ cleaned.T).max(initial=0) < 1e-6 * N
    assert np.abs(cleaned.mean(axis=1)).max() < 1e-9


def test_a_change_is_in_percent_of_the_mean() -> None:
    wave = np.cos(2 * np.pi * (np.arange(N) + 0.5) / 12)
    cleaned = without_nuisance(np.stack([500 + 5 * wave, 2000 + 20 * wave]), NONE, TR_S, 128.0)
    np.testing.assert_allclose(cleaned, np.stack([wave, wave]), atol=1e-6)


@pytest.mark.parametrize(("period_s", "left"), [(500.0, 0.15), (40.0, 0.9)])
def test_slow_drift_goes_and_what_is_faster_stays(period_s: float, left: float) -> None:
    """Even with a regressor that is much like the drift."""
    times = TR_S * np.arange(N)
    wave = np.cos(2 * np.pi * times / period_s)
    taken = noise(0, N, 2)
    taken[:, 1] = np.cos(np.pi * (np.arange(N) + 0.5) / N) + 0.1 * taken[:, 1]
    share = without_nuisance(100 + wave[np.newaxis], taken, TR_S, 128.0).std() / wave.std()
    assert share < left if left < 0.5 else share > left


def test_without_a_longest_period_a_line_goes_alone() -> None:
    slow = np.cos(2 * np.pi * np.arange(N) / N)
    line = np.linspace(-3, 3, N)
    cleaned = without_nuisance(100 + slow[np.newaxis] + line, NONE, TR_S, None)
    assert np.corrcoef(cleaned[0], slow)[0, 1] > 0.99


def test_runs_that_are_too_short_are_told() -> None:
    taken = noise(0, 40, 26)
    with pytest.raises(
        NuisanceError, match=r"28 regressors would leave too little of 40 volumes, of which there must be"
    ):
        without_nuisance(100 + noise(1, 3, 40), taken, TR_S, 128.0)


def test_parcels_are_means_of_their_voxels_and_none_where_nothing_was_scanned() -> None:
    grid = template(6)
    grey = grey_of(grid)
    labels = np.asarray(parcel_labels(Nifti1Image(grey.astype(np.int8), grid.affine)).dataobj)
    first = labels == 1
    assert first.any()
    values = np.full((*grid.shape, 50), 100.0, np.float32)
    values[first] += np.arange(50)
    values[~first] = 200 + noise(0, 50)
    seen = grey & (labels != 7)
    means = parcel_means(Nifti1Image(values, grid.affine), seen)
    np.testing.assert_allclose(means[0], 100 + np.arange(50))
    courses = parcel_courses(means, np.empty((50, 0)), TR_S, None)
    assert courses.shape == (300, 50)
    assert np.isnan(courses[6]).all()
    scanned = np.isfinite(courses).all(axis=1)
    assert set(np.flatnonzero(~scanned) + 1) == {7} | (set(range(1, 301)) - set(labels[grey].tolist()))


def test_tissues_lie_apart_within_the_brain() -> None:
    mm = 4
    grey = grey_of(template(mm)) & template_brain(mm)
    white, fluid = template_white(mm), template_fluid(mm)
    for tissue in (grey, white, fluid):
        assert not (tissue & ~template_brain(mm)).any()
    assert not (grey & (white | fluid)).any()
    assert not (white & fluid).any()
    litres = [each.sum() * mm**3 / 1e6 for each in (grey, white, fluid)]
    assert 0.8 < litres[0] < 1.3
    assert litres[1] > 0.05
    assert litres[2] > 0.004
    labels = np.asarray(parcel_labels(Nifti1Image(grey.astype(np.int8), template(mm).affine)).dataobj)
    assert len(np.unique(labels)) == 301
