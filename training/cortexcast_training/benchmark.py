"""A model against every baseline on held-out subjects: simulated, with the oracle and under shift, or recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_training.baselines import Population
from cortexcast_training.calibration_curve import Calibration, Tried, calibration_curve, try_calibration
from cortexcast_training.datasets import Simulated, benchmark_subjects
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
from cortexcast_training.held_out import (
    NO_SHIFT,
    SMALL_HEADS,
    held_out,
    own_recording,
    shifts,
    simulated_held_out,
)
from cortexcast_training.montages import MONTAGES
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.results import Effort, Results, Streaming
from cortexcast_training.streamed import StreamedModel
from cortexcast_training.summary import shift_of, summarise
from cortexcast_training.trained import load_trained
from cortexcast_training.windows import read_prepared
from cortexcast_training.workers import Done, in_parallel

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
    calibration_s: tuple[Annotated[float, Field(ge=10.0, le=3600.0)], ...] = Field((10.0, 60.0, 300.0), strict=False)
    """Of each subject's own recording, which is another one than those above; none leaves calibration out."""


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
    calibration: Calibration | None = None,
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
        calibration: to try on these subjects and on those whose heads are outside the training range; None for none.

    Raises:
        WorkerError: memory does not suffice.
        BundleError: a bundle cannot be run, or this machine computes it wrongly.
        CalibrationError: there are too few seconds to calibrate to.
    """
    field_of, streaming = _before(candidate, population, settings.electrodes, others, say)
    lookahead = candidate.model.manifest.lookahead // prepare.hop
    tasks: list[tuple[object, ...]] = [
        (NO_SHIFT, subject, prepare, lookahead, field_of, calibration)
        for subject in benchmark_subjects(_lasting(data, settings.duration_s), settings.subjects)
    ]
    # What else the subjects above are judged by would only be carried to other processes.
    few = Contestants(candidate.model, population, {BASELINE: field_of.methods[BASELINE]}, {})
    unlike = shifts(_lasting(data, settings.shift_duration_s))
    tasks += [
        (shift, subject, prepare, lookahead, few, calibration if shift == SMALL_HEADS else None)
        for shift, shifted in unlike.items()
        for subject in benchmark_subjects(shifted, settings.shift_subjects)
    ]
    done = sorted(_told(in_parallel(_judge_simulated, tasks), len(tasks), say), key=lambda each: each.number)
    of = {shift: [each for each in done if each.shift == shift] for shift in (NO_SHIFT, *unlike)}
    results = summarise(
        [each.judged for each in done if each.judged is not None],
        candidate.model.manifest,
        streaming,
        command,
        *_efforts(candidate, others),
    )
    few_of = {shift: [each.shifted for each in some[: settings.shift_subjects]] for shift, some in of.items()}
    curves = {
        shift: tuple(calibration_curve([(each.shifted, each.tried) for each in some])) for shift, some in of.items()
    }
    return results.model_copy(
        update={
            "shifts": {shift: shift_of(some) for shift, some in few_of.items() if some},
            "own_recordings": {shift: curve for shift, curve in curves.items() if curve},
        }
    )


def recorded_benchmark(
    candidate: Candidate,
    population: Population,
    recordings: Sequence[Path],
    settings: BenchmarkSettings,
    command: str,
    others: Mapping[str, Candidate],
    say: Say = lambda _what, _done, _of: None,
) -> Results:
    """Evaluate on prepared recordings of held-out subjects, against the MEG as recorded; see ``simulated_benchmark``.

    Raises:
        RecordingError: one cannot be used.
        WorkerError: memory does not suffice.
        BundleError: a bundle cannot be run, or this machine computes it wrongly.
    """
    field_of, streaming = _before(candidate, population, settings.electrodes, others, say)
    tasks = [(number, recording, field_of) for number, recording in enumerate(recordings)]
    done = sorted(_told(in_parallel(_judge_recorded, tasks), len(tasks), say), key=lambda each: each[0])
    judged = _by_subject([each for _, each in done])
    return summarise(judged, candidate.model.manifest, streaming, command, *_efforts(candidate, others))


def _before(
    candidate: Candidate, population: Population, electrodes: Sequence[int], others: Mapping[str, Candidate], say: Say
) -> tuple[Contestants, Streaming]:
    """Fit the baselines, and time the model while no other process needs the cores."""
    say("baselines", 0, 1)
    streaming = candidate.model.streaming()
    models = {name: other.model for name, other in others.items()}
    absent = candidate.model.manifest.preprocessing.absent
    return contestants(candidate.model, population, electrodes, absent, models), streaming


@dataclass(frozen=True)
class _Outcome:
    """What became of a simulated subject.

    Attributes:
        shift: what is shifted, ``NO_SHIFT`` for nothing.
        number: the subject's.
        shifted: how it was judged, and
        judged: in full, where nothing is shifted.
        tried: what came of calibration, where it was tried.
    """

    shift: str
    number: int
    shifted: Shifted
    judged: Judged | None
    tried: list[Tried]


def _judge_simulated(
    shift: str,
    subject: Simulated,
    prepare: PrepareSettings,
    lookahead: int,
    field_of: Contestants,
    calibration: Calibration | None,
) -> _Outcome:
    held = simulated_held_out(subject, prepare, lookahead)
    if shift == NO_SHIFT:
        judged = judge(held, field_of)
        shifted = not_shifted(judged)
    else:
        judged, shifted = None, judge_shifted(held, field_of.model, field_of.methods[BASELINE])
    tried: list[Tried] = []
    if calibration is not None:
        torch.set_num_threads(1)  # the other cores have subjects of their own
        own = own_recording(subject, calibration.seconds[-1], prepare)
        tried = try_calibration(load_trained(calibration.run), calibration.modes, calibration.seconds, own, held)
    return _Outcome(shift, subject.number, shifted, judged, tried)


def _judge_recorded(number: int, recording: Path, field_of: Contestants) -> tuple[int, Judged]:
    return number, judge(held_out(read_prepared(recording)), field_of)


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
