"""What slices show at different times is brought to one time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.eegfmri.scan import interleaved
from cortexcast_training.eegfmri.slice_timing import correct_slice_timing

N_VOLUMES = 60


def course(times: np.ndarray, seed: int) -> np.ndarray:
    """Of BOLD, known at every time: below 0.08 Hz."""
    rng = np.random.default_rng(seed)
    hz, phase = rng.uniform(0.01, 0.08, 8), rng.uniform(0, 2 * np.pi, 8)
    return np.asarray(np.sin(2 * np.pi * hz * times[..., np.newaxis] + phase).sum(axis=-1))


def lag(shown: np.ndarray, seed: int, tr_s: float, time_s: float) -> float:
    """How late what is shown is, in TRs: what a small delay would change is known."""
    times = tr_s * np.arange(N_VOLUMES) + time_s
    inner = slice(3, -3)
    small = 0.01 * tr_s
    slope = (course(times + small, seed) - course(times - small, seed)) / (2 * small)
    off = (shown - course(times, seed))[inner]
    return float((off * slope[inner]).sum() / (slope[inner] ** 2).sum() / tr_s)


@given(
    n_slices=st.integers(2, 12),
    tr_s=st.floats(0.7, 2.5),
    axis=st.integers(0, 2),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_every_slice_is_of_the_same_time(n_slices: int, tr_s: float, axis: int, share: float, seed: int) -> None:
    slice_times = interleaved(n_slices, tr_s)
    recorded = course(slice_times[:, np.newaxis] + tr_s * np.arange(N_VOLUMES), seed)
    volumes = np.moveaxis(recorded[:, np.newaxis, np.newaxis].repeat(2, axis=1), 0, axis).astype(np.float32)
    corrected = correct_slice_timing(volumes, slice_times, axis, tr_s, share * tr_s)
    assert corrected.shape == volumes.shape
    for number, slices in enumerate(np.moveaxis(corrected, axis, 0)):
        assert abs(lag(slices[0, 0], seed, tr_s, share * tr_s)) < 0.05
        before = lag(recorded[number], seed, tr_s, share * tr_s)
        assert before == pytest.approx(slice_times[number] / tr_s - share, abs=0.3)


def test_what_was_recorded_then_stays_as_it_is() -> None:
    volumes = np.random.default_rng(0).standard_normal((2, 3, 4, 9)).astype(np.float32)
    corrected = correct_slice_timing(volumes, np.array([0.0, 0.5, 1.0, 1.5]), 2, 2.0, 0.5)
    np.testing.assert_allclose(corrected[:, :, 1], volumes[:, :, 1], atol=1e-6)
    assert not np.allclose(corrected[:, :, 2], volumes[:, :, 2], atol=0.1)


def test_nothing_is_made_up_before_the_first_time_and_after_the_last() -> None:
    volumes = np.random.default_rng(0).standard_normal((1, 1, 2, 20)).astype(np.float32)
    early = correct_slice_timing(volumes, np.array([0.0, 1.0]), 2, 2.0, 0.0)
    late = correct_slice_timing(volumes, np.array([0.0, 1.0]), 2, 2.0, 2.0)
    assert early[0, 0, 1, 0] == pytest.approx(volumes[0, 0, 1, 0])
    assert late[0, 0, 0, -1] == pytest.approx(volumes[0, 0, 0, -1])


def test_a_time_is_needed_for_each_slice() -> None:
    with pytest.raises(ValueError, match="3 times for 4 slices"):
        correct_slice_timing(np.zeros((2, 2, 4, 5), np.float32), np.zeros(3), 2, 2.0, 0.0)
