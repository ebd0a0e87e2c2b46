"""Results over subjects, of what became of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cortexcast_models.bundle import Bundle
from cortexcast_training import metrics
from cortexcast_training.evaluate import BASELINE, EVOKED, RESPONSES_S, Judged
from cortexcast_training.held_out import BAYES
from cortexcast_training.metrics import Interval, over_subjects
from cortexcast_training.results import Headset, Level, MethodResult, Results, Streaming, Topography
from cortexcast_training.streamed import StreamedModel


def summarise(judged: Sequence[Judged], bundle: Bundle, model: StreamedModel, data: str, command: str) -> Results:
    """Everything over subjects.

    Args:
        judged: the subjects.
        bundle: the model's, and
        model: as it was run.
        data: ``simulated`` or ``recorded``.
        command: that leads here.
    """
    methods = {name: _method(judged, name) for name in judged[0].scores}
    if evoked := _mean_evoked(judged):
        methods[EVOKED] = MethodResult(metrics={"explained": over_subjects(list(evoked.values()))}, explained=evoked)
    if BAYES in methods:
        ends = [list(methods[name].explained.values()) for name in (BASELINE, BAYES)]
        for name, result in methods.items():
            closed = metrics.gap_over_subjects(list(result.explained.values()), *ends)
            if len(result.explained) == len(judged):
                methods[name] = result.model_copy(update={"gap_closed": closed})
    milliseconds = 1e3 * np.array(model.seconds)
    return Results.model_validate(
        {
            "data": data,
            "trained_on": bundle.manifest.trained_on,
            "model": f"{bundle.manifest.name} {bundle.manifest.version}",
            "digest": bundle.digest,
            "command": command,
            "subjects": [each.subject for each in judged],
            "judged_s": sum(each.seconds for each in judged),
            "rate_hz": bundle.manifest.preprocessing.resample.rate_hz,
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
            "topographies": _mean_topographies(judged),
            "traces": judged[0].traces,
            "streaming": Streaming(
                windows_per_s=float(1e3 / milliseconds.mean()),
                p50_ms=float(np.percentile(milliseconds, 50)),
                p99_ms=float(np.percentile(milliseconds, 99)),
            ),
        }
    )


def _method(judged: Sequence[Judged], name: str) -> MethodResult:
    having = [each for each in judged if name in each.scores]
    names = [metric for metric in having[0].scores[name] if all(metric in each.scores[name] for each in having)]
    return MethodResult(
        metrics={metric: over_subjects([each.scores[name][metric] for each in having]) for metric in names},
        explained={each.subject: each.scores[name]["explained"] for each in having},
    )


def _mean_evoked(judged: Sequence[Judged]) -> dict[str, float]:
    """What the mean recorded response of the other subjects explains, which sees no EEG: more is leakage."""
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


def _mean_topographies(judged: Sequence[Judged]) -> list[Topography]:
    """Over the subjects that have responses: the virtual helmet is the same for all."""
    fields: dict[str, list[Topography]] = {name: [] for name in RESPONSES_S}
    for each in judged:
        for topography in each.topographies:
            fields[topography.name].append(topography)
    return [
        Topography(
            name=name,
            true=tuple(np.mean([each.true for each in found], axis=0).tolist()),
            estimated=tuple(np.mean([each.estimated for each in found], axis=0).tolist()),
        )
        for name, found in fields.items()
        if found
    ]


def _decoding(judged: Sequence[Judged]) -> dict[str, Interval]:
    results = {}
    for source in judged[0].trials:
        with_trials = [each for each in judged if len(each.faces)]
        scores = metrics.decoding_auc(
            {each.subject: each.trials[source] for each in with_trials},
            {each.subject: each.faces for each in with_trials},
        )
        if scores:
            results[source] = over_subjects(list(scores.values()))
    return results
