"""What correlates more than by chance, over runs: courses of one kind with courses of another, at several delays.

Slow courses correlate by chance, so what is found is compared with what is found when those of one kind are turned in
time, each run by a time of its own, by more than both remember. Correlations are averaged over runs by Fisher's
transform and scaled by their own spread under chance; then all courses of the second kind are alike, and together they
tell chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cortexcast_training.eegfmri.fmri_metrics import MIN_SHIFT_S

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_LARGEST_R = 1 - 1e-6
_SMALLEST = 1e-9


class ShiftError(Exception):
    """A run is too short to be turned in time. The message says how long it is and must be."""


@dataclass(frozen=True)
class Found:
    """What correlates.

    Attributes:
        r: ``(n_first, n_delays, n_second)``, over runs.
        p: ``(n_first, n_second)``, of the greatest over delays, two-sided.
        q: likewise, the least false discovery rate at which it is found (Benjamini & Hochberg).
    """

    r: Singles
    p: Floats
    q: Floats

    @property
    def delay(self) -> NDArray[np.int64]:
        """The number of the delay at which r is greatest, ``(n_first, n_second)``."""
        return np.asarray(np.abs(self.r).argmax(axis=1), np.int64)

    @property
    def best_r(self) -> Singles:
        """R at that delay, ``(n_first, n_second)``."""
        return np.take_along_axis(self.r, self.delay[:, np.newaxis], axis=1)[:, 0]


class ShiftTest:
    """Gathers runs, one after the other.

    Args:
        n_first, n_delays, n_second: sizes.
        n_permutations: how often chance is drawn.
        seed: of these draws.
    """

    def __init__(self, n_first: int, n_delays: int, n_second: int, n_permutations: int = 100, seed: int = 0) -> None:
        self._z = np.zeros((n_first, n_delays, n_second), np.float32)
        self._chance = np.zeros((n_permutations, n_first, n_delays, n_second), np.float32)
        self._rng = np.random.default_rng(seed)
        self._n_runs = 0

    def add(self, first: Floats | Singles, second: Floats | Singles, step_s: float) -> None:
        """Take in a run.

        Args:
            first: ``(n_first, n_delays, n)``.
            second: ``(n_second, n)``; a course that is constant correlates with nothing.
            step_s: from sample to sample.

        Raises:
            ShiftError: the run is not twice as long as the least turn.
        """
        n, least = second.shape[1], int(np.ceil(MIN_SHIFT_S / step_s))
        if n < 2 * least + 1:
            raise ShiftError(
                f"a run of {n * step_s:.0f} s is too short to tell chance by: {2 * MIN_SHIFT_S:g} s are needed"
            )
        rows, columns = _scaled(first).reshape(-1, n), _scaled(second).T
        self._z += _z(rows, columns, self._z.shape)
        for chance, shift in zip(
            self._chance, self._rng.integers(least, n - least + 1, len(self._chance)), strict=True
        ):
            chance += _z(np.roll(rows, shift, axis=1), columns, self._z.shape)
        self._n_runs += 1

    def found(self) -> Found:
        """What the runs so far show."""
        n = len(self._chance)
        squares = np.einsum("n...,n...->...", self._chance, self._chance)
        greatest = np.max(np.abs(self._z) / (np.sqrt(squares / n) + _SMALLEST), axis=1)
        p = np.empty(greatest.shape)
        for number, row in enumerate(greatest):
            drawn = self._chance[:, number]
            # Each by the spread of all others, as what was found: by one that it is part of it would look smaller.
            others = np.sqrt((squares[number] - drawn**2).clip(0) / (n - 1)) + _SMALLEST
            chance = np.sort(np.max(np.abs(drawn) / others, axis=1), axis=None)
            p[number] = (1 + len(chance) - np.searchsorted(chance, row)) / (1 + len(chance))
        # A course that is constant was never tested.
        p[:, ~self._z.any(axis=(0, 1))] = 1.0
        r = np.tanh(self._z / max(1, self._n_runs)).astype(np.float32)
        return Found(r, p, stats.false_discovery_control(p, axis=None).reshape(p.shape))


def _scaled(courses: Floats | Singles) -> Singles:
    """Of mean zero and norm one; zero where constant."""
    centred = courses - courses.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.asarray(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > _SMALLEST), np.float32)


def _z(rows: Singles, columns: Singles, shape: tuple[int, ...]) -> Singles:
    return np.asarray(np.arctanh((rows @ columns).clip(-_LARGEST_R, _LARGEST_R)).reshape(shape), np.float32)
