"""What is there is found, what is not there is not: over many seeds, as often as is said."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_training.masking.findings import (
    LEAST_SHIFT_S,
    LEAST_SUBJECTS,
    Effect,
    conjunction,
    false_discovery_rates,
    found,
    shifts,
    smoothed,
)

Floats = NDArray[np.float64]

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


def q(of_maps: list[list[Effect]], seed: int = 0) -> list[Floats]:
    return false_discovery_rates([found([each], seed).p for each in of_maps])


@pytest.mark.parametrize("n_subjects", [1, 3, 8, 12])
def test_where_there_is_nothing_few_reports_find_anything(n_subjects: int) -> None:
    """Of 200 reports of two maps on nothing, at a rate of 5 %: at most 9.6 %, three standard deviations above 5."""
    maps = [[effects(2 * seed + number, n_subjects) for number in (0, 1)] for seed in range(200)]
    wrong = [min(each.min() for each in q(of_report)) <= LEVEL for of_report in maps]
    assert np.mean(wrong) <= 0.096


@pytest.mark.parametrize(("n_subjects", "n_runs", "size"), [(1, 1, 5.0), (3, 2, 3.0), (12, 1, 3.0)])
def test_what_matters_is_found_and_of_all_that_is_found_little_is_not_there(
    n_subjects: int, n_runs: int, size: float
) -> None:
    n_right, n_wrong = 0, 0
    for seed in range(40):
        given = effects(seed, n_subjects, size, n_runs)
        (rates,) = q([given])
        n_right, n_wrong = n_right + (rates[:10] <= LEVEL).sum(), n_wrong + (rates[10:] <= LEVEL).sum()
    assert n_right > 0.7 * 400
    assert n_wrong / (n_right + n_wrong) < 1.5 * LEVEL
    result = found([given], 0)
    assert result.of_population == (n_subjects >= LEAST_SUBJECTS)
    assert result.z[:10].mean() > 0.8 * size


@given(st.lists(st.integers(1, N_UNITS - 1), max_size=4), st.sampled_from([1, 3, 9]))
def test_units_in_any_blocks_are_judged_alike(cuts: list[int], n_subjects: int) -> None:
    given = [replace(each, film=f"film {number % 2}") for number, each in enumerate(effects(0, n_subjects, 3.0, 2))]
    edges = [0, *sorted(set(cuts)), N_UNITS]
    blocks = [
        [replace(each, evidence=each.evidence[first:stop], chance=each.chance[:, first:stop]) for each in given]
        for first, stop in itertools.pairwise(edges)
    ]
    whole, parts = found([given], 0), found(blocks, 0)
    for name in ("z", "elsewhere"):
        np.testing.assert_allclose(vars(parts)[name], vars(whole)[name], rtol=1e-9)
    # A sum's last digit may put what is the same in another order.
    np.testing.assert_allclose(parts.p, whole.p, atol=3 / (N_SHIFTS * N_UNITS))


def test_a_unit_that_was_never_shown_is_not_found() -> None:
    rng = np.random.default_rng(0)
    given = [Effect("sub-1", "film", np.r_[9.0, 0.0], np.c_[rng.standard_normal(50), np.zeros(50)])]
    result = found([given], 0)
    assert result.p[0] < 0.05
    assert (result.z[1], result.p[1]) == (0.0, 1.0)


def test_all_operators_must_agree() -> None:
    one, other = (found([effects(0, 1, size)], 0) for size in (7.0, 0.0))
    both = conjunction([one, other])
    np.testing.assert_array_equal(both.p, np.maximum(one.p, other.p))


def test_one_subject_alone_is_not_taken_for_all() -> None:
    """Of ten, one shows a great deal, which the mean shows too."""
    given = effects(0, 10)
    first = replace(given[0], evidence=given[0].evidence + 40 * given[0].chance.std(axis=0))
    (alone,), (all_of_them,) = q([[first, *given[1:]]]), q([effects(0, 10, 4.0)])
    assert (alone > LEVEL).all()
    assert (all_of_them[:10] <= LEVEL).all()


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


@pytest.mark.parametrize("n_subjects", [4, 10])
def test_what_all_subjects_owe_to_one_film_is_not_taken_for_coupling(n_subjects: int) -> None:
    """Evidence, and chance at each turn, are nearly the same for everybody."""
    wrong = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal((1 + N_SHIFTS, N_UNITS))
        each = shared + 0.3 * rng.standard_normal((n_subjects, *shared.shape))
        given = [Effect(f"sub-{number}", "film", one[0], one[1:]) for number, one in enumerate(each)]
        wrong.append((q([given], seed)[0] <= LEVEL).any())
    assert np.mean(wrong) <= 0.12
