"""Judge a model and every baseline on one held-out subject after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.manifest import Absent
from cortexcast_training import metrics
from cortexcast_training.baselines import Population, fir_taps, minimum_norm, own, zero
from cortexcast_training.experiment import CODES, condition
from cortexcast_training.held_out import BAYES, HeldOut
from cortexcast_training.leadfield import helmet, is_magnetometer
from cortexcast_training.montages import wearing
from cortexcast_training.results import Topography, Trace
from cortexcast_training.streamed import Estimates, Method

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating]

MODEL, BASELINE, NULL, EVOKED = "model", "FIR-Wiener", "model, EEG shifted in time", "mean evoked response"

RESPONSES_S = {"M100": (0.095, 0.135), "M170": (0.165, 0.205)}
"""When the evoked responses are at their peaks, some 15 ms late by the filters' delay."""

_TRIAL_S = (0.0, 0.4)
"""Around each picture, where a response may be."""

_LEAST_SHIFT_S = 10.0
_TRACE_S = 2.0
_TRACE_SENSORS = ("MEG2031", "MEG1611", "MEG2032", "MEG1612")


@dataclass(frozen=True)
class Contestants:
    """What is compared on every subject.

    Attributes:
        model: the one in question.
        population: of its training data.
        methods: all baselines of the training data by name, ``BASELINE`` among them.
        worn: by number of electrodes: what the canonical montage shows, and the population's FIR-Wiener filter for it.
        others: models of less effort by name, for learning curves.
    """

    model: Method
    population: Population
    methods: Mapping[str, Method]
    worn: Mapping[int, tuple[Floats, Method]]
    others: Mapping[str, Method] = field(default_factory=dict)


def contestants(
    model: Method,
    population: Population,
    montages: Iterable[int],
    absent: Absent,
    others: Mapping[str, Method],
) -> Contestants:
    """Fit all that is fitted to training data."""
    linear = population.methods()
    worn = {}
    for n in montages:
        matrix = wearing(n, absent)
        worn[n] = matrix, population.wearing(matrix).linear(fir_taps(population.rate_hz))
    methods = {"zero": zero, "minimum norm": minimum_norm(), **linear}
    return Contestants(model, population, methods, worn, others)


@dataclass(frozen=True)
class Judged:
    """What became of one subject.

    Attributes:
        subject: the name.
        simulated: no real brain.
        truth_known: estimates were judged by the truth.
        seconds: that were judged.
        scores: of each method by metric, as ``results.MethodResult`` names them.
        headsets: explained variance of the model and of the baseline by number of electrodes.
        others: explained variance of the models of less effort.
        calibration: by level, coverage of the recorded and of the true MEG.
        trials: features of single trials by what they come from, and
        faces: which trials show a face.
        evoked: by condition, number of trials and the mean recorded and target response, in T and T/m.
        scale: ``(n_sensors,)``, the RMS of the target over each type of sensor.
        power: of the target in units of ``scale``, all samples and sensors together.
        topographies: mean fields of this subject.
        traces: an example.
    """

    subject: str
    simulated: bool
    truth_known: bool
    seconds: float
    scores: dict[str, dict[str, float]]
    headsets: dict[int, tuple[float, float]]
    others: dict[str, float]
    calibration: dict[float, tuple[float, float]]
    trials: dict[str, Floats]
    faces: NDArray[np.bool_]
    evoked: dict[str, tuple[int, Floats, Floats]]
    scale: Floats
    power: float
    topographies: list[Topography] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)


