"""What a comparison of estimated with true MEG says in numbers. Pure: arrays in, numbers out.

Signals are ``(n, n_sensors)``; those that are compared have the same units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import signal, stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from cortexcast_models.manifest import Strict

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating]

BANDS_HZ = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 40.0),
}
"""By the usual names, as far as the preprocessing lets through."""

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Of intervals, for a calibration curve."""

_SEGMENT_S = 2.0
_N_RESAMPLES = 9999
_FEW = 8
"""Subjects of which resampling says too little: of three it covers the mean in 78 % of cases, not in 95 %."""
_SAME = 1e-12


class Interval(Strict):
    """A statistic over subjects with its 95 % confidence interval."""

    value: float
    ci95: tuple[float, float] | None = Field(None, strict=False)
    """None of a single subject."""
    n: int
    """Subjects."""


def explained_variance(true: Numbers, estimated: Numbers) -> float:
    """Share of the power of ``true`` that the estimate explains: one at best, zero for an estimate of zero."""
    power = np.square(true, dtype=np.float64).sum()
    return float(1 - np.square(true - estimated, dtype=np.float64).sum() / power)


def correlation_of_sensors(true: Numbers, estimated: Numbers) -> Floats:
    """Pearson's r of each sensor, ``(n_sensors,)``; zero where an estimate is constant."""
    a, b = (np.asarray(x, np.float64) - x.mean(axis=0, dtype=np.float64) for x in (true, estimated))
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray(np.divide((a * b).sum(axis=0), scale, out=np.zeros(len(scale)), where=scale > 0), np.float64)


def explained_by_band(true: Numbers, estimated: Numbers, rate_hz: float) -> dict[str, float]:
    """Explained variance in each of ``BANDS_HZ``, by spectra of segments of 2 s (Welch)."""
    n = round(_SEGMENT_S * rate_hz)

    def spectrum(x: Numbers) -> tuple[Floats, Floats]:
        hz, power = signal.welch(x, rate_hz, nperseg=min(n, len(x)), axis=0, detrend=False)
        return hz, power.sum(axis=1, dtype=np.float64)

    hz, of_true = spectrum(true)
    _, of_error = spectrum(true - estimated)
    shares = {}
    for name, (low, high) in BANDS_HZ.items():
        inside = (hz >= low) & (hz < high)
        shares[name] = float(1 - of_error[inside].sum() / of_true[inside].sum())
    return shares


def coverage(true: Numbers, estimated: Numbers, std: Numbers, level: float = 0.9) -> float:
    """Share of values inside the Gaussian interval of that level around their estimate.

    Args:
        true: ``(n, n_sensors)``.
        estimated: likewise.
        std: of the error; broadcasts against them.
        level: of the interval.
    """
    return float(np.mean(np.abs(true - estimated) <= stats.norm.ppf(0.5 + level / 2) * std))


def gap_closed(model: float, baseline: float, oracle: float) -> float:
    """Share of the way from the baseline to the oracle that a model goes."""
    return (model - baseline) / (oracle - baseline)


def over_subjects(values: Sequence[float]) -> Interval:
    """The mean over subjects with its 95 % confidence interval; see ``statistic_over_subjects``."""
    return statistic_over_subjects(_mean, values)


def _mean(values: Floats, axis: int = -1) -> Floats:
    return np.asarray(values.mean(axis=axis), np.float64)


