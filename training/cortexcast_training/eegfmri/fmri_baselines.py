"""What the autoencoder has to beat: estimates by other means, fitted to the same training runs.

Each method takes a run and gives what it estimates at each of its volumes, ``(n_volumes, n_outputs)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import centred
from cortexcast_training.eegfmri.hemodynamics import bold as convolved
from cortexcast_training.eegfmri.moments import settled
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.targets import Target, bold
from cortexcast_training.eegfmri.vae import N_HOPS, bumps

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Method = Callable[[Run], Floats]

RANK = 16
"""Of the reduced-rank ridge."""

_ALPHA = ("low alpha", "high alpha")
_PEAK_S = 5.25
_STRENGTHS = tuple(10.0**power for power in np.arange(-3.0, 2.5, 0.5))
"""Of ridge, in proportion to a feature's power summed over volumes."""


def group_mean(run: Run, others: Sequence[Run]) -> Floats:
    """The mean BOLD of others who watched the same film; it needs no EEG, and is zero where nobody did."""
    total, count = np.zeros(run.bold.T.shape), np.zeros((run.bold.shape[1], 1))
    for other in others:
        if other.film == run.film and other.subject != run.subject:
            course = np.nan_to_num(bold(other))[: len(total)]
            total[: len(course)] += course
            count[: len(course)] += 1
    return np.asarray(total / count.clip(1), np.float64)


def alpha_power(train: Sequence[Run]) -> Method:
    """BOLD by alpha power of all electrodes, through the canonical hemodynamic response, scaled for each parcel."""
    alpha = [list(BANDS).index(name) for name in _ALPHA]

    def regressor(run: Run) -> Floats:
        course = centred(run.power)[:, :, alpha].mean(axis=(1, 2), dtype=np.float64)
        through = convolved(course[np.newaxis], np.array([_PEAK_S]), 1 / HOP_S)[0]
        return np.asarray(through[run.hops.clip(0)], np.float64)

    given, wanted = zip(*((regressor(run), np.nan_to_num(bold(run))) for run in train), strict=True)
    x, y = np.concatenate(given), np.concatenate(wanted)
    slopes = x @ y / (x @ x)
    return lambda run: np.outer(regressor(run), slopes)


def lagged_ridge(
    train: Sequence[Run], held_out: Sequence[Run], target: Target = bold, ranks: Sequence[int | None] = (None,)
) -> list[Method]:
    """The EEG finger-print: ridge regression on the power of every electrode and band at every lag.

    Args:
        train: to fit to.
        held_out: of other subjects, to choose the strength by.
        target: what is estimated.
        ranks: of the map; None leaves it as it is. There is a method for each.

    Source: Meir-Hasson et al., *NeuroImage* 102 (2014).
    """
    middle = _mean(np.concatenate([target(run) for run in train]))
    gram, cross = _sums(train, lambda run: target(run) - middle)
    n_volumes = sum(len(_fitted(run, target)) for run in train)
    scale = np.sqrt(np.diag(gram) / n_volumes)
    if n_volumes < len(scale):  # which is the same in a tenth of the time
        _, sizes, rows = np.linalg.svd(
            np.concatenate([lagged(run)[_fitted(run, target)] / scale for run in train]), full_matrices=False
        )
        eigenvalues, vectors = sizes**2, rows.T
    else:
        eigenvalues, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    rotated = vectors.T @ (cross / scale[:, np.newaxis])
    told = [(run, _fitted(run, target)) for run in held_out]
    given = [(lagged(run)[at] / scale, np.nan_to_num(target(run)[at] - middle)) for run, at in told]

    def at(strength: float, rank: int | None) -> Floats:
        shrunk = rotated / (eigenvalues + n_volumes * strength)[:, np.newaxis]
        if rank:
            # The map of that rank whose estimates of the training data are nearest (Izenman, 1975).
            _, directions = np.linalg.eigh(shrunk.T @ (eigenvalues[:, np.newaxis] * shrunk))
            shrunk = shrunk @ directions[:, -rank:] @ directions[:, -rank:].T
        return np.asarray(vectors @ shrunk, np.float64)

    def error(weights: Floats) -> float:
        return sum(float(np.sum((wanted - features @ weights) ** 2)) for features, wanted in given)

    def method(weights: Floats) -> Method:
        return lambda run: np.asarray(middle + lagged(run) / scale @ weights, np.float64)

    return [method(min((at(strength, rank) for strength in _STRENGTHS), key=error)) for rank in ranks]


def shifted(run: Run, shift_s: float) -> Run:
    """The run with EEG of another time, which has nothing to do with its BOLD."""
    return replace(run, power=np.roll(run.power, round(shift_s / HOP_S), axis=0))


def lagged(run: Run) -> Singles:
    """Band power of the 20 s before each volume by bumps over lags, ``(n_volumes, n_bumps * n_features)``."""
    course = centred(run.power).reshape(len(run.power), -1)
    padded = np.concatenate([np.zeros((N_HOPS, course.shape[1]), np.float32), course])
    before = padded[run.hops.clip(0)[:, np.newaxis] + np.arange(1, N_HOPS + 1)]
    return np.asarray(bumps() @ before, np.float32).reshape(len(before), -1)


def _fitted(run: Run, target: Target) -> NDArray[np.int64]:
    """The settled volumes of which anything is known."""
    volumes = settled(run)
    return volumes[np.isfinite(target(run)[volumes]).any(axis=1)]


def _mean(courses: Floats) -> Floats:
    """Over volumes, of what is known; zero of what never is."""
    known = np.isfinite(courses)
    return np.asarray(np.where(known, courses, 0).sum(axis=0) / known.sum(axis=0).clip(1), np.float64)


def _sums(runs: Sequence[Run], target: Target) -> tuple[Floats, Floats]:
    """Of products of features, and of features with what is wanted, over settled volumes."""
    n_features, n_outputs = lagged(runs[0]).shape[1], target(runs[0]).shape[1]
    gram, cross = np.zeros((n_features, n_features)), np.zeros((n_features, n_outputs))
    for run in runs:
        volumes = _fitted(run, target)
        features = lagged(run)[volumes]
        gram += features.T @ features
        cross += features.T @ np.nan_to_num(target(run)[volumes])
    return gram, cross
