"""What is there is found, what is not there is not: over many seeds, as often as is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.masking.findings import LEAST_SHIFT_S, Effect, conjunction, found, shifts, smoothed

N_UNITS, N_SHIFTS = 60, 100
LEVEL = 0.05


def effects(seed: int, n_subjects: int, size: float = 0.0, n_runs: int = 1) -> list[Effect]:
    """Of independent units, the first ten of which matter; each in units of its own."""
    rng = np.random.default_rng(seed)
    unit = np.exp(rng.standard_normal(N_UNITS))
    matter = np.where(np.arange(N_UNITS) < 10, size, 0.0)
    return [
        Effect(
            f"sub-{subject}",
            "film",
            unit * (matter + rng.standard_normal(N_UNITS)) - 3.0,
            unit * rng.standard_normal((N_SHIFTS, N_UNITS)) - 3.0,
        )
        for subject in range(n_subjects)
        for _ in range(n_runs)
    ]


@pytest.mark.parametrize("n_subjects", [1, 3, 8])
def test_nothing_is_found_by_chance_more_often_than_is_said(n_subjects: int) -> None:
    """Of 200 reports on nothing, those at 5 % that find anything: at most 9 %, three standard deviations above 5."""
    wrong = [(found(effects(seed, n_subjects), LEVEL, seed).p <= 0.05).any() for seed in range(200)]
    assert np.mean(wrong) <= 0.096


@pytest.mark.parametrize(("n_subjects", "n_runs", "size"), [(1, 1, 7.0), (3, 2, 4.0), (12, 1, 4.0)])
def test_what_matters_is_found_and_nothing_else(n_subjects: int, n_runs: int, size: float) -> None:
    result = found(effects(0, n_subjects, size, n_runs), LEVEL, 0)
    assert (result.p[:10] <= 0.05).mean() > 0.8
    assert (result.p[10:] > 0.05).all()
    assert result.of_population == (n_subjects == 12)
    assert result.z[:10].mean() == pytest.approx(size, rel=0.3)


def test_a_unit_that_was_never_shown_is_not_found() -> None:
    given = [
        Effect("sub-1", "film", np.r_[9.0, 0.0], np.c_[np.random.default_rng(0).standard_normal(50), np.zeros(50)])
    ]
    result = found(given, LEVEL, 0)
    assert result.p[0] < 0.05
    assert (result.z[1], result.p[1]) == (0.0, 1.0)


def test_all_operators_must_agree() -> None:
    one, other = (found(effects(0, 1, size), LEVEL, 0) for size in (7.0, 0.0))
    both = conjunction([one, other])
    np.testing.assert_array_equal(both.p, np.maximum(one.p, other.p))
    assert not (both.p <= 0.05).any()


@given(st.integers(20, 400), st.floats(0.5, 3.0), st.integers(1, 300), st.integers(0, 9))
def test_turns_are_never_short_and_never_the_same(n_volumes: int, tr_s: float, n: int, seed: int) -> None:
    turns = shifts(n_volumes, tr_s, n, np.random.default_rng(seed))
    assert len(set(turns.tolist())) == len(turns) <= n
    if len(turns):
        assert min(turns.min(), n_volumes - turns.max()) * tr_s >= LEAST_SHIFT_S - 1e-9


@given(st.integers(1, 12), st.integers(1, 40))
def test_a_moving_mean_keeps_a_constant_and_is_of_so_many(n: int, n_times: int) -> None:
    np.testing.assert_allclose(smoothed(np.full((2, n_times), 3.0), n), 3.0)
    impulse = np.zeros(101)
    impulse[50] = 1.0
    assert np.count_nonzero(smoothed(impulse, n)) == n


def test_where_subjects_are_too_few_for_the_level_times_are_turned() -> None:
    given = effects(0, 6)
    assert found(given, 0.05, 0).of_population
    assert not found(given, 0.01, 0).of_population


@pytest.mark.parametrize("n_subjects", [4, 10])
def test_what_all_subjects_owe_to_one_film_is_not_taken_for_coupling(n_subjects: int) -> None:
    """Evidence, and chance at each turn, are nearly the same for everybody."""
    wrong = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal((1 + N_SHIFTS, N_UNITS))
        each = shared + 0.3 * rng.standard_normal((n_subjects, *shared.shape))
        given = [Effect(f"sub-{number}", "film", one[0], one[1:]) for number, one in enumerate(each)]
        wrong.append((found(given, LEVEL, seed).p <= LEVEL).any())
    assert np.mean(wrong) <= 0.12
