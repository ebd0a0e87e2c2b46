"""How near estimates come to what was recorded, run by run, subject by subject. Pure.

What is recorded and what is estimated are ``(n_volumes, n_outputs)``; outputs that were not recorded, NaN,
do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.fmri_metrics import (
    connectivity_error,
    crps,
    two_against_two,
    two_way_identification,
)
from cortexcast_training.metrics import LEVELS, correlation_of_sensors, coverage, means

Floats = NDArray[np.float64]

SEGMENT_S = 10.0
"""Of films, that are told apart by what is estimated."""


@dataclass(frozen=True)
class Estimate:
    """What a method gives for a run.

    Attributes:
        mean: ``(n_volumes, n_outputs)``.
        std: of the error, likewise; None where the method gives none.
    """

    mean: Floats
    std: Floats | None = None


@dataclass(frozen=True)
class Scores:
    """How near an estimate comes.

    Attributes:
        metrics: by name, as ``fmri_results.MethodScores`` has them.
        r: of each output, NaN where it was not recorded.
        r2: likewise, the share of its variance that is explained.
        coverage: by level, the share of values inside the interval; empty without ``std``.
    """

    metrics: dict[str, float]
    r: Floats
    r2: Floats
    coverage: dict[float, float]


def score_bold(recorded: Floats, estimate: Estimate) -> Scores:
    """Of one run's BOLD."""
    known = np.asarray(np.isfinite(recorded).all(axis=0))
    true, given = recorded[:, known], estimate.mean[:, known]
    std = None if estimate.std is None else estimate.std[:, known]
    scores = _score(recorded, estimate, known)
    local = correlation_of_sensors(*(without_global(each) for each in (true, given)))
    scores.metrics["r without global signal"] = float(local.mean())
    scores.metrics["connectivity error"] = connectivity_error(true, given)
    if std is not None:
        scores.metrics["crps"] = crps(true, given, std)
    return scores


def score_stimulus(shown: Floats, estimate: Estimate, tr_s: float) -> Scores:
    """Of what was seen in one run."""
    scores = _score(shown, estimate, np.ones(shown.shape[1], bool))
    pairs = segments(shown, tr_s), segments(estimate.mean, tr_s)
    if len(pairs[0]) > 1:
        scores.metrics["two-way identification"] = two_way_identification(*pairs)
        scores.metrics["two against two"] = two_against_two(*pairs)
    return scores


def label_accuracy(shown: NDArray[np.int64], probabilities: Floats, among: int) -> float:
    """Share of volumes of which the label that was shown is among the likeliest; NaN where none is known."""
    known = shown >= 0
    if not known.any():
        return float("nan")
    likeliest = np.argsort(-probabilities[known], axis=1)[:, :among]
    return float((likeliest == shown[known, np.newaxis]).any(axis=1).mean())


def segments(courses: Floats, tr_s: float) -> Floats:
    """Means over ``SEGMENT_S`` each, ``(n_segments, n_outputs)``."""
    length = max(1, round(SEGMENT_S / tr_s))
    n = len(courses) // length
    return np.asarray(courses[: n * length].reshape(n, length, -1).mean(axis=1), np.float64)


def without_global(courses: Floats) -> Floats:
    """What the mean over outputs does not explain of each of them."""
    centred = courses - courses.mean(axis=0)
    mean = centred.mean(axis=1)
    power = mean @ mean
    return np.asarray(centred - np.outer(mean, mean @ centred / power) if power > 0 else centred, np.float64)


def over_runs(scores: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """A subject's scores by method, the mean over runs."""
    return {name: mean_scores([each[name] for each in scores]) for name in scores[0]}


def known_mean(values: Sequence[Floats]) -> Floats:
    """The mean of arrays, of those values that are known; NaN where none is."""
    stacked = np.array(values)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)))


def _score(recorded: Floats, estimate: Estimate, known: NDArray[np.bool_]) -> Scores:
    r, r2 = np.full(len(known), np.nan), np.full(len(known), np.nan)
    true, given = recorded[:, known], estimate.mean[:, known]
    r[known] = correlation_of_sensors(true, given)
    power = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    r2[known] = 1 - ((true - given) ** 2).sum(axis=0) / np.where(power > 0, power, np.nan)
    # What never changed cannot be told.
    r[np.isnan(r2)] = np.nan
    levels = {}
    if estimate.std is not None:
        levels = {level: coverage(true, given, estimate.std[:, known], level) for level in LEVELS}
    return Scores({"r": float(np.nanmean(r)), "r2": float(np.nanmean(r2))}, r, r2, levels)


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of scores of the same method."""
    return Scores(
        means([each.metrics for each in scores]),
        known_mean([each.r for each in scores]),
        known_mean([each.r2 for each in scores]),
        {level: float(np.mean([each.coverage[level] for each in scores])) for level in scores[0].coverage},
    )
