"""What is there is found, what is not there is not: over many seeds, as often as is said."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from cortexcast_training.masking.findings import (
    LEAST_SHIFT_S,
    LEAST_SUBJECTS,
    Effect,
    Turns,
    conjunction,
    false_discovery_rates,
    found,
    rates_in_all,
    smoothed,
    turns,
)

Floats = NDArray[np.float64]

N_UNITS, N_VOLUMES, TR_S = 60, 140, 2.1
LEVEL = 0.05


def shared_turns(n_volumes: int = N_VOLUMES) -> Turns:
    return turns(n_volumes, TR_S, 200, np.random.default_rng(0))


def slow(rng: np.random.Generator, n_units: int = N_UNITS) -> Floats:
    """Evidence at any turn, ``(N_VOLUMES, n_units)``: like BOLD it changes little from one volume to the next."""
    noise = gaussian_filter1d(rng.standard_normal((N_VOLUMES, n_units)), 2.0, axis=0, mode="wrap")
    return np.asarray(noise / noise.std(axis=0), np.float64)


def effects(seed: int, n_subjects: int, size: float = 0.0, n_runs: int = 1) -> list[Effect]:
    """Of independent units, the first ten of which matter; each in units of its own."""
    rng = np.random.default_rng(seed)
    unit = np.exp(rng.standard_normal(N_UNITS))
    matter = np.where(np.arange(N_UNITS) < 10, size, 0.0)
    given = []
    for subject in range(n_subjects):
        for _ in range(n_runs):
            at = unit * slow(rng) - 3.0
            given.append(Effect(f"sub-{subject}", "film", at[0] + unit * matter, at[TURNS.volumes], TURNS))
    return given


TURNS = shared_turns()


def rates(given: list[Effect], level: float = LEVEL, seed: int = 0) -> Floats:
    """Of one map alone."""
    return false_discovery_rates([found([given], seed)], level)[0]


@pytest.mark.parametrize("n_subjects", [1, 3, 8, 12])
def test_where_there_is_nothing_few_maps_find_anything(n_subjects: int) -> None:
    """Of 300 at a level of 5 %: at most 8.8 %, three standard deviations above it."""
    wrong = [(rates(effects(seed, n_subjects)) <= LEVEL).any() for seed in range(300)]
    assert np.mean(wrong) <= 0.088


@pytest.mark.parametrize(("n_subjects", "n_runs", "size"), [(2, 1, 8.0), (4, 2, 5.0), (12, 1, 3.0)])
def test_what_matters_is_found_and_of_all_that_is_found_little_is_not_there(
    n_subjects: int, n_runs: int, size: float
) -> None:
    n_right, n_wrong = 0, 0
    for seed in range(40):
        given = effects(seed, n_subjects, size, n_runs)
        is_found = rates(given) <= LEVEL
        n_right, n_wrong = n_right + is_found[:10].sum(), n_wrong + is_found[10:].sum()
    assert n_right > 0.7 * 400
    assert n_wrong / (n_right + n_wrong) < 1.5 * LEVEL
    result = found([given], 0)
    assert result.of_population == (n_subjects >= LEAST_SUBJECTS)
    assert result.p_of_any <= 0.05
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
    np.testing.assert_allclose(parts.p, whole.p, atol=3 / (len(TURNS.volumes) * N_UNITS))
    assert parts.p_of_any == whole.p_of_any


def test_a_unit_that_was_never_shown_is_not_found() -> None:
    rng = np.random.default_rng(0)
    at = np.c_[slow(rng, 1), np.zeros(N_VOLUMES)]
    given = [Effect("sub-1", "film", np.r_[9.0, 0.0], at[TURNS.volumes], TURNS)]
    result = found([given], 0)
    assert result.p[0] < 0.05
    assert (result.z[1], result.p[1]) == (0.0, 1.0)


def test_all_operators_must_agree() -> None:
    one, other = (found([effects(0, 1, size)], 0) for size in (7.0, 0.0))
    both = conjunction([one, other])
    np.testing.assert_array_equal(both.p, np.maximum(one.p, other.p))
    assert both.p_of_any == max(one.p_of_any, other.p_of_any)


def test_where_there_is_nothing_few_reports_of_many_films_find_anything() -> None:
    """Of 100 reports of 12 maps at a level of 5 %: at most 11.5 %, three standard deviations above it."""
    wrong = []
    for seed in range(100):
        maps = [found([effects(12 * seed + number, 2)], 0) for number in range(12)]
        wrong.append(any((each <= LEVEL).any() for each in false_discovery_rates(maps, LEVEL)))
    assert np.mean(wrong) <= 0.115


def test_with_many_films_too_what_matters_is_found() -> None:
    """In half of them; no film has turns enough to tell that by a twentieth of the level."""
    sizes = [8.0, 0.0] * 10
    maps = [found([effects(seed, 2, size)], 0) for seed, size in enumerate(sizes)]
    assert min(each.p_of_any for each in maps) > LEVEL / len(maps)
    is_found = np.array(false_discovery_rates(maps, LEVEL)) <= LEVEL
    assert is_found[::2, :10].mean() > 0.7
    assert is_found[1::2].mean() < 0.01


def test_what_is_found_in_all_maps_is_found_in_each() -> None:
    maps = [found([effects(seed, 2, 8.0)], 0) for seed in range(2)]
    each = false_discovery_rates(maps, LEVEL)
    together = rates_in_all(maps, each)
    assert (together >= np.max(each, axis=0)).all()
    assert (together[:10] <= LEVEL).mean() > 0.5
    assert (rates_in_all(maps, [each[0], np.ones(N_UNITS)]) == 1).all()


def test_one_subject_alone_is_not_taken_for_all() -> None:
    """Of ten, one shows a great deal, which the mean shows too."""
    given = effects(0, 10)
    first = replace(given[0], evidence=given[0].evidence + 40 * given[0].chance.std(axis=0))
    assert (rates([first, *given[1:]], level=1.0) > LEVEL).all()
    assert (rates(effects(0, 10, 4.0))[:10] <= LEVEL).all()


@given(st.integers(20, 400), st.floats(0.5, 3.0), st.integers(1, 300), st.integers(0, 9))
def test_turns_are_never_short_and_never_the_same(n_volumes: int, tr_s: float, n: int, seed: int) -> None:
    drawn = turns(n_volumes, tr_s, n, np.random.default_rng(seed))
    volumes = drawn.volumes
    assert len(set(volumes.tolist())) == len(volumes) <= n
    if len(volumes):
        assert min(volumes.min(), n_volumes - volumes.max()) * tr_s >= LEAST_SHIFT_S - 1e-9
        after = (volumes - volumes[:1]) % n_volumes
        np.testing.assert_array_equal(drawn.apart[0], np.minimum(after, n_volumes - after) * tr_s >= LEAST_SHIFT_S)


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
        shared = slow(rng)
        each = [shared + 0.3 * slow(rng) for _ in range(n_subjects)]
        given = [Effect(f"sub-{number}", "film", at[0], at[TURNS.volumes], TURNS) for number, at in enumerate(each)]
        wrong.append((rates(given, seed=seed) <= LEVEL).any())
    assert np.mean(wrong) <= 0.12
