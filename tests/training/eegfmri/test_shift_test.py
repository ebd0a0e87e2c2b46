"""What has to do with each other is found, at its delay; what has not, is found as seldom as is said."""

from __future__ import annotations

import numpy as np
import pytest

from cortexcast_training.eegfmri.shift_test import ShiftError, ShiftTest

N, STEP_S = 240, 2.0
DELAYS = 0, 6, 12


def slow(rng: np.random.Generator, n_courses: int) -> np.ndarray:
    """Courses that remember ten samples, as BOLD does."""
    noise = rng.standard_normal((n_courses, N + 20))
    return np.array([np.convolve(row, np.hanning(12), "valid")[:N] for row in noise])


def delayed(courses: np.ndarray) -> np.ndarray:
    return np.stack([np.roll(courses, delay, axis=1) for delay in DELAYS], axis=1)


def test_a_weak_common_part_is_found_over_runs_at_its_delay() -> None:
    test, rng = ShiftTest(2, len(DELAYS), 50), np.random.default_rng(0)
    for _ in range(6):
        first, second = slow(rng, 2), slow(rng, 50)
        second[7] -= 0.6 * np.roll(first[1], DELAYS[2])
        test.add(delayed(first), second, STEP_S)
    found = test.found()
    assert found.q[1, 7] < 0.05
    assert found.best_r[1, 7] < -0.2
    assert found.delay[1, 7] == 2
    assert (found.q < 0.05).sum() == 1


def test_of_chance_p_values_are_uniform() -> None:
    drawn = []
    for seed in range(20):
        test, rng = ShiftTest(2, len(DELAYS), 60, seed=seed), np.random.default_rng(seed)
        for _ in range(2):
            test.add(delayed(slow(rng, 2)), slow(rng, 60), STEP_S)
        drawn.append(test.found().p)
    p = np.array(drawn)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p < level) == pytest.approx(level, abs=0.03)
    assert np.mean(p <= 1 / (1 + 100 * 60)) < 0.002


def test_the_mean_over_equal_runs_is_that_of_each_and_constants_are_nothing() -> None:
    rng = np.random.default_rng(0)
    first, second = slow(rng, 1)[:, np.newaxis], slow(rng, 4)
    second[2] = 5.0
    expected = [np.corrcoef(first[0, 0], row)[0, 1] for row in second[[0, 1, 3]]]
    test = ShiftTest(1, 1, 4)
    for _ in range(2):
        test.add(first, second, STEP_S)
    found = test.found()
    np.testing.assert_allclose(found.r[0, 0, [0, 1, 3]], expected, atol=1e-5)
    assert found.r[0, 0, 2] == 0
    assert found.p[0, 2] == 1


def test_a_short_run_is_refused() -> None:
    with pytest.raises(ShiftError, match="a run of 30 s is too short to tell chance by: 40 s are needed"):
        ShiftTest(1, 1, 1).add(np.ones((1, 1, 15)), np.ones((1, 15)), 2.0)
