"""A bundle against every baseline on held-out subjects: simulated, with the oracle and under shift, or recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pydantic import Field, PositiveInt

from cortexcast_models.bundle import Bundle
from cortexcast_models.manifest import Strict
from cortexcast_training.baselines import Population
from cortexcast_training.datasets import Simulated, benchmark_subjects, in_parallel
from cortexcast_training.evaluate import Contestants, contestants, judge, judge_shift
from cortexcast_training.held_out import HeldOut, held_out, shifts, simulated_held_out
from cortexcast_training.montages import MONTAGES
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.recording import Recording
from cortexcast_training.results import Results
from cortexcast_training.streamed import StreamedModel
from cortexcast_training.summary import summarise

Say = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is, and of how much."""


class BenchmarkSettings(Strict):
    """How much to simulate."""

    subjects: PositiveInt = 12
    duration_s: float = Field(180.0, ge=24.0, le=900.0)
    """Of each: the first half for the subject's own baselines, the second to judge."""
    shift_subjects: int = Field(4, ge=0)
    """For each shift."""
    shift_duration_s: float = Field(60.0, ge=24.0, le=900.0)
    electrodes: tuple[int, ...] = Field(tuple(MONTAGES), strict=False)
    """Numbers of electrodes, of those in ``montages.MONTAGES``."""


def simulated_benchmark(
    bundle: Bundle,
    population: Population,
    data: SimulatedData,
    settings: BenchmarkSettings,
    command: str,
    say: Say = lambda _what, _done, _of: None,
) -> Results:
    """Evaluate on simulated subjects with heads, helmets and recordings that nothing has seen.

    Args:
        bundle: the model.
        population: of the model's training data.
        data: what the training data were simulated by.
        settings: how much.
        command: that leads here, for the card.
        say: hears how far it is.

    Raises:
        BundleError: the bundle cannot be run.
    """
    model = StreamedModel(bundle)
    say("baselines", 0, 1)
    field_of = contestants(model, population, settings.electrodes)
    subjects = benchmark_subjects(_lasting(data, settings.duration_s), settings.subjects)
    judged = [judge(held, field_of) for held in _told(_simulated(bundle, subjects), "subjects", len(subjects), say)]
    judged.sort(key=lambda each: each.subject)
    results = summarise(judged, bundle, model, "simulated", command)
    if not settings.shift_subjects:
        return results
    found = {}
    for name, shifted in shifts(_lasting(data, settings.shift_duration_s)).items():
        others = benchmark_subjects(shifted, settings.shift_subjects)
        found[name] = judge_shift(_told(_simulated(bundle, others), name, len(others), say), field_of)
    return results.model_copy(update={"shifts": found})


def recorded_benchmark(
    bundle: Bundle,
    population: Population,
    recordings: Iterable[Recording],
    command: str,
    electrodes: Sequence[int] = tuple(MONTAGES),
) -> Results:
    """Evaluate on recordings of held-out subjects, against the MEG as recorded.

    Raises:
        RecordingError: one cannot be used.
        BundleError: the bundle cannot be run.
    """
    model = StreamedModel(bundle)
    field_of: Contestants = contestants(model, population, electrodes)
    judged = [judge(held_out(recording, prepare_settings(bundle)), field_of) for recording in recordings]
    return summarise(judged, bundle, model, "recorded", command)


def prepare_settings(bundle: Bundle) -> PrepareSettings:
    """How recordings are to be prepared for a bundle."""
    return PrepareSettings(preprocessing=bundle.manifest.preprocessing, hop=bundle.manifest.hop)


def _simulated(bundle: Bundle, subjects: Sequence[Simulated]) -> Iterator[HeldOut]:
    lookahead = bundle.manifest.lookahead // bundle.manifest.hop
    return in_parallel(simulated_held_out, [(each, prepare_settings(bundle), lookahead) for each in subjects])


def _told(held: Iterator[HeldOut], what: str, of: int, say: Say) -> Iterator[HeldOut]:
    say(what, 0, of)
    for done, each in enumerate(held, 1):
        yield each
        say(what, done, of)


def _lasting(data: SimulatedData, duration_s: float) -> SimulatedData:
    return data.model_copy(update={"recording": data.recording.model_copy(update={"duration_s": duration_s})})
