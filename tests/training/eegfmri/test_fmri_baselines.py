"""Each baseline finds what it is made for, in runs where nothing else is to be found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.fmri_baselines import alpha_power, group_mean, lagged, lagged_ridge, shifted
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.runs import HOP_S, Run, hops_at
from cortexcast_training.metrics import correlation_of_sensors, explained_variance

N_HOPS, N_ELECTRODES, N_PARCELS = 1200, 6, 5
ALPHA = [2, 3]


def made_run(seed: int, subject: str = "a", film: str = "film01", *, driven_by: int | None = None) -> Run:
    """BOLD that follows alpha, or one band of one electrode alone; parcels alike but for their size and noise."""
    rng = np.random.default_rng(seed)
    power = -25 + rng.standard_normal((N_HOPS, N_ELECTRODES, len(BANDS)))
    slow = np.convolve(rng.standard_normal(N_HOPS), np.ones(16) / 4, "same")
    if driven_by is None:
        power[:, :, ALPHA] += 2 * slow[:, np.newaxis, np.newaxis]
    else:
        power[:, driven_by, 6] += 2 * slow
    response = bold(slow[np.newaxis], np.array([5.25]), 1 / HOP_S)[0]
    hops = hops_at(2.1 * np.arange(5.0, 140.0), N_HOPS)
    signal = np.outer(np.arange(1, N_PARCELS + 1), response[hops])
    noise = 0.3 * signal.std(axis=1, keepdims=True) * rng.standard_normal(signal.shape)
    return Run(subject, film, power.astype(np.float32), (signal + noise).astype(np.float32), hops)


TRAIN = [made_run(seed) for seed in range(4)]
TEST = made_run(10, "b")


def test_alpha_power_is_found_by_its_regressor_and_by_ridge() -> None:
    for method in (alpha_power(TRAIN), *lagged_ridge(TRAIN[:3], TRAIN[3:])):
        assert correlation_of_sensors(TEST.bold.T, method(TEST)).min() > 0.7
        # Each parcel in its own size.
        assert explained_variance(TEST.bold.T, method(TEST)) > 0.5


def test_what_one_electrode_shows_is_found_by_ridge_alone() -> None:
    train = [made_run(seed, driven_by=2) for seed in range(6)]
    test = made_run(10, "b", driven_by=2)
    assert explained_variance(test.bold.T, alpha_power(train)(test)) < 0.1
    (ridge,) = lagged_ridge(train[:5], train[5:])
    assert explained_variance(test.bold.T, ridge(test)) > 0.5


def test_one_course_needs_but_rank_one() -> None:
    whole, reduced = lagged_ridge(TRAIN[:3], TRAIN[3:], ranks=(None, 1))
    assert np.linalg.matrix_rank(np.diff(reduced(TEST), axis=0), tol=1e-3) == 1
    assert explained_variance(TEST.bold.T, reduced(TEST)) > explained_variance(TEST.bold.T, whole(TEST)) - 0.02


def test_eeg_of_another_time_says_nothing() -> None:
    assert explained_variance(TEST.bold.T, alpha_power(TRAIN)(shifted(TEST, 60.0))) < 0.1


def test_the_group_mean_is_of_others_who_saw_the_same_film() -> None:
    others = [made_run(1, "c"), made_run(2, "d"), made_run(3, "e", "film02"), made_run(4, "b")]
    expected = np.mean([others[0].bold.T, others[1].bold.T], axis=0)
    np.testing.assert_allclose(group_mean(TEST, others), expected, rtol=1e-6)
    assert not group_mean(TEST, others[2:]).any()


def test_what_was_not_scanned_is_no_number_of_any_baseline() -> None:
    without = [
        replace(run, bold=np.where(np.arange(N_PARCELS)[:, None] == 2, np.float32(np.nan), run.bold)) for run in TRAIN
    ]
    for method in (alpha_power(without), *lagged_ridge(without[:3], without[3:])):
        given = method(TEST)
        assert np.isfinite(given).all()
        assert not given[:, 2].any()
    assert np.isfinite(group_mean(TEST, [replace(run, subject="c") for run in without])).all()


def test_lags_look_back_and_never_ahead() -> None:
    power = np.full((N_HOPS, N_ELECTRODES, len(BANDS)), -25, np.float32)
    power[600, 3, 4] = 0.0
    run = Run("a", "film01", power, TEST.bold, np.arange(590, 590 + len(TEST.hops)))
    features = np.abs(lagged(run)).sum(axis=1)
    assert features[:10] == pytest.approx(0, abs=1e-3)
    assert features[10:60].max() > 1.0
    assert features[10:60].argmax() < 12
