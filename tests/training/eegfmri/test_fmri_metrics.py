"""Each number is right where it is known: by hand, by simulation, by chance."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.fmri_metrics import (
    MIN_SHIFT_S,
    connectivity_error,
    crps,
    shifted_correlations,
    significant,
    two_against_two,
    two_way_identification,
)

TR_S = 2.0


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_crps_is_the_integral_that_it_stands_for() -> None:
    recorded, mean, std = 0.7, 0.2, 1.3
    from scipy.stats import norm

    x = np.linspace(-20, 20, 400_001)
    integral = np.trapezoid((norm.cdf(x, mean, std) - (x >= recorded)) ** 2, x)
    assert crps(np.array([recorded]), np.array([mean]), np.array([std])) == pytest.approx(integral, abs=1e-4)


def test_crps_is_best_where_the_standard_deviation_is_right() -> None:
    error = normal(20_000, 1)
    scores = [crps(error, np.zeros_like(error), np.full_like(error, std)) for std in (0.5, 1.0, 2.0)]
    assert scores[1] == min(scores)


def test_connectivity_error_is_zero_of_the_same_and_of_what_lacks_each_outputs_own_noise() -> None:
    recorded = normal(200, 5) @ normal(5, 5, seed=1)
    assert connectivity_error(recorded, recorded + 1) == pytest.approx(0, abs=1e-12)
    signal = normal(20_000, 2) @ normal(2, 6, seed=1)
    noisy = signal + normal(20_000, 6, seed=2)
    assert connectivity_error(noisy, signal) < 0.02
    assert connectivity_error(noisy, np.zeros_like(signal)) > 0.1
    # Of two courses that correlate by one, against two that do by minus one.
    one = normal(50, 1)
    assert connectivity_error(np.hstack([one, one]), np.hstack([one, -one])) == pytest.approx(2.0)
    assert connectivity_error(np.hstack([one, one]), np.zeros((50, 2))) == pytest.approx(1.0)


def test_shifts_are_all_far_enough() -> None:
    course = np.zeros((60, 1))
    course[5] = 1.0
    r = shifted_correlations(course, course, TR_S)
    assert len(r) == 60 - 2 * round(MIN_SHIFT_S / TR_S) + 1
    assert r.max() < 0.1


def test_what_correlates_is_significant_and_what_does_not_is_not() -> None:
    recorded = [normal(200, 40, seed=run) for run in range(4)]
    estimated = [normal(200, 40, seed=10 + run) for run in range(4)]
    for run in range(4):
        estimated[run][:, :10] += 0.5 * recorded[run][:, :10]
    found = significant(recorded, estimated, TR_S)
    assert found[:10].all()
    assert found[10:].sum() <= 4


def test_slow_courses_are_not_significant_by_being_slow() -> None:
    """As many as the level allows, over many seeds, though both are smooth."""

    def slow(seed: int) -> np.ndarray:
        return np.array([np.convolve(row, np.ones(6), "valid") for row in normal(20, 205, seed=seed)]).T

    found = [significant([slow(seed)], [slow(100 + seed)], TR_S).any() for seed in range(20)]
    assert np.mean(found) <= 0.25


@pytest.mark.parametrize("accuracy", [two_way_identification, two_against_two])
def test_identification_is_perfect_of_the_same_and_half_by_chance(accuracy: object) -> None:
    assert callable(accuracy)
    shown = normal(40, 30)
    assert accuracy(shown, 2 * shown + 3) == 1.0
    by_chance = [accuracy(shown, normal(40, 30, seed=seed)) for seed in range(1, 30)]
    assert np.mean(by_chance) == pytest.approx(0.5, abs=0.03)
    assert 0.6 < accuracy(shown, shown + 3 * normal(40, 30, seed=1)) < 1.0


def test_an_estimate_of_nothing_is_chance() -> None:
    shown = np.random.default_rng(0).standard_normal((20, 8))
    assert two_way_identification(shown, np.zeros_like(shown)) == 0.5
    assert two_against_two(shown, np.zeros_like(shown)) == 0.5


def test_one_estimate_against_two_segments_is_told_apart_less_often_than_two_against_two() -> None:
    shown = normal(60, 8)
    estimated = shown + 2 * normal(60, 8, seed=1)
    assert two_way_identification(shown, estimated) < two_against_two(shown, estimated) < 1.0
    # As its name says: of all pairs of an estimate and another segment.
    own = [np.corrcoef(shown[i], estimated[i])[0, 1] for i in range(60)]
    right = [own[i] > np.corrcoef(shown[j], estimated[i])[0, 1] for i in range(60) for j in range(60) if j != i]
    assert two_way_identification(shown, estimated) == pytest.approx(np.mean(right))
