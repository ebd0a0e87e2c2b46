"""What the autoencoder has to beat: estimates of BOLD by other means, fitted to the same training runs.

Each method takes a run and gives the BOLD of its volumes, ``(n_volumes, n_parcels)`` in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import centred
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.vae import N_HOPS, bumps

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Method = Callable[[Run], Floats]

RANK = 16
"""Of the reduced-rank ridge."""

_ALPHA = ("low alpha", "high alpha")
_PEAK_S = 5.25
_STRENGTHS = tuple(10.0**power for power in np.arange(2.0, 6.5, 0.5))
"""Of ridge, in proportion to a feature's variance summed over moments."""


def zero(run: Run) -> Floats:
    """No change at all."""
    return np.zeros(run.bold.T.shape)


def group_mean(run: Run, others: Sequence[Run]) -> Floats:
    """The mean time course of others who watched the same film; it needs no EEG, and zero where nobody did."""
    same = [other.bold.T for other in others if other.film == run.film and other.subject != run.subject]
    return np.asarray(np.mean(same, axis=0), np.float64) if same else zero(run)


def alpha_power(train: Sequence[Run]) -> Method:
    """Alpha power, averaged over electrodes, through the canonical hemodynamic response, scaled for each parcel."""
    alpha = [list(BANDS).index(name) for name in _ALPHA]

    def regressor(run: Run) -> Floats:
        course = centred(run.power)[:, :, alpha].mean(axis=(1, 2), dtype=np.float64)
        through = bold(course[np.newaxis], np.array([_PEAK_S]), 1 / HOP_S)[0]
        return np.asarray(through[run.hops.clip(0)], np.float64)

    given, wanted = zip(*((regressor(run), run.bold.T) for run in train), strict=True)
    x, y = np.concatenate(given), np.concatenate(wanted)
    slopes = x @ y / (x @ x)
    return lambda run: np.outer(regressor(run), slopes)


def lagged_ridge(train: Sequence[Run], held_out: Sequence[Run], rank: int | None = None) -> Method:
    """The EEG finger-print: ridge regression on the power of every electrode and band at every lag.

    Args:
        train: to fit to.
        held_out: of other subjects, to choose the strength by.
        rank: of the map; None leaves it as it is.

    Source: Meir-Hasson et al., *NeuroImage* 102 (2014).
    """
    scale = np.sqrt(np.mean([np.mean(lagged(run).astype(np.float64) ** 2, axis=0) for run in train], axis=0))
    gram, cross = _sums(train, scale)
    eigenvalues, vectors = np.linalg.eigh(gram)
    rotated = vectors.T @ cross

    def at(strength: float) -> Floats:
        weights = vectors @ (rotated / (eigenvalues + strength)[:, np.newaxis])
        return _of_rank(weights, gram, rank) if rank else np.asarray(weights, np.float64)

    def error(weights: Floats) -> float:
        return sum(float(np.sum((run.bold.T - lagged(run) / scale @ weights) ** 2)) for run in held_out)

    weights = min((at(strength) for strength in _STRENGTHS), key=error)
    return lambda run: np.asarray(lagged(run) / scale @ weights, np.float64)


def shifted(method: Method, shift_s: float) -> Method:
    """The same method on EEG of another time: what is left has nothing to do with the EEG."""

    def estimate(run: Run) -> Floats:
        return method(replace(run, power=np.roll(run.power, round(shift_s / HOP_S), axis=0)))

    return estimate


def lagged(run: Run) -> Singles:
    """Band power of the 20 s before each volume by bumps over lags, ``(n_volumes, n_bumps * n_features)``."""
    course = centred(run.power).reshape(len(run.power), -1)
    weights = bumps()[:, ::-1]  # newest first, as a filter has them
    courses = [scipy.signal.lfilter(each, [1.0], course, axis=0)[run.hops.clip(0)] for each in weights]
    assert weights.shape[1] == N_HOPS
    return np.concatenate(courses, axis=1).astype(np.float32)


def _sums(runs: Sequence[Run], scale: Floats) -> tuple[Floats, Floats]:
    gram, cross = np.zeros((len(scale), len(scale))), np.zeros((len(scale), len(runs[0].bold)))
    for run in runs:
        features = lagged(run) / scale
        gram += features.T @ features
        cross += features.T @ run.bold.T
    return gram, cross


def _of_rank(weights: Floats, gram: Floats, rank: int) -> Floats:
    """The map of that rank whose estimates of the training data are nearest: Izenman's reduced-rank regression."""
    _, directions = np.linalg.eigh(weights.T @ gram @ weights)
    kept = directions[:, -rank:]
    return np.asarray(weights @ kept @ kept.T, np.float64)
