"""Metrics: what they say of estimates whose quality is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_training import metrics

RNG = np.random.default_rng(0)
TRUE = RNG.standard_normal((4000, 5))


def test_truth_explains_everything_and_zero_nothing() -> None:
    assert metrics.explained_variance(TRUE, TRUE) == 1
    assert metrics.explained_variance(TRUE, np.zeros_like(TRUE)) == 0
    assert metrics.correlation_of_sensors(TRUE, np.zeros_like(TRUE)).tolist() == [0] * 5


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(-2, 2))
def test_a_wrong_gain_costs_its_square(gain: float) -> None:
    assert metrics.explained_variance(TRUE, gain * TRUE) == pytest.approx(1 - (1 - gain) ** 2, abs=1e-9)


def test_a_band_knows_what_is_in_it() -> None:
    times = np.arange(4000) / 200
    alpha, beta = np.sin(2 * np.pi * 10 * times)[:, None], np.sin(2 * np.pi * 20 * times)[:, None]
    shares = metrics.explained_by_band(alpha + beta, alpha, 200.0)
    assert shares["alpha"] == pytest.approx(1, abs=1e-3)
    assert shares["beta"] == pytest.approx(0, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(level=st.sampled_from(metrics.LEVELS), std=st.floats(0.1, 10))
def test_intervals_of_a_gaussian_of_known_spread_cover_what_they_say(level: float, std: float) -> None:
    assert metrics.coverage(std * TRUE, np.zeros_like(TRUE), np.full(5, std), level) == pytest.approx(level, abs=0.01)


def test_a_standard_deviation_that_is_too_small_covers_too_little() -> None:
    assert metrics.coverage(TRUE, np.zeros_like(TRUE), np.full(5, 0.5)) < 0.65


def test_the_gap_is_closed_from_baseline_to_oracle() -> None:
    assert metrics.gap_closed(0.2, 0.2, 0.6) == 0
    assert metrics.gap_closed(0.6, 0.2, 0.6) == 1


def test_more_subjects_give_a_narrower_interval_around_the_same_mean() -> None:
    values = RNG.standard_normal(200)
    few, many = metrics.over_subjects(values[:10].tolist()), metrics.over_subjects(values.tolist())
    assert few.ci95 is not None
    assert many.ci95 is not None
    assert few.ci95[0] < few.value < few.ci95[1]
    assert many.ci95[1] - many.ci95[0] < (few.ci95[1] - few.ci95[0]) / 2


def test_one_subject_has_no_interval_and_equal_ones_have_none_to_spare() -> None:
    assert metrics.over_subjects([0.3]).ci95 is None
    assert metrics.over_subjects([0.3, 0.3, 0.3]).ci95 == (0.3, 0.3)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_of_few_subjects_too_nearly_all_intervals_hold_the_mean(n: int) -> None:
    drawn = np.random.default_rng(n).standard_normal((400, n))
    intervals = [metrics.over_subjects(values.tolist()).ci95 for values in drawn]
    held = np.mean([interval is not None and interval[0] < 0 < interval[1] for interval in intervals])
    assert held == pytest.approx(0.95, abs=0.03)


def test_a_metric_is_the_mean_of_those_that_have_it() -> None:
    assert metrics.means([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 2.0, "b": 2.0}


def test_the_gap_of_paired_subjects_is_surer_than_its_ends() -> None:
    """Subjects differ in how much can be explained; the share that is closed is the same for all."""
    baseline = RNG.uniform(0.1, 0.4, 12)
    oracle = baseline + 0.3
    closed = metrics.gap_over_subjects((baseline + 0.24).tolist(), baseline.tolist(), oracle.tolist())
    assert closed.value == pytest.approx(0.8)
    assert closed.ci95 == pytest.approx((0.8, 0.8), abs=1e-6)


@pytest.mark.parametrize("n", [2, 4, 5, 12])
def test_the_ends_of_the_gap_close_nothing_and_all_of_it_for_certain(n: int) -> None:
    baseline = RNG.uniform(0.1, 0.4, n).tolist()
    oracle = RNG.uniform(0.6, 0.7, n).tolist()
    for model, value in ((baseline, 0.0), (oracle, 1.0)):
        closed = metrics.gap_over_subjects(model, baseline, oracle)
        assert (closed.value, closed.ci95) == (value, (value, value))


def test_removing_the_trial_mean_leaves_what_is_not_locked_to_trials() -> None:
    onsets = np.arange(100, 3800, 200)
    labels = np.array(["a", "b"])[np.arange(len(onsets)) % 2]
    response = {"a": RNG.standard_normal((80, 5)), "b": RNG.standard_normal((80, 5))}
    locked = np.zeros_like(TRUE)
    for onset, label in zip(onsets, labels, strict=True):
        locked[onset : onset + 80] = response[label]
    left = metrics.without_trial_mean(locked, onsets, labels, 0, 80)
    np.testing.assert_allclose(left, 0, atol=1e-12)
    mixed = metrics.without_trial_mean(TRUE + locked, onsets, labels, 0, 80)
    np.testing.assert_allclose(mixed, metrics.without_trial_mean(TRUE, onsets, labels, 0, 80), atol=1e-12)


@pytest.mark.parametrize(("strength", "low", "high"), [(0.0, 0.3, 0.7), (3.0, 0.97, 1.0)])
def test_decoding_finds_what_subjects_share_and_nothing_where_there_is_nothing(
    strength: float, low: float, high: float
) -> None:
    pattern = RNG.standard_normal(30)
    labels = {f"sub-{n}": np.arange(40) % 3 == 0 for n in range(6)}
    features = {
        name: 1e-13 * (RNG.standard_normal((40, 30)) + strength * np.outer(kinds, pattern) / 2)
        for name, kinds in labels.items()
    }
    scores = metrics.decoding_auc(features, labels)
    assert scores.keys() == features.keys()
    assert low < np.mean(list(scores.values())) <= high


def test_a_single_subject_cannot_be_decoded_from_others() -> None:
    assert metrics.decoding_auc({"sub-1": TRUE[:10]}, {"sub-1": np.arange(10) % 2 == 0}) == {}


class TestAcrossHalves:
    """Odd trials of an estimate against even ones of the recording."""

    def trials(self, noise: float, seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        response = np.random.default_rng(0).standard_normal((2, 30, 10))
        labels = np.tile(["face", "scrambled"], n // 2)
        rows = (labels == "scrambled").astype(int)
        return response[rows] + noise * np.random.default_rng(seed).standard_normal((n, 30, 10)), labels

    def test_without_noise_it_is_one(self) -> None:
        trials, labels = self.trials(0.0, 1)
        assert metrics.across_halves(trials, trials, labels) == pytest.approx(1.0)

    @pytest.mark.parametrize("noise", [1.0, 3.0, 9.0])
    def test_noise_takes_from_it_what_averaging_leaves_of_it(self, noise: float) -> None:
        (first, labels), (second, _) = self.trials(noise, 1), self.trials(noise, 2)
        expected = 1 / (1 + noise**2 / 10)  # ten trials of each label in each half
        assert metrics.across_halves(first, first, labels) == pytest.approx(expected, abs=0.08)
        assert metrics.across_halves(first, second, labels) == pytest.approx(expected, abs=0.08)

    def test_what_an_estimate_shares_with_its_own_trials_alone_counts_for_nothing(self) -> None:
        noise = np.random.default_rng(3).standard_normal((40, 30, 10))
        _, labels = self.trials(0.0, 1)
        assert abs(metrics.across_halves(noise, noise, labels)) < 0.15

    @pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
    def test_the_ceiling_is_what_an_estimate_without_error_reaches(self, noise: float) -> None:
        (response, labels), (recorded, _) = self.trials(0.0, 1), self.trials(noise, 2)
        reached = metrics.across_halves(response, recorded, labels)
        assert metrics.responses_ceiling(recorded, labels) == pytest.approx(reached, abs=0.05)

    def test_where_there_is_no_response_the_ceiling_is_nothing(self) -> None:
        response, labels = self.trials(0.0, 1)
        opposite = np.where(np.arange(len(labels)) % 4 < 2, 1, -1)[:, np.newaxis, np.newaxis] * response
        assert metrics.responses_ceiling(opposite, labels) == 0

    def test_one_trial_is_no_half(self) -> None:
        trials, _ = self.trials(0.0, 1)
        assert np.isnan(metrics.across_halves(trials[:2], trials[:2], np.array(["face", "scrambled"])))
