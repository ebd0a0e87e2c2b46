"""A model against every baseline on held-out subjects: simulated, with the oracle and under shift, or recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_training.baselines import Population
from cortexcast_training.datasets import Done, Origin, Simulated, benchmark_subjects, in_parallel
from cortexcast_training.evaluate import (
    BASELINE,
    Contestants,
    Judged,
    Shifted,
    contestants,
    joined,
    judge,
    judge_shifted,
    not_shifted,
)
from cortexcast_training.held_out import held_out, shifts, simulated_held_out
from cortexcast_training.montages import MONTAGES
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.results import Effort, Results, Streaming
from cortexcast_training.streamed import StreamedModel
from cortexcast_training.summary import shift_of, summarise

Say = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is, and of how much."""


class BenchmarkSettings(Strict):
    """How much to simulate."""

    subjects: PositiveInt = 12
    duration_s: float = Field(120.0, ge=24.0, le=900.0)
    """Of each: the first half for the subject's own baselines, the second to judge."""
    shift_subjects: int = Field(4, ge=0)
    """For each shift."""
    shift_duration_s: float = Field(60.0, ge=24.0, le=900.0)
    electrodes: tuple[int, ...] = Field(tuple(MONTAGES), strict=False)
    """Numbers of electrodes, of those in ``montages.MONTAGES``."""


@dataclass(frozen=True)
class Candidate:
    """A trained model, and what its training took."""

    model: StreamedModel
    effort: Effort


def simulated_benchmark(
    candidate: Candidate,
    population: Population,
    data: SimulatedData,
    prepare: PrepareSettings,
    settings: BenchmarkSettings,
    command: str,
    others: Mapping[str, Candidate],
    say: Say = lambda _what, _done, _of: None,
) -> Results:
    """Evaluate on simulated subjects with heads, helmets and recordings that nothing has seen.

    Args:
        candidate: the model.
        population: of its training data.
        data: what the training data were simulated by.
        prepare: how they were prepared.
        settings: how much.
        command: that leads here, for the card.
        others: models of less effort by name, for learning curves.
        say: hears how far it is.

    Raises:
        RecordingError: memory does not suffice.
        BundleError: a bundle cannot be run, or this machine computes it wrongly.
    """
    field_of, streaming = _before(candidate, population, settings.electrodes, others, say)
    lookahead = candidate.model.manifest.lookahead // prepare.hop
    tasks: list[tuple[object, ...]] = [
        ("", subject, prepare, lookahead, field_of)
        for subject in benchmark_subjects(_lasting(data, settings.duration_s), settings.subjects)
    ]
    # What else the subjects above are judged by would only be carried to other processes.
    few = Contestants(candidate.model, population, {BASELINE: field_of.methods[BASELINE]}, {})
    under_shift: dict[str, list[Shifted]] = {}
    for shift, shifted in shifts(_lasting(data, settings.shift_duration_s)).items():
        unlike = benchmark_subjects(shifted, settings.shift_subjects)
        tasks += [(shift, subject, prepare, lookahead, few) for subject in unlike]
        under_shift[shift] = []
    judged: list[Judged] = []
    for name, each in _told(in_parallel(_judge_simulated, tasks), len(tasks), say):
        if isinstance(each, Shifted):
            under_shift[name].append(each)
        else:
            judged.append(each)
    subjects = _by_subject(judged)
    alike = [not_shifted(each) for each in subjects[: settings.shift_subjects]]
    found = {name: shift_of(each) for name, each in {"none": alike, **under_shift}.items() if each}
    results = summarise(subjects, candidate.model.manifest, streaming, command, *_efforts(candidate, others))
    return results.model_copy(update={"shifts": found})


def recorded_benchmark(
    candidate: Candidate,
    population: Population,
    recordings: Sequence[Origin],
    prepare: PrepareSettings,
    settings: BenchmarkSettings,
    command: str,
    others: Mapping[str, Candidate],
    say: Say = lambda _what, _done, _of: None,
) -> Results:
    """Evaluate on recordings of held-out subjects, against the MEG as recorded; see ``simulated_benchmark``.

    Raises:
        RecordingError: one cannot be used, or memory does not suffice.
        BundleError: a bundle cannot be run, or this machine computes it wrongly.
    """
    field_of, streaming = _before(candidate, population, settings.electrodes, others, say)
    tasks = [(recording, prepare, field_of) for recording in recordings]
    judged = list(_told(in_parallel(_judge_recorded, tasks), len(tasks), say))
    return summarise(_by_subject(judged), candidate.model.manifest, streaming, command, *_efforts(candidate, others))


def _before(
    candidate: Candidate, population: Population, electrodes: Sequence[int], others: Mapping[str, Candidate], say: Say
) -> tuple[Contestants, Streaming]:
    """Fit the baselines, and time the model while no other process needs the cores."""
    say("baselines", 0, 1)
    milliseconds = 1e3 * candidate.model.seconds()
    streaming = Streaming(
        windows_per_s=float(1e3 / milliseconds.mean()),
        p50_ms=float(np.percentile(milliseconds, 50)),
        p99_ms=float(np.percentile(milliseconds, 99)),
        parity=candidate.model.parity(),
    )
    models = {name: other.model for name, other in others.items()}
    return contestants(candidate.model, population, electrodes, models), streaming


def _judge_simulated(
    shift: str, subject: Simulated, prepare: PrepareSettings, lookahead: int, field_of: Contestants
) -> tuple[str, Judged | Shifted]:
    """What becomes of a subject, and the name of the shift, empty where there is none."""
    held = simulated_held_out(subject, prepare, lookahead)
    if shift:
        return shift, judge_shifted(held, field_of.model, field_of.methods[BASELINE])
    return shift, judge(held, field_of)


def _judge_recorded(origin: Origin, prepare: PrepareSettings, field_of: Contestants) -> Judged:
    return judge(held_out(origin.recording(), prepare), field_of)


def _by_subject(judged: Sequence[Judged]) -> list[Judged]:
    """One entry a subject, in the order of their names: confidence intervals are over subjects, not over runs."""
    runs: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        runs[each.subject].append(each)
    return [joined(runs[subject]) for subject in sorted(runs)]


def _efforts(candidate: Candidate, others: Mapping[str, Candidate]) -> tuple[Effort, dict[str, Effort]]:
    return candidate.effort, {name: other.effort for name, other in others.items()}


def _told(judged: Iterator[Done], of: int, say: Say) -> Iterator[Done]:
    say("subjects", 0, of)
    for done, each in enumerate(judged, 1):
        yield each
        say("subjects", done, of)


def _lasting(data: SimulatedData, duration_s: float) -> SimulatedData:
    return data.model_copy(update={"recording": data.recording.model_copy(update={"duration_s": duration_s})})
