"""States last as long as set, and each patch does what its family and state say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexcast_models.simulation.activity import Family, draw_spontaneous, draw_states, gates, patches_of
from cortexcast_models.simulation.head import StateSettings
from cortexcast_models.simulation.spectrum import Spectrum

SWITCHING = StateSettings(
    states=16, patches_per_state=2, dwell_min_s=0.2, dwell_excess_s=0.3, dwell_max_s=1.0, transition_s=0.03
)
FAMILIES = (
    Family("network", slice(0, 32), Spectrum(knee_hz=8.0, exponent=2.5)),
    Family("background", slice(32, 35), Spectrum(knee_hz=2.0, exponent=1.5)),
    Family("evoked", slice(35, 37), None),
)


@given(st.integers(0, 2**32 - 1))
def test_dwells_are_within_their_limits(seed: int) -> None:
    states = draw_states(SWITCHING, 11_000, 1100.0, seed)
    changes = np.flatnonzero(np.diff(states)) + 1
    dwells = np.diff(changes) / 1100.0  # the first and the last are cut
    assert (dwells > 0.199).all()
    assert (dwells < 1.001).all()
    assert states.min() >= 0
    assert states.max() < 16


def test_over_a_long_time_all_states_are_alike_and_dwells_are_as_set() -> None:
    states = draw_states(SWITCHING, 3_300_000, 1100.0, 0)
    share = np.bincount(states, minlength=16) / len(states)
    np.testing.assert_allclose(share, 1 / 16, rtol=0.2)
    dwells = np.diff(np.flatnonzero(np.diff(states))) / 1100.0
    reach, mean = 0.8, 0.3
    expected = 0.2 + mean - reach / np.expm1(reach / mean)  # of the exponential distribution cut at 0.8 s
    assert dwells.mean() == pytest.approx(expected, rel=0.03)


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.01, 0.03, 0.1]))
def test_gates_share_out_a_constant_power(seed: int, transition_s: float) -> None:
    states = draw_states(SWITCHING, 3300, 1100.0, seed)
    gate = gates(states, 16, transition_s, 1100.0)
    np.testing.assert_allclose((gate**2).sum(axis=0), 1.0, atol=1e-5)
    settled = np.ones(len(states), bool)
    for change in np.flatnonzero(np.diff(states)):
        margin = round(transition_s * 1100 / 2) + 2
        settled[max(0, change - margin) : change + margin] = False
    index = np.flatnonzero(settled)
    np.testing.assert_allclose(gate[states[index], index], 1.0, atol=1e-5)


def test_one_state_lasts_for_ever() -> None:
    assert not draw_states(SWITCHING.model_copy(update={"states": 1}), 2200, 1100.0, 0).any()


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_networks_are_on_in_their_state_alone_and_the_rest_always(seed: int) -> None:
    states = draw_states(SWITCHING, 1100, 1100.0, seed)
    activity = draw_spontaneous(FAMILIES, SWITCHING, states, 1100.0, seed)
    gate = gates(states, SWITCHING.states, SWITCHING.transition_s, 1100.0)
    for state in range(SWITCHING.states):
        patches = activity[patches_of(state, SWITCHING)]
        assert not patches[:, gate[state] == 0].any()
        assert patches[:, gate[state] > 0].all()
    assert activity[32:35].all()
    assert not activity[35:].any()
