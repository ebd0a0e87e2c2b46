"""From a recipe's simulated subjects to prepared recordings in a folder, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cortexcast_models.simulation.randomness import stream
from cortexcast_training.bids import BRAIN_NAMES
from cortexcast_training.head import Head, draw_head
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.recording import Recording, Signals
from cortexcast_training.simulator import RATE_HZ, Simulation, simulate
from cortexcast_training.sources import draw_sources
from cortexcast_training.windows import write_prepared
from cortexcast_training.workers import in_parallel

_RUN = "run-01"
_VALIDATION, _BENCHMARK = 1_000_000, 2_000_000
"""Numbers of subjects: what is trained on begins at 1, and these beyond all of that."""


@dataclass(frozen=True)
class Simulated:
    """A simulated subject: the same number and data give the same recording."""

    number: int
    data: SimulatedData

    @property
    def subject(self) -> str:
        """As in file names."""
        return f"sub-{self.number:02d}"

    @property
    def name(self) -> str:
        """Of its prepared form."""
        return f"{self.subject}_{_RUN}"

    @property
    def seed(self) -> int:
        """Of everything that is this subject's own."""
        return int(stream(self.data.seed, "subject", self.number).integers(2**32))

    @property
    def head(self) -> Head:
        """The subject's own; that of the last subject is at hand."""
        return _drawn(self.data.head, self.seed)

    def recording(self) -> Recording:
        """Simulate it."""
        simulation = simulate(self.head, draw_sources(self.data.sources), self.data.recording, self.seed)
        return as_recording(self.subject, self.head, simulation)


_drawn = lru_cache(maxsize=1)(draw_head)


def training_subjects(data: SimulatedData) -> list[Simulated]:
    """Those to train on."""
    return [Simulated(number, data) for number in range(1, data.train + 1)]


def validation_subjects(data: SimulatedData) -> list[Simulated]:
    """Those that tell when to stop."""
    return [Simulated(_VALIDATION + number, data) for number in range(1, data.validation + 1)]


def benchmark_subjects(data: SimulatedData, n: int) -> list[Simulated]:
    """Those that nothing has seen."""
    return [Simulated(_BENCHMARK + number, data) for number in range(1, n + 1)]


def as_recording(name: str, head: Head, simulation: Simulation, *, with_truth: bool = True) -> Recording:
    """A simulation as a recording."""
    signals = Signals(
        simulation.eeg,
        simulation.meg,
        np.concatenate([simulation.eog, simulation.ecg]),
        simulation.brain_meg if with_truth else None,
    )
    return Recording(
        name=f"{name} (simulated)",
        subject=name,
        run=_RUN,
        simulated=True,
        rate_hz=RATE_HZ,
        n_samples=simulation.eeg.shape[1],
        signals=signals.part,
        electrodes=BRAIN_NAMES,
        positions=tuple((float(x), float(y), float(z)) for x, y, z in head.electrodes),
        good_electrodes=np.ones(len(simulation.eeg), bool),
        good_sensors=np.ones(len(simulation.meg), bool),
        dev_head_t=head.dev_head_t,
        events=np.stack([simulation.events.samples, simulation.events.codes], axis=1),
        good=np.ones(simulation.eeg.shape[1], bool),
    )


def prepare_all(
    subjects: Mapping[Path, Sequence[Simulated]],
    settings: PrepareSettings,
    say: Callable[[int, int], None] = lambda _, __: None,
) -> None:
    """Simulate and prepare those subjects that their folders do not hold yet.

    Args:
        subjects: by the folder that they belong to.
        settings: how.
        say: hears how many are there, of how many.

    Raises:
        RecordingError: one cannot be used.
        WindowError: one cannot be written.
        WorkerError: memory does not suffice.
    """
    wanted = [(subject, settings, folder) for folder, some in subjects.items() for subject in some]
    missing = [each for each in wanted if not (each[2] / each[0].name).exists()]
    n_held = len(wanted) - len(missing)
    say(n_held, len(wanted))
    for n, _ in enumerate(in_parallel(_prepare_one, missing), 1):
        say(n_held + n, len(wanted))


def _prepare_one(subject: Simulated, settings: PrepareSettings, folder: Path) -> None:
    write_prepared(folder, prepare(subject.recording(), settings))
