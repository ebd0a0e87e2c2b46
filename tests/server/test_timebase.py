"""Gaps are found on raw stamps whatever the chunks; the time axis is even in spite of jitter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_server.timebase import Clock, GapFinder, foreign_offset


def starts(rate_hz: float, times: NDArray[np.float64], sizes: list[int]) -> list[tuple[int, float]]:
    """Where new segments start, and the time missing before each."""
    finder = GapFinder(rate_hz)
    cuts = [0, *np.minimum(np.cumsum(sizes), len(times)).tolist(), len(times)]
    found, covered = [], 0
    for a, b in pairwise(cuts):
        for segment in finder.split(times[a:b]):
            assert a + segment.start == covered, "segments leave no sample out"
            covered = a + segment.stop
            if segment.gap_s is not None:
                found.append((a + segment.start, segment.gap_s))
    assert covered == len(times)
    return found


@given(
    rate_hz=st.sampled_from([100.0, 128.0, 250.0, 1000.0, 5000.0]),
    gaps=st.dictionaries(st.integers(1, 2999), st.integers(1, 4000), max_size=4),
    sizes=st.lists(st.integers(0, 700), max_size=20),
)
@settings(max_examples=80, deadline=None)
def test_even_stamps_show_every_gap_after_the_first_second(
    rate_hz: float, gaps: dict[int, int], sizes: list[int]
) -> None:
    assume(sum(s < rate_hz for s in gaps) <= 1)  # two unseen gaps in the first second pass for jitter
    missing = np.zeros(3000)
    for sample, n in gaps.items():
        missing[sample] = n
    times = 12345.0 + (np.arange(3000) + np.cumsum(missing)) / rate_hz
    found = starts(rate_hz, times, sizes)
    assert found == starts(rate_hz, times, []), "the chunks can be seen"
    # In the first second the stream's jitter is not known yet, and only long gaps show.
    assert {s for s, _ in found} == {s for s, n in gaps.items() if s >= rate_hz or n / rate_hz > 0.25}
    for sample, gap_s in found:
        assert gap_s == pytest.approx(gaps[sample] / rate_hz, abs=1e-6)


def test_bursts_are_jitter_and_not_gaps_but_an_outage_is() -> None:
    """A Bluetooth bridge stamps 12 samples at a time on arrival; then 2 s are lost."""
    arrival = np.repeat(np.arange(12, 2572, 12) / 256.0, 12)[:2560]
    lost = arrival + np.where(np.arange(2560) >= 1536, 2.0, 0.0)
    assert starts(256.0, arrival, []) == []
    assert [sample for sample, _ in starts(256.0, lost, [])] == [1536]


def test_a_clock_set_back_opens_a_segment() -> None:
    times = np.concatenate([np.arange(500) / 250.0 + 1000.0, np.arange(500) / 250.0 + 3.0])
    ((sample, gap_s),) = starts(250.0, times, [])
    assert sample == 500
    assert gap_s < 0


@pytest.mark.parametrize("drift", [0.0, 5e-5, -5e-5])
def test_the_axis_is_even_where_the_stamps_jitter(drift: float) -> None:
    rng = np.random.default_rng(3)
    rate_hz = 250.0
    true = 777.0 + np.arange(60 * 250) / rate_hz * (1 + drift)
    stamps = true + rng.uniform(-4e-3, 4e-3, len(true))
    clock = Clock(rate_hz)
    errors = []
    for start in range(0, len(true), 10):
        clock.update(stamps[start : start + 10])
        errors.append(clock.time_at(start) - true[start])
    assert np.abs(errors[:250]).max() < 4e-3, "never worse than the stamps"
    assert np.abs(errors[500:]).max() < 5e-4, "soon much better"
    assert clock.rate_hz == pytest.approx(rate_hz / (1 + drift), rel=2e-5)


def test_even_stamps_are_kept_to_the_microsecond() -> None:
    clock = Clock(128.0)
    times = 4321.0 + np.arange(1280) / 128.0
    for start in range(0, 1280, 5):
        clock.update(times[start : start + 5])
        assert clock.time_at(start) == pytest.approx(times[start], abs=1e-6)
    assert clock.time_at(1000.5) == pytest.approx(4321.0 + 1000.5 / 128.0, abs=1e-6)


def test_unix_stamps_are_told_from_lsl_stamps() -> None:
    assert foreign_offset(1.7e9, 5000.0) == 5000.0 - 1.7e9
    assert foreign_offset(4999.7, 5000.0) == 0.0


def test_two_unseen_gaps_of_the_first_second_widen_the_tolerance_for_a_while_only() -> None:
    missing = np.zeros(10 * 250)
    missing[[50, 150, 500, 2200]] = 25  # 0.1 s each
    times = 99.0 + (np.arange(len(missing)) + np.cumsum(missing)) / 250.0
    assert [sample for sample, _ in starts(250.0, times, [])] == [2200]
