"""Scores are what they say: perfect estimates have the best, zero none, and what was not recorded does not count."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.fmri_judge import (
    Estimate,
    label_accuracy,
    over_runs,
    score_bold,
    score_stimulus,
    segments,
    without_global,
)

RNG = np.random.default_rng(0)
TRUE = np.cumsum(RNG.standard_normal((200, 6)), axis=0)
TRUE -= TRUE.mean(axis=0)


def test_truth_is_perfect_and_zero_is_nothing() -> None:
    perfect, nothing = score_bold(TRUE, Estimate(TRUE)), score_bold(TRUE, Estimate(np.zeros_like(TRUE)))
    assert perfect.metrics["r"] == pytest.approx(1)
    assert perfect.metrics["r2"] == pytest.approx(1)
    assert perfect.metrics["r without global signal"] == pytest.approx(1)
    assert perfect.metrics["connectivity error"] == pytest.approx(0, abs=1e-9)
    assert nothing.metrics["r"] == 0
    assert nothing.metrics["r2"] == pytest.approx(0, abs=1e-12)
    assert nothing.metrics["connectivity error"] > 0.1


def test_an_output_that_was_not_recorded_does_not_count() -> None:
    true = TRUE.copy()
    true[:, 2] = np.nan
    std = np.full(TRUE.shape, 0.1)
    given = Estimate(TRUE + 0.1 * RNG.standard_normal(TRUE.shape), std)
    kept = [0, 1, 3, 4, 5]
    some = score_bold(true, given)
    others = score_bold(TRUE[:, kept], Estimate(given.mean[:, kept], std[:, kept]))
    assert some.metrics == pytest.approx(others.metrics)
    assert some.coverage == pytest.approx(others.coverage)
    assert np.isnan(some.r[2])
    assert np.isnan(some.r2[2])
    over = over_runs([{"model": some}, {"model": score_bold(TRUE, given)}])["model"]
    assert np.isfinite(over.r).all()


def test_intervals_hold_as_many_values_as_they_say() -> None:
    std = np.broadcast_to(RNG.uniform(0.5, 2.0, 6), TRUE.shape)
    given = Estimate(TRUE + std * RNG.standard_normal(TRUE.shape), std)
    for level, share in score_bold(TRUE, given).coverage.items():
        assert share == pytest.approx(level, abs=0.05)


def test_without_the_global_signal_what_all_share_is_gone() -> None:
    shared = TRUE[:, :1] + 0.1 * RNG.standard_normal(TRUE.shape)
    local = without_global(shared)
    np.testing.assert_allclose(local.mean(axis=1), 0, atol=1e-9)
    assert local.std() < 0.2 * shared.std()
    assert not without_global(np.zeros((5, 3))).any()


def test_what_never_changed_is_not_judged() -> None:
    shown = RNG.standard_normal((40, 3))
    shown[:, 1] = 2.0
    scores = score_stimulus(shown, Estimate(shown + 0.1), 2.0)
    assert np.isnan([scores.r[1], scores.r2[1]]).all()
    assert np.isfinite(list(scores.metrics.values())).all()
    assert scores.metrics["r"] == pytest.approx(1.0)


def test_segments_are_told_apart_by_what_was_seen_in_them() -> None:
    shown = RNG.standard_normal((20, 4)).repeat(5, axis=0)
    good = score_stimulus(shown, Estimate(shown + 0.5 * RNG.standard_normal(shown.shape)), 2.0)
    chance = score_stimulus(shown, Estimate(RNG.standard_normal((20, 4)).repeat(5, axis=0)), 2.0)
    assert good.metrics["two-way identification"] > 0.95
    assert good.metrics["two against two"] > 0.95
    assert chance.metrics["two-way identification"] == pytest.approx(0.5, abs=0.15)
    assert segments(shown, 2.0).shape == (20, 4)
    np.testing.assert_allclose(segments(shown, 2.0), shown[::5])


def test_labels_are_right_where_the_one_shown_is_among_the_likeliest() -> None:
    shown = np.array([0, 1, 2, -1])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]])
    assert label_accuracy(shown, probabilities, 1) == pytest.approx(1 / 3)
    assert label_accuracy(shown, probabilities, 2) == pytest.approx(2 / 3)
    assert np.isnan(label_accuracy(np.array([-1]), probabilities[:1], 1))
