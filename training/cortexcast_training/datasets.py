"""From a recipe's subjects to prepared recordings in a folder, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from cortexcast_models.simulation.randomness import stream
from cortexcast_training.bids import BRAIN_NAMES
from cortexcast_training.head import Head, draw_head
from cortexcast_training.prepare import PrepareSettings, prepare
from cortexcast_training.recipe import RecordedData, SimulatedData
from cortexcast_training.recording import Recording, RecordingError
from cortexcast_training.recording_file import find_recordings, read_recording, subject_and_run
from cortexcast_training.simulator import RATE_HZ, Simulation, simulate
from cortexcast_training.sources import draw_sources
from cortexcast_training.windows import write_prepared

_RUN = "run-01"
_VALIDATION, _BENCHMARK = 1_000_000, 2_000_000
"""Numbers of subjects: what is trained on begins at 1, and these beyond all of that."""


Done = TypeVar("Done")


class Origin(Protocol):
    """Where a recording comes from."""

    @property
    def name(self) -> str:
        """Of its prepared form: ``<subject>_<run>``."""

    def recording(self) -> Recording:
        """Read or make it."""


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
        """See ``Origin``."""
        return f"{self.subject}_{_RUN}"

    @property
    def seed(self) -> int:
        """Of everything that is this subject's own."""
        return int(stream(self.data.seed, "subject", self.number).integers(2**32))

    def recording(self) -> Recording:
        """Simulate it."""
        head = draw_head(self.data.head, self.seed)
        simulation = simulate(head, draw_sources(self.data.sources), self.data.recording, self.seed)
        return as_recording(self.subject, head, simulation)


@dataclass(frozen=True)
class Recorded:
    """A recording in a file."""

    path: Path

    @property
    def subject(self) -> str:
        """By the file's name."""
        return subject_and_run(self.path)[0]

    @property
    def name(self) -> str:
        """See ``Origin``."""
        return "_".join(subject_and_run(self.path))

    def recording(self) -> Recording:
        """Read it."""
        return read_recording(self.path)


def training_subjects(data: SimulatedData) -> list[Simulated]:
    """Those to train on."""
    return [Simulated(number, data) for number in range(1, data.train + 1)]


def validation_subjects(data: SimulatedData) -> list[Simulated]:
    """Those that tell when to stop."""
    return [Simulated(_VALIDATION + number, data) for number in range(1, data.validation + 1)]


def benchmark_subjects(data: SimulatedData, n: int) -> list[Simulated]:
    """Those that nothing has seen."""
    return [Simulated(_BENCHMARK + number, data) for number in range(1, n + 1)]


def recorded_subjects(data: RecordedData) -> tuple[list[Recorded], list[Recorded], list[Recorded]]:
    """The recordings to train on, those to validate, and those that are held out.

    Raises:
        RecordingError: there are none, or one of the subjects named is not there.
    """
    found = [Recorded(path) for path in find_recordings(Path(data.folder))]
    subjects = {recorded.subject for recorded in found}
    if unknown := {*data.validation, *data.held_out} - subjects:
        raise RecordingError(
            f"{data.folder} has no {', '.join(sorted(unknown))}: its subjects are {', '.join(sorted(subjects))}"
        )
    train = [each for each in found if each.subject not in {*data.validation, *data.held_out}]
    if not train:
        raise RecordingError(f"{data.folder} has no subjects beside those to validate and to hold out")
    validation, held_out = ([each for each in found if each.subject in of] for of in (data.validation, data.held_out))
    return train, validation, held_out


def as_recording(name: str, head: Head, simulation: Simulation) -> Recording:
    """A simulation as a recording."""
    return Recording(
        name=f"{name} (simulated)",
        subject=name,
        run=_RUN,
        rate_hz=RATE_HZ,
        eeg=simulation.eeg,
        electrodes=BRAIN_NAMES,
        positions=tuple((float(x), float(y), float(z)) for x, y, z in head.electrodes),
        good_electrodes=np.ones(len(simulation.eeg), bool),
        meg=simulation.meg,
        good_sensors=np.ones(len(simulation.meg), bool),
        dev_head_t=head.dev_head_t,
        artifacts=np.concatenate([simulation.eog, simulation.ecg]),
        events=np.stack([simulation.events.samples, simulation.events.codes], axis=1),
        good=np.ones(simulation.eeg.shape[1], bool),
        true_meg=simulation.brain_meg,
    )


def prepare_all(
    origins: Mapping[Path, Sequence[Origin]],
    settings: PrepareSettings,
    say: Callable[[int, int], None] = lambda _, __: None,
) -> None:
    """Prepare those recordings that their folders do not hold yet.

    Args:
        origins: by the folder that they belong to.
        settings: how.
        say: hears how many are there, of how many.

    Raises:
        RecordingError: one cannot be used, or memory does not suffice.
        WindowError: one cannot be written.
    """
    wanted = [(origin, settings, folder) for folder, some in origins.items() for origin in some]
    missing = [(origin, settings, folder) for origin, settings, folder in wanted if not (folder / origin.name).exists()]
    n_held = len(wanted) - len(missing)
    say(n_held, len(wanted))
    for n, _ in enumerate(in_parallel(_prepare_one, missing), 1):
        say(n_held + n, len(wanted))


def _prepare_one(origin: Origin, settings: PrepareSettings, folder: Path) -> None:
    write_prepared(folder, prepare(origin.recording(), settings))


def in_parallel(work: Callable[..., Done], arguments: Sequence[tuple[object, ...]]) -> Iterator[Done]:
    """Do all of it, one on each core, and give what comes of each, in any order; a failure ends it.

    Raises:
        RecordingError: memory does not suffice.
    """
    n_workers = min(len(os.sched_getaffinity(0)), len(arguments)) or 1
    with ProcessPoolExecutor(n_workers, get_context("spawn"), initializer=threadpool_limits, initargs=(1,)) as pool:
        futures = [pool.submit(work, *each) for each in arguments]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise RecordingError(
                "a process that prepared a recording was killed, probably for lack of memory: use shorter recordings, "
                f"or fewer than {n_workers} cores (taskset)"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
