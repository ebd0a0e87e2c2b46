"""States are found in EEG and MEG together, and what follows from them starts the net well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import analysed, net_shape
from prepared import hidden_state_recording, hidden_states

from cortexcast_training.adaptation import HeadStatistics
from cortexcast_training.analysis import (
    Analysed,
    analyse,
    load_analysed,
    save_analysed,
    spatial_filters,
    state_covariances,
)
from cortexcast_training.states import BAD, States, find_states

RECORDINGS = [hidden_state_recording(200, seed) for seed in range(3)]
UNITS, TOTAL = analysed(RECORDINGS)


@pytest.fixture(scope="module")
def states() -> States:
    return find_states(RECORDINGS, TOTAL, UNITS, 2, seed=0)


def test_the_states_of_others_are_told_too(states: States) -> None:
    held_out = hidden_state_recording(200, 9)
    agreement = (states.labels(held_out, UNITS) == hidden_states(200, 9)).mean()
    assert max(agreement, 1 - agreement) > 0.95, "which is called the first is chance"


def test_hops_that_are_not_good_have_none(states: States) -> None:
    good = np.ones(200, bool)
    good[50:60] = False
    labels = states.labels(hidden_state_recording(200, 9, good=good), UNITS)
    np.testing.assert_array_equal(labels == BAD, ~good)


def test_the_same_seed_finds_the_same(states: States) -> None:
    again = find_states(RECORDINGS, TOTAL, UNITS, 2, seed=0)
    np.testing.assert_array_equal(again.factors, states.factors)


def test_a_states_own_estimate_explains_what_the_common_one_does_not(states: States) -> None:
    of_states, labels = state_covariances(RECORDINGS, TOTAL, UNITS, states)
    explained = []
    for number, covariances in enumerate(of_states):
        weights = covariances.filter(covariances.taps)[:, :, 0]
        for recording, found in zip(RECORDINGS, labels, strict=True):
            inside = np.repeat(found == number, recording.hop)
            meg = recording.meg[inside] / UNITS.meg
            error = meg - recording.eeg[inside] / UNITS.eeg @ weights.T
            explained.append(1 - np.square(error).sum() / np.square(meg).sum())
    assert min(explained) > 0.8, "half of the variance is what one estimate for both explains"


def test_an_analysis_is_read_as_it_was_written(states: States, tmp_path: Path) -> None:
    of_states, labels = state_covariances(RECORDINGS, TOTAL, UNITS, states)
    shape, rng = net_shape(n_experts=2), np.random.default_rng(0)
    basis = TOTAL.principal_fields(shape.n_components)
    heads = HeadStatistics(*(rng.standard_normal((3, 4)).astype(np.float32) for _ in HeadStatistics._fields))
    contexts = [torch.full((2, 3, 6), float(n)) for n in range(len(RECORDINGS))]
    analysis = analyse(TOTAL, basis, of_states, heads, shape.n_filters)
    written = Analysed("{}", UNITS, analysis, labels, contexts)
    save_analysed(tmp_path / "analysed.pt", written)
    read = load_analysed(tmp_path / "analysed.pt")
    assert (read.settings, read.units.eeg, read.analysis.taps) == ("{}", UNITS.eeg, TOTAL.taps)
    for name in ("basis", "wiener", "noise", "filters", "experts"):
        np.testing.assert_array_equal(getattr(read.analysis, name), getattr(written.analysis, name))
    for name, expected in heads._asdict().items():
        np.testing.assert_array_equal(getattr(read.analysis.heads, name), expected)
    np.testing.assert_array_equal(read.labels, labels)
    assert all(torch.equal(each, expected) for each, expected in zip(read.contexts, contexts, strict=True))
    np.testing.assert_array_equal(read.units.meg, UNITS.meg)


@given(st.integers(1, 12), st.integers(2, 4), st.integers(0, 9))
@settings(max_examples=20)
def test_spatial_filters_have_power_one_on_average_and_the_first_tell_most(n: int, n_states: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((n_states, 6, 6))
    of_states = [each @ each.T + np.eye(6) for each in mixed]
    mean = np.mean(of_states, axis=0)
    filters = spatial_filters(mean, of_states, n)
    assert filters.shape == (min(n, 6 * n_states), 6)
    np.testing.assert_allclose(np.einsum("fe,ed,fd->f", filters, mean, filters), 1.0, rtol=0.02)
    for state, filter_ in zip(of_states, filters, strict=False):
        others = rng.standard_normal((100, 6))
        powers = np.einsum("fe,ed,fd->f", others, state, others) / np.einsum("fe,ed,fd->f", others, mean, others)
        assert filter_ @ state @ filter_ > 0.99 * powers.max()