def judge(held: HeldOut, field_of: Contestants) -> Judged:
    """Run every method on a subject and compare."""
    view = _View(held)
    test = held.test
    methods = {**field_of.methods, **own(held.own, field_of.population.units)}
    # An estimate of an hour takes a gigabyte: one at a time.
    scores = {name: view.score(method(test)) for name, method in methods.items()}
    scores |= {name: view.score(estimates) for name, estimates in held.bounds.items()}
    model = field_of.model(test)
    scores[MODEL] = view.score(model)
    if test.duration_s >= 2 * _LEAST_SHIFT_S:
        elsewhere = replace(test, eeg=np.roll(test.eeg, len(test.eeg) // 2, axis=0))
        scores[NULL] = view.score(field_of.model(elsewhere))
    headsets = {}
    for n, (matrix, baseline) in field_of.worn.items():
        worn = replace(test, eeg=np.asarray(test.eeg @ matrix.T, np.float32))
        headsets[n] = view.explained(field_of.model(worn).meg), view.explained(baseline(worn).meg)
    return Judged(
        subject=test.subject,
        simulated=test.simulated,
        truth_known=test.true_meg is not None,
        seconds=float(held.judged.sum() / test.rate_hz),
        scores=scores,
        headsets=headsets,
        others={name: view.explained(other(test).meg) for name, other in field_of.others.items()},
        calibration=view.calibration(model),
        trials={
            "EEG": view.features(test.eeg),
            "estimated MEG": view.features(view.scaled(model.meg)),
            "recorded MEG": view.features(view.scaled(test.meg)),
        },
        faces=np.array([label != "scrambled" for label in view.labels], bool),
        evoked=view.evoked(),
        scale=view.scale,
        power=float(np.square(view.target, dtype=np.float64).sum()),
        topographies=view.topographies(model),
        traces=view.traces(model),
    )


def joined(runs: Sequence[Judged]) -> Judged:
    """One entry for a subject, of what became of its recordings, each counted alike."""
    first = runs[0]
    if len(runs) == 1:
        return first
    labels = sorted({label for run in runs for label in run.evoked})
    evoked = {}
    for label in labels:
        n, recorded, target = zip(*(run.evoked[label] for run in runs if label in run.evoked), strict=True)
        evoked[label] = sum(n), np.average(recorded, axis=0, weights=n), np.average(target, axis=0, weights=n)
    names = [name for name in first.scores if all(name in run.scores for run in runs)]
    return replace(
        first,
        seconds=sum(run.seconds for run in runs),
        scores={name: metrics.means([run.scores[name] for run in runs]) for name in names},
        headsets={n: _mean_of_pairs([run.headsets[n] for run in runs]) for n in first.headsets},
        others=metrics.means([run.others for run in runs]),
        calibration={level: _mean_of_pairs([run.calibration[level] for run in runs]) for level in first.calibration},
        trials={source: np.concatenate([run.trials[source] for run in runs]) for source in first.trials},
        faces=np.concatenate([run.faces for run in runs]),
        evoked=evoked,
        scale=np.sqrt(np.mean([run.scale**2 for run in runs], axis=0)),
        power=sum(run.power for run in runs),
        topographies=mean_topographies([topography for run in runs for topography in run.topographies]),
    )


def mean_topographies(topographies: Sequence[Topography]) -> list[Topography]:
    """One of each name, the mean of all of it: the virtual helmet is the same for all recordings."""
    means = []
    for name in RESPONSES_S:
        if found := [each for each in topographies if each.name == name]:
            true, estimated = (
                tuple(np.mean(fields, axis=0).tolist())
                for fields in ([each.true for each in found], [each.estimated for each in found])
            )
            means.append(Topography(name=name, true=true, estimated=estimated))
    return means


def _mean_of_pairs(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    first, second = np.mean(pairs, axis=0).tolist()
    return first, second


@dataclass(frozen=True)
class Shifted:
    """What became of a subject unlike the training data.

    Attributes:
        model, baseline: explained variance of the model and of the population's FIR-Wiener filter.
        oracle: likewise, where the truth is known.
        novel: share of hops that the model says are unlike its training data; None where it does not say.
    """

    model: float
    baseline: float
    oracle: float | None
    novel: float | None


def not_shifted(judged: Judged) -> Shifted:
    """What to compare with: the same, of a subject like those of the training data."""
    scores = judged.scores
    return Shifted(
        model=scores[MODEL]["explained"],
        baseline=scores[BASELINE]["explained"],
        oracle=scores.get(BAYES, {}).get("explained"),
        novel=scores[MODEL].get("novel"),
    )


def judge_shifted(held: HeldOut, model: Method, baseline: Method) -> Shifted:
    """Run the model and the baseline on a subject and compare."""
    view, estimates = _View(held), model(held.test)
    return Shifted(
        model=view.explained(estimates.meg),
        baseline=view.explained(baseline(held.test).meg),
        oracle=view.explained(held.bounds[BAYES].meg) if BAYES in held.bounds else None,
        novel=None if estimates.novelty is None else view.novel(estimates.novelty),
    )


def explained(held: HeldOut, meg: Numbers) -> float:
    """Explained variance of a subject's judged samples, as every method's ``explained`` is."""
    return _View(held).explained(meg)


class _View:
    """A subject's judged samples, the target in units of one for each type of sensor."""

    def __init__(self, held: HeldOut) -> None:
        self.held = held
        self.rate_hz = held.test.rate_hz
        target = held.target[held.judged]
        self.is_mag = is_magnetometer()
        power = np.square(target, dtype=np.float64).mean(axis=0)
        rms = {kind: np.sqrt(power[self.is_mag == kind].mean()) for kind in (True, False)}
        self.scale = np.where(self.is_mag, rms[True], rms[False])
        self.target = self.of(held.target)
        begin, end = (round(s * self.rate_hz) for s in _TRIAL_S)
        # Trials lie inside the uninterrupted stretch that is judged.
        judged_before = np.concatenate([[0], np.cumsum(held.judged)])
        onsets, codes = held.test.events.T
        known = np.isin(codes, np.concatenate(list(CODES.values())))
        inside = known & (onsets + begin >= 0) & (onsets + end <= len(held.judged))
        at = onsets[inside]
        whole = judged_before[at + end] - judged_before[at + begin] == end - begin
        self.onsets = at[whole]
        self.labels = np.array([condition(int(code)) for code in codes[inside][whole]])
        self.begin, self.end = begin, end

    def scaled(self, meg: Numbers) -> Floats:
        return np.asarray(meg / self.scale, np.float64)

    def of(self, meg: Numbers) -> Floats:
        """Judged samples of a MEG."""
        return np.asarray(meg[self.held.judged] / self.scale, np.float64)

    def explained(self, meg: Numbers) -> float:
        return metrics.explained_variance(self.target, self.of(meg))

    def novel(self, novelty: Numbers) -> float:
        hops = self.held.judged.reshape(-1, self.held.test.hop).all(axis=1)
        return float(np.mean(novelty[hops] > 1))

    def score(self, estimates: Estimates) -> dict[str, float]:
        estimated = self.of(estimates.meg)
        scores = {"explained": metrics.explained_variance(self.target, estimated)}
        r = metrics.correlation_of_sensors(self.target, estimated)
        for name, which in (("mag", self.is_mag), ("grad", ~self.is_mag)):
            scores[f"explained {name}"] = metrics.explained_variance(self.target[:, which], estimated[:, which])
            scores[f"r {name}"] = float(np.median(r[which]))
        bands = metrics.explained_by_band(self.target, estimated, self.rate_hz)
        scores |= {f"explained {band}": share for band, share in bands.items()}
        if len(self.onsets):
            scores |= self._of_trials(estimates.meg)
        if self.held.test.noise is not None and self.held.test.true_meg is None:
            scores["noise"] = float(np.mean(self.held.test.noise.diagonal() / self.scale**2))
        if estimates.std is not None:
            recorded, true = self._covered(estimates, 0.9)
            scores |= {"coverage": true, "coverage recorded": recorded}
        if estimates.novelty is not None:
            scores["novel"] = self.novel(estimates.novelty)
        return scores

    def calibration(self, estimates: Estimates) -> dict[float, tuple[float, float]]:
        if estimates.std is None:
            return {}
        return {level: self._covered(estimates, level) for level in metrics.LEVELS}

    def features(self, signal: Numbers) -> Floats:
        """Of each trial, the mean of each channel at M170."""
        if not len(self.onsets):
            return np.zeros((0, signal.shape[1]))
        return np.asarray(self._epochs(signal, *RESPONSES_S["M170"]).mean(axis=1), np.float64)

    def evoked(self) -> dict[str, tuple[int, Floats, Floats]]:
        means = {}
        for label in np.unique(self.labels):
            onsets = self.onsets[self.labels == label]
            recorded, target = (
                metrics.epochs(meg, onsets, self.begin, self.end).mean(axis=0)
                for meg in (self.held.test.meg, self.held.target)
            )
            means[str(label)] = len(onsets), recorded, target
        return means

    def topographies(self, estimates: Estimates) -> list[Topography]:
        if not len(self.onsets):
            return []
        return [
            Topography(
                name=name,
                true=tuple(self._field(self.held.target, *span)[self.is_mag].tolist()),
                estimated=tuple(self._field(estimates.meg, *span)[self.is_mag].tolist()),
            )
            for name, span in RESPONSES_S.items()
        ]

    def traces(self, estimates: Estimates) -> list[Trace]:
        """From the middle of what is judged."""
        names = [channel["ch_name"].replace(" ", "") for channel in helmet()["chs"]]
        middle = np.flatnonzero(self.held.judged)[int(self.held.judged.sum() / 2)]
        samples = slice(middle, middle + round(_TRACE_S * self.rate_hz))
        std = None if estimates.std is None else np.repeat(estimates.std, self.held.test.hop, axis=0)
        return [
            Trace(
                channel=name,
                rate_hz=self.rate_hz,
                true=tuple(self.held.target[samples, row].tolist()),
                estimated=tuple(estimates.meg[samples, row].tolist()),
                std=None if std is None else tuple(std[samples, row].tolist()),
            )
            for name, row in ((name, names.index(name)) for name in _TRACE_SENSORS)
        ]

    def _covered(self, estimates: Estimates, level: float) -> tuple[float, float]:
        """Of the recorded and of the target MEG."""
        assert estimates.std is not None
        judged = self.held.judged
        std = np.repeat(estimates.std, self.held.test.hop, axis=0)[judged]
        recorded, target = (
            metrics.coverage(meg[judged], estimates.meg[judged], std, level)
            for meg in (self.held.test.meg, self.held.target)
        )
        return recorded, target

    def _of_trials(self, meg: Numbers) -> dict[str, float]:
        scores = {}
        for name, span in RESPONSES_S.items():
            true, estimated = (self._field(each, *span)[self.is_mag] for each in (self.held.target, meg))
            scores[f"topography {name}"] = metrics.topography_correlation(true, estimated)
        without = [
            metrics.without_trial_mean(self.scaled(each), self.onsets, self.labels, self.begin, self.end)
            for each in (self.held.target, meg)
        ]
        recorded, estimated = (
            metrics.epochs(self.scaled(each), self.onsets, self.begin, self.end) for each in (self.held.test.meg, meg)
        )
        halves = {
            "responses": metrics.across_halves(estimated, recorded, self.labels),
            "responses ceiling": metrics.responses_ceiling(recorded, self.labels),
        }
        scores |= {name: r for name, r in halves.items() if np.isfinite(r)}
        scores["explained without trial mean"] = metrics.explained_variance(*(x[self.held.judged] for x in without))
        return scores

    def _field(self, meg: Numbers, begin_s: float, end_s: float) -> Floats:
        return np.asarray(self._epochs(meg, begin_s, end_s).mean(axis=(0, 1)), np.float64)

    def _epochs(self, signal: Numbers, begin_s: float, end_s: float) -> Floats:
        return metrics.epochs(signal, self.onsets, round(begin_s * self.rate_hz), round(end_s * self.rate_hz))