def gathered(records: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each name, of those records that have it."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record[name] for record in records if name in record] for name in names}


def means(records: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each name, over those records that have it."""
    return {name: float(np.mean(values)) for name, values in gathered(records).items()}


def gap_over_subjects(model: Sequence[float], baseline: Sequence[float], oracle: Sequence[float]) -> Interval:
    """The gap that is closed between the means over subjects. Subjects are drawn with all three of their values."""

    def closed(model: Floats, baseline: Floats, oracle: Floats, axis: int = -1) -> Floats:
        m, b, o = (np.mean(x, axis=axis) for x in (model, baseline, oracle))
        return np.asarray((m - b) / (o - b), np.float64)

    return statistic_over_subjects(closed, model, baseline, oracle)


def statistic_over_subjects(statistic: Callable[..., Floats], *values: Sequence[float]) -> Interval:
    """A statistic of paired values of subjects, vectorised over ``axis``, with its 95 % confidence interval.

    The interval is that of the BCa bootstrap (Efron 1987), and of few subjects Student's about the jackknife (Tukey
    1958), which for a mean is the usual one.
    """
    arrays = [np.asarray(each, np.float64) for each in values]
    n = len(arrays[0])
    value = float(statistic(*arrays, axis=-1))
    if n < 2:
        return Interval(value=value, n=n)
    without_one = [float(statistic(*(np.delete(array, i) for array in arrays), axis=-1)) for i in range(n)]
    if np.ptp(without_one) < _SAME:  # such as the gap that the baseline closes: the bootstrap knows no interval then
        return Interval(value=value, ci95=(value, value), n=n)
    if n < _FEW:
        reach = float(stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) * np.var(without_one)))
        return Interval(value=value, ci95=(value - reach, value + reach), n=n)
    drawn = stats.bootstrap(
        arrays,
        statistic,
        n_resamples=_N_RESAMPLES,
        paired=True,
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(value=value, ci95=(float(drawn.low), float(drawn.high)), n=n)


def epochs(data: Numbers, onsets: NDArray[np.int64], begin: int, end: int) -> Floats:
    """What follows each onset, ``(n_onsets, end - begin, n_sensors)``; all must lie inside."""
    return np.stack([np.asarray(data[onset + begin : onset + end], np.float64) for onset in onsets])


def without_trial_mean(
    data: Numbers, onsets: NDArray[np.int64], labels: NDArray[np.int64], begin: int, end: int
) -> Floats:
    """The signal less the mean response to each label, at every trial of it."""
    result = np.array(data, np.float64)
    for label in np.unique(labels):
        of_label = onsets[labels == label]
        mean = epochs(data, of_label, begin, end).mean(axis=0)
        for onset in of_label:
            result[onset + begin : onset + end] -= mean
    return result


def topography_correlation(true: Numbers, estimated: Numbers) -> float:
    """Pearson's r over sensors of two fields ``(n_sensors,)``; zero where one is constant."""
    return float(correlation_of_sensors(true[:, np.newaxis], estimated[:, np.newaxis])[0])


def across_halves(first: Floats, second: Floats, labels: NDArray[np.str_]) -> float:
    """How much the mean responses of one signal's odd trials are like those of another one's even trials.

    What goes on beside the responses is another in each half, so what both share is the response.

    Args:
        first: ``(n_trials, n_samples, n_sensors)``, sensors in like units.
        second: likewise.
        labels: ``(n_trials,)``, what was shown; those of fewer than two trials are left out.

    Returns:
        Pearson's r over labels, samples and sensors, the mean of both ways round; NaN without a label of two trials.
    """
    halves: list[list[Floats]] = [[], [], [], []]
    for label in np.unique(labels):
        trials = np.flatnonzero(labels == label)
        if len(trials) > 1:
            ways = ((first, trials[::2]), (second, trials[1::2]), (first, trials[1::2]), (second, trials[::2]))
            for half, (signal, some) in zip(halves, ways, strict=True):
                half.append(signal[some].mean(axis=0).ravel())
    if not halves[0]:
        return float("nan")
    a, b, c, d = (np.concatenate(half) for half in halves)
    return (topography_correlation(a, b) + topography_correlation(c, d)) / 2


def responses_ceiling(recorded: Floats, labels: NDArray[np.str_]) -> float:
    """What ``across_halves`` gives of the true responses with a recording: its noise leaves no estimate more.

    One half is like the other as far as S / (S + N), its response and its noise; the response itself, without noise, is
    like either as far as the root of that.

    Args:
        recorded: ``(n_trials, n_samples, n_sensors)``, sensors in like units.
        labels: ``(n_trials,)``, what was shown.

    Returns:
        Pearson's r; NaN without a label of two trials.
    """
    return float(np.sqrt(np.maximum(across_halves(recorded, recorded, labels), 0.0)))


def decoding_auc(features: Mapping[str, Floats], labels: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """How well a classifier that saw the other subjects tells a subject's trials apart.

    Args:
        features: of each subject's trials, ``(n_trials, n_features)``.
        labels: of each, whether it is of the one kind.

    Returns:
        The area under the ROC curve of each subject that has both kinds: a shrunk linear discriminant (Ledoit & Wolf
        2004) that was fitted to all others. Empty with a single subject.
    """
    unit = np.sqrt(np.mean([np.mean(each**2) for each in features.values()]))
    scores = {}
    for subject, trials in features.items():
        others = [name for name in features if name != subject]
        if not others or len(np.unique(labels[subject])) < 2:
            continue
        seen = np.concatenate([features[name] for name in others]) / unit
        kinds = np.concatenate([labels[name] for name in others])
        if len(np.unique(kinds)) < 2:
            continue
        discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(seen, kinds)
        scores[subject] = float(roc_auc_score(labels[subject], discriminant.decision_function(trials / unit)))
    return scores
