"""What a comparison of estimated with recorded BOLD, or stimuli, says in numbers beyond ``metrics``. Pure.

Courses are ``(n_volumes, n_outputs)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cortexcast_training.metrics import correlation_of_sensors

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating]

MIN_SHIFT_S = 20.0
"""Courses that are shifted by less still have to do with each other: BOLD is slow."""


def crps(recorded: Numbers, estimated: Numbers, std: Numbers) -> float:
    """Continuous ranked probability score of Gaussian estimates, the mean: 0 at best, in the unit of the data.

    Source: Gneiting & Raftery, *J. Am. Stat. Assoc.* 102 (2007).
    """
    z = (recorded - estimated) / std
    score = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    return float(np.mean(std * score))


def connectivity_error(recorded: Numbers, estimated: Numbers) -> float:
    """Root mean square difference of the correlations between outputs, over all pairs.

    What an estimate misses of each output's variance counts as noise of that output alone. Else the less an estimate
    holds, the more its courses would be alike.
    """
    pairs = np.triu_indices(recorded.shape[1], 1)
    sd = recorded.std(axis=0)
    scale = np.outer(sd, sd)[pairs]
    first, second = (np.cov(each, rowvar=False, ddof=0)[pairs] for each in (recorded, estimated))
    differences = np.divide(first - second, scale, out=np.zeros_like(scale), where=scale > 0)
    return float(np.sqrt(np.mean(differences**2)))


def shifted_correlations(recorded: Numbers, estimated: Numbers, tr_s: float) -> Floats:
    """What correlates by chance: each output's r with the estimate turned by every time of at least ``MIN_SHIFT_S``.

    Returns:
        ``(n_shifts, n_outputs)``; no shifts where the run is too short.
    """
    n, least = len(recorded), int(np.ceil(MIN_SHIFT_S / tr_s))
    shifts = range(least, n - least + 1)
    return np.array([correlation_of_sensors(recorded, np.roll(estimated, shift, axis=0)) for shift in shifts]).reshape(
        len(shifts), recorded.shape[1]
    )


def significant(
    recorded: Sequence[Numbers], estimated: Sequence[Numbers], tr_s: float, level: float = 0.05
) -> NDArray[np.bool_]:
    """Which outputs correlate more than shifted ones do, over runs, at a false discovery rate of that level.

    Args:
        recorded: of each run.
        estimated: likewise.
        tr_s: from volume to volume.
        level: the false discovery rate (Benjamini & Hochberg).
    """
    found = np.mean([correlation_of_sensors(*pair) for pair in zip(recorded, estimated, strict=True)], axis=0)
    by_run = [shifted_correlations(*pair, tr_s) for pair in zip(recorded, estimated, strict=True)]
    n_shifts = min(map(len, by_run))
    # A shift of all runs by as much, each from its own first one.
    chance = np.mean([each[:n_shifts] for each in by_run], axis=0)
    p = (1 + (chance >= found).sum(axis=0)) / (1 + n_shifts)
    return np.asarray(stats.false_discovery_control(p) <= level)


def two_against_two(shown: Numbers, estimated: Numbers) -> float:
    """Share of pairs of segments whose two estimates are matched rightly: by the sum of both likenesses.

    Args:
        shown: ``(n_segments, n_values)``, what was shown in each segment.
        estimated: likewise.

    Returns:
        0.5 by chance: what cannot be told apart is half right.

    Source: Mitchell et al., *Science* 320 (2008).
    """
    r = _similarity(shown, estimated)
    own = np.diag(r)
    pairs = np.triu_indices(len(r), 1)
    more = (own[:, np.newaxis] + own - r - r.T)[pairs]
    return float(np.mean((more > 0) + 0.5 * (more == 0)))


def two_way_identification(shown: Numbers, estimated: Numbers) -> float:
    """Of one estimate and two segments, how often the one that was shown is more like it; 0.5 by chance.

    It is the rank accuracy too: how high, of 0 to 1, the segment that was shown ranks among all others.
    """
    r = _similarity(shown, estimated)
    own = np.diag(r)
    lower, as_high = (r < own).sum(axis=0), (r == own).sum(axis=0) - 1
    return float(np.mean((lower + 0.5 * as_high) / (len(r) - 1)))


def _similarity(shown: Numbers, estimated: Numbers) -> Floats:
    """Pearson's r of each segment shown (rows) with each estimate (columns); zero of what is constant."""
    scaled = []
    for values in (shown, estimated):
        centred = np.asarray(values, np.float64) - values.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(centred, axis=1, keepdims=True)
        scaled.append(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0))
    return np.asarray(scaled[0] @ scaled[1].T, np.float64)
