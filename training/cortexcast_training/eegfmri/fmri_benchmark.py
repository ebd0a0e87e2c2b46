"""An autoencoder against every baseline on subjects and films that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from cortexcast_models.manifest import Manifest, Strict
from cortexcast_training.eegfmri.fmri_judge import (
    Estimate,
    Scores,
    known_mean,
    label_accuracy,
    mean_scores,
    over_runs,
    score_bold,
    score_stimulus,
)
from cortexcast_training.eegfmri.fmri_methods import (
    CEILING,
    MODEL,
    RIDGE,
    Method,
    judged_volumes,
    methods,
    reconstructions,
    truth,
)
from cortexcast_training.eegfmri.fmri_metrics import significant
from cortexcast_training.eegfmri.fmri_results import Condition, FmriResults, Latent, MethodScores, Output, Trace
from cortexcast_training.eegfmri.labels import LabelProbabilities
from cortexcast_training.eegfmri.moments import seen_before
from cortexcast_training.eegfmri.runs import Run
from cortexcast_training.eegfmri.trained_vae import TrainedVae
from cortexcast_training.metrics import Interval, gathered, over_subjects, statistic_over_subjects
from cortexcast_training.results import Streaming

Floats = NDArray[np.float64]
Say = Callable[[str, int, int], None]

_LABELS_AMONG = (1, 3)
_TRACES = 4
_TRACE_VOLUMES = 120


class FmriBenchmarkSettings(Strict):
    """How much to simulate."""

    subjects: PositiveInt = 12
    films: PositiveInt = 2
    """That each of them watches, the same for all."""
    shift_subjects: int = Field(4, ge=0)
    """For each condition that differs from those of the training data."""


@dataclass(frozen=True)
class Judged:
    """One subject.

    Attributes:
        subject: name.
        scores: by method, the mean over runs.
    """

    subject: str
    scores: dict[str, Scores]


def benchmark(
    trained: TrainedVae,
    manifest: Manifest,
    streaming: Streaming,
    train: Sequence[Run],
    validation: Sequence[Run],
    held_out: Sequence[Run],
    others: Sequence[Run],
    conditions: Mapping[str, Sequence[Run]],
    command: str,
    say: Say,
) -> FmriResults:
    """Judge a model.

    Args:
        trained: the model.
        manifest: of its bundle.
        streaming: how that runs.
        train: runs that it was trained on, and
        validation: those that told when it was best: baselines are fitted to both.
        held_out: runs of subjects that it has not seen.
        others: all runs that there are, for the mean of those who watched the same film.
        conditions: other such runs as those that are held out, by what they differ in.
        command: that leads here, for the card.
        say: hears how far it is.
    """
    say("baselines", 0, 1)
    of_method = methods(trained, train, validation, held_out, others)
    say("baselines", 1, 1)
    judged: list[Judged] = []
    estimates: dict[str, Estimate] = {}
    subjects = sorted({run.subject for run in held_out})
    for done, subject in enumerate(subjects):
        say("subjects", done, len(subjects))
        runs = [run for run in held_out if run.subject == subject]
        estimates |= {run.name: of_method[MODEL][0](run) for run in runs}
        scores = [{name: _score(trained, run, some) for name, some in of_method.items()} for run in runs]
        judged.append(Judged(subject, over_runs(scores)))
    say("subjects", len(subjects), len(subjects))
    r = {name: [each.scores[name].metrics["r"] for each in judged] for name in of_method}
    names = [channel.name for channel in manifest.channels if channel.type != "label"]
    films = tuple(sorted({run.film for run in held_out}))
    return FmriResults(
        data="simulated" if any(run.simulated for run in held_out) else "recorded",
        product=trained.product,
        trained_on=manifest.trained_on,
        model=f"{manifest.name} {manifest.version}",
        graph_sha256=manifest.files[manifest.model_file],
        command=command,
        subjects=tuple(subjects),
        films=films,
        unseen_films=not {*films} & {run.film for run in train},
        n_volumes=sum(len(judged_volumes(run, trained.product)) for run in held_out),
        tr_s=round(float(np.mean([run.tr_s for run in held_out])), 2),
        train_subjects=len(trained.train_subjects),
        parameters=sum(parameter.numel() for parameter in trained.vae.parameters()),
        latent=Latent(dimensions=trained.vae.shape.latent, active=trained.active),
        streaming=streaming,
        methods={name: _over_subjects(judged, name) for name in of_method},
        more_than={
            name: over_subjects([ours - theirs for ours, theirs in zip(r[MODEL], r[name], strict=True)])
            for name in of_method
            if name != MODEL
        },
        ceiling_share=_share(r[MODEL], r[CEILING]) if CEILING in r else None,
        intervals={
            f"{level:g}": over_subjects([each.scores[MODEL].coverage[level] for each in judged])
            for level in judged[0].scores[MODEL].coverage
        },
        reconstruction=_reconstruction(trained, [[run for run in held_out if run.subject == s] for s in subjects]),
        outputs=_outputs(trained, names, judged, held_out, estimates),
        conditions={name: _condition(trained, of_method, runs) for name, runs in conditions.items() if runs},
        traces=_traces(trained, names, judged, held_out, estimates),
    )


def _score(trained: TrainedVae, run: Run, some: Sequence[Method]) -> Scores:
    """The mean over methods."""
    return mean_scores([_score_estimate(trained, run, method(run)) for method in some])


def _score_estimate(trained: TrainedVae, run: Run, estimate: Estimate) -> Scores:
    true = truth(run, trained.product)
    if trained.product == "fmri":
        return score_bold(true, estimate)
    scores = score_stimulus(true, estimate, run.tr_s)
    if trained.labels is not None and run.stimulus is not None and (run.stimulus.shown >= 0).any():
        shown = run.stimulus.shown[seen_before(run)[judged_volumes(run, trained.product)]]
        probabilities = LabelProbabilities(trained.labels)(torch.from_numpy(estimate.mean).float()).double().numpy()
        for among in _LABELS_AMONG:
            scores.metrics[f"top {among}"] = label_accuracy(shown, probabilities, among)
    return scores


def _over_subjects(judged: Sequence[Judged], name: str) -> MethodScores:
    scores = {each.subject: each.scores[name].metrics for each in judged}
    return MethodScores(
        metrics={metric: over_subjects(values) for metric, values in gathered(list(scores.values())).items()},
        r={subject: each["r"] for subject, each in scores.items()},
    )


def _share(model: Sequence[float], ceiling: Sequence[float]) -> Interval:
    def share(model: Floats, ceiling: Floats, axis: int = -1) -> Floats:
        return np.asarray(model.mean(axis=axis) / ceiling.mean(axis=axis), np.float64)

    return statistic_over_subjects(share, model, ceiling)


def _reconstruction(trained: TrainedVae, runs_of: Sequence[Sequence[Run]]) -> dict[str, Interval]:
    by_subject = [[reconstructions(trained, run) for run in runs] for runs in runs_of]
    return {
        name: over_subjects([float(np.mean([each[name] for each in some])) for some in by_subject])
        for name in by_subject[0][0]
    }


def _outputs(
    trained: TrainedVae,
    names: Sequence[str],
    judged: Sequence[Judged],
    runs: Sequence[Run],
    estimates: Mapping[str, Estimate],
) -> tuple[Output, ...]:
    """Significance needs every run of an output: one that is missing in any is none."""
    true = [truth(run, trained.product) for run in runs]
    known = np.isfinite(np.concatenate(true)).all(axis=0)
    holds = np.zeros(len(names), bool)
    given = [estimates[run.name].mean[:, known] for run in runs]
    holds[known] = significant([each[:, known] for each in true], given, float(np.mean([run.tr_s for run in runs])))
    means = {
        (name, which): known_mean([getattr(each.scores[name], which) for each in judged])
        for name, which in ((MODEL, "r"), (MODEL, "r2"), (CEILING, "r"))
        if name in judged[0].scores
    }

    def of(name: str, which: str, number: int) -> float | None:
        value = means[name, which][number] if (name, which) in means else np.nan
        return float(value) if np.isfinite(value) else None

    return tuple(
        Output(
            name=name,
            r=of(MODEL, "r", number),
            r2=of(MODEL, "r2", number),
            ceiling_r=of(CEILING, "r", number),
            significant=bool(holds[number]),
        )
        for number, name in enumerate(names)
    )


def _condition(trained: TrainedVae, of_method: Mapping[str, Sequence[Method]], runs: Sequence[Run]) -> Condition:
    by_subject = {subject: [run for run in runs if run.subject == subject] for subject in {run.subject for run in runs}}
    r = {
        name: over_subjects(
            [
                float(np.mean([_score(trained, run, of_method[name]).metrics["r"] for run in some]))
                for _, some in sorted(by_subject.items())
            ]
        )
        for name in (MODEL, RIDGE, CEILING)
        if name in of_method
    }
    return Condition(n_subjects=len(by_subject), model=r[MODEL], ridge=r[RIDGE], ceiling=r.get(CEILING))


def _traces(
    trained: TrainedVae,
    names: Sequence[str],
    judged: Sequence[Judged],
    runs: Sequence[Run],
    estimates: Mapping[str, Estimate],
) -> tuple[Trace, ...]:
    """From the best output to the worst, of the first run: at evenly spaced ranks, so that nothing is picked."""
    run = runs[0]
    true, estimate = truth(run, trained.product)[:_TRACE_VOLUMES], estimates[run.name]
    r = known_mean([each.scores[MODEL].r for each in judged])
    r[~np.isfinite(true).all(axis=0)] = np.nan
    ranked = np.argsort(-r)[: np.isfinite(r).sum()]
    shown = ranked[np.linspace(0, len(ranked) - 1, min(_TRACES, len(ranked))).round().astype(int)]
    assert estimate.std is not None
    return tuple(
        Trace(
            name=names[number],
            tr_s=run.tr_s,
            recorded=tuple(true[:, number].tolist()),
            estimated=tuple(estimate.mean[:_TRACE_VOLUMES, number].tolist()),
            std=tuple(estimate.std[:_TRACE_VOLUMES, number].tolist()),
        )
        for number in shown
    )
