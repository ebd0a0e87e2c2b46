"""Simulated subjects who watch films, as training and evaluation need them: who watches what, and their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortexcast_training.eegfmri.audience import subject_name
from cortexcast_training.eegfmri.fmri_recipe import SimulatedViewers
from cortexcast_training.eegfmri.natview_layout import film_name
from cortexcast_training.eegfmri.run_file import run_path, write_run
from cortexcast_training.eegfmri.runs import run_name
from cortexcast_training.eegfmri.simulated_runs import simulated_runs
from cortexcast_training.workers import in_parallel

_VALIDATION, _BENCHMARK = 1_000_000, 2_000_000
"""Numbers of subjects and of films: what is trained on begins at 1, and these beyond all of that."""


@dataclass(frozen=True)
class Viewer:
    """A simulated subject: the same number and data give the same runs."""

    number: int
    films: tuple[int, ...]
    data: SimulatedViewers
    in_scanner: bool = False

    @property
    def subject(self) -> str:
        """As in file names."""
        return subject_name(self.number)

    @property
    def run_names(self) -> list[str]:
        """Of its runs, as ``Run.name``."""
        return [run_name(self.subject, film_name(film)) for film in self.films]


def training_viewers(data: SimulatedViewers) -> list[Viewer]:
    """Those to train on."""
    return [Viewer(number, (1 + (number - 1) % data.films,), data) for number in range(1, data.train + 1)]


def validation_viewers(data: SimulatedViewers) -> list[Viewer]:
    """Those that tell which net is best."""
    numbers = range(_VALIDATION + 1, _VALIDATION + data.validation + 1)
    return [Viewer(number, (number,), data) for number in numbers]


def benchmark_viewers(data: SimulatedViewers, subjects: int, films: int, *, in_scanner: bool = False) -> list[Viewer]:
    """Those that nothing has seen; all watch the same films, that nobody else has."""
    watched = tuple(range(_BENCHMARK + 1, _BENCHMARK + films + 1))
    numbers = range(_BENCHMARK + 1, _BENCHMARK + subjects + 1)
    return [Viewer(number, watched, data, in_scanner) for number in numbers]


def write_runs(viewers: Mapping[Path, Sequence[Viewer]], say: Callable[[int, int], None] = lambda _, __: None) -> None:
    """Simulate those whose folders do not hold their runs yet.

    Args:
        viewers: by the folder that their runs belong to.
        say: hears how many are there, of how many.

    Raises:
        RunError: a run cannot be written.
        WorkerError: memory does not suffice.
    """
    wanted = [(viewer, folder) for folder, some in viewers.items() for viewer in some]
    missing = [(viewer, folder) for viewer, folder in wanted if not _are_written(viewer, folder)]
    n_held = len(wanted) - len(missing)
    say(n_held, len(wanted))
    for n, _ in enumerate(in_parallel(_write, missing), 1):
        say(n_held + n, len(wanted))


def _are_written(viewer: Viewer, folder: Path) -> bool:
    return all(run_path(folder, name).exists() for name in viewer.run_names)


def _write(viewer: Viewer, folder: Path) -> None:
    for run in simulated_runs(viewer.data, viewer.number, viewer.films, in_scanner=viewer.in_scanner):
        write_run(folder, run)
