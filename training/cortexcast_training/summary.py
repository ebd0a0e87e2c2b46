"""Results over subjects, of what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from cortexcast_models.manifest import Manifest, Metric
from cortexcast_training import metrics
from cortexcast_training.evaluate import BASELINE, EVOKED, MODEL, Judged, Shifted, mean_topographies
from cortexcast_training.held_out import BAYES, NO_SHIFT
from cortexcast_training.metrics import Interval, gathered, over_subjects
from cortexcast_training.results import Effort, Headset, Learning, Level, MethodResult, Results, Shift, Streaming

HEADLINE = {
    "explained": "explained variance",
    "explained mag": "explained variance, magnetometers",
    "explained grad": "explained variance, gradiometers",
    "r mag": "median r, magnetometers",
    "r grad": "median r, gradiometers",
    "coverage recorded": "share of the MEG as recorded inside 90 % intervals",
}
"""What of a model's metrics goes into a manifest, and as what."""


def summarise(
    judged: Sequence[Judged],
    manifest: Manifest,
    streaming: Streaming,
    command: str,
    effort: Effort,
    others: Mapping[str, Effort],
) -> Results:
    """Everything over subjects.

    Args:
        judged: the subjects, one entry each.
        manifest: the model's.
        streaming: how it runs.
        command: that leads here.
        effort: what the model's training took, and
        others: that of the models of less effort.
    """
    methods = {name: _method(judged, name) for name in judged[0].scores}
    if evoked := _mean_evoked(judged):
        methods[EVOKED] = MethodResult(metrics={"explained": over_subjects(list(evoked.values()))}, explained=evoked)
    if BAYES in methods:
        ends = [list(methods[name].explained.values()) for name in (BASELINE, BAYES)]
        for name, result in methods.items():
            if len(result.explained) == len(judged):
                closed = metrics.gap_over_subjects(list(result.explained.values()), *ends)
                methods[name] = result.model_copy(update={"gap_closed": closed})
    return Results.model_validate(
        {
            # One that is simulated makes the whole no result on recordings.
            "data": "simulated" if any(each.simulated for each in judged) else "recorded",
            "truth_known": all(each.truth_known for each in judged),
            "trained_on": manifest.trained_on,
            "model": f"{manifest.name} {manifest.version}",
            "graph_sha256": manifest.files[manifest.model_file],
            "command": command,
            "subjects": [each.subject for each in judged],
            "judged_s": sum(each.seconds for each in judged),
            "rate_hz": manifest.rate_hz,
            "methods": methods,
            "headsets": [
                Headset(
                    electrodes=n,
                    model=over_subjects([each.headsets[n][0] for each in judged]),
                    baseline=over_subjects([each.headsets[n][1] for each in judged]),
                )
                for n in judged[0].headsets
            ],
            "calibration": [
                Level(
                    level=level,
                    recorded=over_subjects([each.calibration[level][0] for each in judged]),
                    true=over_subjects([each.calibration[level][1] for each in judged]),
                )
                for level in judged[0].calibration
            ],
            "decoding": _decoding(judged),
            "topographies": mean_topographies([each for subject in judged for each in subject.topographies]),
            "traces": judged[0].traces,
            "learning": [*_curve("heads", judged, effort, others), *_curve("parameters", judged, effort, others)],
            "effort": effort,
            "streaming": streaming,
        }
    )


def shift_of(judged: Sequence[Shifted]) -> Shift:
    """One shift over its subjects."""
    difference = [each.model - each.baseline for each in judged]
    oracle = [each.oracle for each in judged if each.oracle is not None]
    novel = [each.novel for each in judged if each.novel is not None]
    return Shift(
        model=over_subjects([each.model for each in judged]),
        baseline=over_subjects([each.baseline for each in judged]),
        oracle=over_subjects(oracle) if oracle else None,
        difference=over_subjects(difference),
        worst_difference=min(difference),
        novel=over_subjects(novel) if novel else None,
    )


def headline(results: Results) -> list[Metric]:
    """What a bundle's manifest says of an evaluation."""

    def metric(what: str, interval: Interval) -> Metric:
        name = f"{what}: {len(results.subjects)} held-out {results.data} subjects"
        return Metric(name=name, value=interval.value, ci95=interval.ci95, n=interval.n, command=results.command)

    ours = results.methods[MODEL]
    said = [metric(what, ours.metrics[key]) for key, what in HEADLINE.items() if key in ours.metrics]
    said += [
        metric(f"explained variance by {name}", results.methods[name].metrics["explained"])
        for name in (BASELINE, BAYES)
        if name in results.methods
    ]
    closed = f"share of the gap from {BASELINE} to {BAYES} that is closed"
    if ours.gap_closed is not None:
        said.append(metric(closed, ours.gap_closed))
    said += [
        metric(f"{closed} after {point.seconds:g} s of calibration", point.gap_closed)
        for point in results.own_recordings.get(NO_SHIFT, ())
        if point.gap_closed is not None
    ]
    return said


def _curve(
    of: Literal["heads", "parameters"], judged: Sequence[Judged], effort: Effort, others: Mapping[str, Effort]
) -> list[Learning]:
    """A learning curve over the models that differ from the one in question in nothing else."""
    fixed = "parameters" if of == "heads" else "heads"
    alike = [name for name, other in others.items() if getattr(other, fixed) == getattr(effort, fixed)]
    if not alike:
        return []
    explained = {getattr(others[name], of): [each.others[name] for each in judged] for name in alike}
    explained[getattr(effort, of)] = [each.scores[MODEL]["explained"] for each in judged]
    ends = [[each.scores[name]["explained"] for each in judged if name in each.scores] for name in (BASELINE, BAYES)]
    return [
        Learning(
            of=of,
            amount=amount,
            explained=over_subjects(values),
            gap_closed=metrics.gap_over_subjects(values, *ends) if all(ends) else None,
        )
        for amount, values in sorted(explained.items())
    ]


def _method(judged: Sequence[Judged], name: str) -> MethodResult:
    having = [each for each in judged if name in each.scores]
    values = gathered([each.scores[name] for each in having])
    return MethodResult(
        metrics={metric: over_subjects(some) for metric, some in values.items()},
        explained={each.subject: each.scores[name]["explained"] for each in having},
    )


def _mean_evoked(judged: Sequence[Judged]) -> dict[str, float]:
    """What the mean recorded response of the other subjects explains, which sees no EEG."""
    explained = {}
    for each in judged:
        others = [other.evoked for other in judged if other is not each]
        gain = 0.0
        for label, (n, _, target) in each.evoked.items():
            known = [other[label] for other in others if label in other]
            if not known:
                return {}
            total = sum(m for m, _, _ in known)
            guess = np.sum([m * recorded for m, recorded, _ in known], axis=0) / total / each.scale
            gain += n * float((2 * guess * (target / each.scale) - guess**2).sum())
        explained[each.subject] = gain / each.power
    return explained


def _decoding(judged: Sequence[Judged]) -> dict[str, Interval]:
    results = {}
    with_trials = [each for each in judged if len(each.faces)]
    for source in with_trials[0].trials if with_trials else ():
        scores = metrics.decoding_auc(
            {each.subject: each.trials[source] for each in with_trials},
            {each.subject: each.faces for each in with_trials},
        )
        if scores:
            results[source] = over_subjects(list(scores.values()))
    return results
