"""Linear estimates of MEG from EEG out of lagged covariances: ridge, FIR-Wiener, reduced rank.

All follow from ``E[x(t) x(t+τ)ᵀ]`` and ``E[y(t) x(t+τ)ᵀ]``, which add up over recordings.

Source: Wiener, *Extrapolation, Interpolation, and Smoothing of Stationary Time Series* (1949); reduced rank: Izenman,
*J. Multivar. Anal.* 5 (1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_AT_ONCE = 4000
"""Samples whose taps are laid side by side: some 40 MB."""


@dataclass(frozen=True)
class Taps:
    """Which samples of EEG an estimate reads: from ``back`` before the one that it estimates to ``ahead`` after it.

    It reads every ``step``-th of them, counted from the oldest.
    """

    back: int
    ahead: int
    step: int = 1

    @property
    def n(self) -> int:
        """How many."""
        return self.span // self.step + 1

    @property
    def span(self) -> int:
        """Samples from the oldest to the newest."""
        return self.back + self.ahead


INSTANT = Taps(0, 0)


class LaggedCovariances:
    """Sums over recordings of what linear estimates need.

    Args:
        n_electrodes: of EEG.
        n_sensors: of MEG.
        taps: the most that a filter made of it can have; its step is a multiple of theirs.
    """

    def __init__(self, n_electrodes: int, n_sensors: int, taps: Taps) -> None:
        self.taps = taps
        self.n_samples = 0
        self._eeg = np.zeros((taps.n, n_electrodes, n_electrodes))  # of lag 0, one step, ...
        self._cross = np.zeros((taps.n, n_sensors, n_electrodes))  # of tap 0, the oldest, and on
        self._meg = np.zeros((n_sensors, n_sensors))

    @classmethod
    def known(cls, eeg: Floats, cross: Floats, meg: Floats, taps: Taps) -> Self:
        """Covariances that no recording is needed for.

        Args:
            eeg: ``E[x(t) x(t+τ)ᵀ]`` at lags ``τ = 0, 1, ...``, at least ``taps.n`` of them.
            cross: ``E[y(t) x(t+τ)ᵀ]`` at ``τ`` from ``-taps.back`` to ``taps.ahead``.
            meg: ``E[y(t) y(t)ᵀ]``.
            taps: the most that a filter made of it can have.
        """
        covariances = cls(eeg.shape[1], len(meg), taps)
        covariances._eeg, covariances._cross, covariances._meg = eeg, cross, meg
        covariances.n_samples = 1
        return covariances

    def add(self, eeg: NDArray[np.floating], meg: NDArray[np.floating]) -> None:
        """Add an uninterrupted stretch: ``(n, n_electrodes)`` and ``(n, n_sensors)``, both without mean.

        Around it there are taken to be zeros, as ``apply`` does: so the covariance of all taps stays positive, however
        short the stretches are.
        """
        taps, around = self.taps, ((self.taps.span, self.taps.span), (0, 0))
        self.n_samples += len(eeg)
        eeg, meg = np.pad(eeg, around), np.pad(meg, around)
        for begin in range(0, len(eeg) - taps.span, _AT_ONCE):
            end = min(begin + _AT_ONCE, len(eeg) - taps.span)
            now = eeg[begin:end]
            target = meg[begin + taps.back : end + taps.back]
            # One product for all taps: several times faster than one for each.
            windows = sliding_window_view(eeg[begin : end + taps.span], taps.span + 1, axis=0)
            lagged = windows[..., :: taps.step].reshape(end - begin, -1)
            self._eeg += (now.T @ lagged).reshape(eeg.shape[1], -1, taps.n).transpose(2, 0, 1)
            self._cross += (target.T @ lagged).reshape(len(self._meg), -1, taps.n).transpose(2, 0, 1)
            self._meg += target.T @ target

    @property
    def eeg(self) -> Floats:
        """Covariance of the EEG, ``(n_electrodes, n_electrodes)``."""
        return np.asarray(self._eeg[0] / self.n_samples)

    @property
    def meg(self) -> Floats:
        """Covariance of the MEG, ``(n_sensors, n_sensors)``."""
        return np.asarray(self._meg / self.n_samples)

    def normal_equations(self, taps: Taps) -> tuple[Floats, Floats]:
        """Covariance of the EEG of all taps, ``(n·taps, n·taps)``, and of the MEG with it, ``(n_sensors, n·taps)``.

        The taps run from the oldest to the newest, the electrodes within each.
        """
        n, step = self._eeg.shape[1], max(1, taps.step // self.taps.step)  # a single tap has no step
        lags = self._eeg[::step]
        blocks = [[lags[j - i] if j >= i else lags[i - j].T for j in range(taps.n)] for i in range(taps.n)]
        oldest = (self.taps.back - taps.back) // self.taps.step
        cross = self._cross[oldest::step][: taps.n].transpose(1, 0, 2).reshape(-1, taps.n * n)
        return np.block(blocks) / self.n_samples, cross / self.n_samples

    def filter(self, taps: Taps, ridge: float = 1e-3) -> Floats:
        """The filter with the least mean square error, ``(n_sensors, n_electrodes, n_taps)``, oldest tap first.

        Args:
            taps: within those of the sums.
            ridge: variance added to each electrode, as a share of their mean variance.
        """
        covariance, cross = self.normal_equations(taps)
        n = len(covariance)
        covariance[np.diag_indices(n)] += ridge * np.trace(covariance) / n
        weights = scipy.linalg.solve(covariance, cross.T, assume_a="pos").T
        return np.asarray(weights.reshape(len(cross), taps.n, -1).transpose(0, 2, 1), np.float64)

    def filters(self, taps: Taps, ridges: Sequence[float]) -> list[Floats]:
        """The filters of several ridges out of one decomposition, as ``filter``.

        Of a short recording, lagged covariances need not fit together: variances below zero count as zero.
        """
        covariance, cross = self.normal_equations(taps)
        variances, directions = scipy.linalg.eigh(covariance, overwrite_a=True)
        along = cross @ directions
        unit = variances.mean()
        found = [(along / (variances.clip(0) + ridge * unit)) @ directions.T for ridge in ridges]
        return [each.reshape(len(cross), taps.n, -1).transpose(0, 2, 1) for each in found]

    def reduced_rank(self, taps: Taps, rank: int, ridge: float = 1e-3) -> Floats:
        """The best filter of that rank: the full one, projected on the principal fields of its own estimate."""
        full = self.filter(taps, ridge)
        covariance, _ = self.normal_equations(taps)
        flat = full.transpose(0, 2, 1).reshape(len(full), -1)
        _, fields = scipy.linalg.eigh(
            flat @ covariance @ flat.T, subset_by_index=(max(0, len(full) - rank), len(full) - 1)
        )
        projected = fields @ (fields.T @ full.reshape(len(full), -1))
        return np.asarray(projected.reshape(full.shape), np.float64)

    def explained(self, weights: Floats, taps: Taps) -> float:
        """The share of the MEG's variance that a filter explains: of recordings, of those that were added."""
        covariance, cross = self.normal_equations(taps)
        flat = weights.transpose(0, 2, 1).reshape(len(weights), -1)
        error = -2 * np.vdot(flat, cross) + np.vdot(flat @ covariance, flat)
        return float(-error / self.meg.trace())

    def seen_through(self, matrix: Floats) -> LaggedCovariances:
        """The same for EEG of other electrodes, ``matrix @ eeg``."""
        eeg = matrix @ self._eeg @ matrix.T / self.n_samples
        return LaggedCovariances.known(eeg, self._cross @ matrix.T / self.n_samples, self.meg, self.taps)

    def principal_fields(self, n: int) -> Floats:
        """The ``n`` orthonormal fields that hold most of the MEG's variance, ``(n_sensors, n)``, largest first."""
        size = len(self._meg)
        _, fields = scipy.linalg.eigh(self.meg, subset_by_index=(size - n, size - 1))
        return np.asarray(fields[:, ::-1], np.float64)


def apply(weights: Floats, taps: Taps, eeg: NDArray[np.floating]) -> Floats:
    """Filter ``(n, n_electrodes)`` of EEG; gives ``(n, n_sensors)``, as if there were zeros around it."""
    padded = np.pad(np.asarray(eeg, np.float64), ((taps.back, taps.ahead), (0, 0)))
    estimate = np.zeros((len(eeg), len(weights)))
    for tap in range(taps.n):
        first = tap * taps.step
        estimate += padded[first : first + len(eeg)] @ weights[:, :, tap].T
    return estimate
