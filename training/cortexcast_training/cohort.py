"""A group of simulated subjects: what `cortexcast simulate meg` is told, and what it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import derived_seed
from cortexcast_training.bids import BYTES_PER_SAMPLE, README, write_subject
from cortexcast_training.disk_space import check_space
from cortexcast_training.head import Head, HeadSettings, draw_head
from cortexcast_training.simulated_dataset import SimulatedDataset
from cortexcast_training.simulator import Simulation, SimulationSettings, simulate
from cortexcast_training.sources import SourceSettings, draw_sources

_OVERHEAD = 1.05
_BYTES_PER_SUBJECT = 2_000_000
"""Tables, and the patches' fields."""


class Cohort(Strict):
    """Subjects with a head, helmet and brain activity of their own each, and the same places of activity."""

    subjects: PositiveInt = 1
    runs: PositiveInt = Field(1, le=99)
    """Recordings of each subject, with the same head and helmet."""
    seed: NonNegativeInt = 0
    """Another seed gives other subjects."""
    head: HeadSettings = HeadSettings()
    sources: SourceSettings = SourceSettings()
    recording: SimulationSettings = SimulationSettings()

    @property
    def n_bytes(self) -> int:
        """What it takes on disk, at most."""
        recordings = self.subjects * self.runs * self.recording.n_samples * BYTES_PER_SAMPLE
        return round(_OVERHEAD * recordings) + self.subjects * _BYTES_PER_SUBJECT


def write_cohort(cohort: Cohort, folder: Path, say: Callable[[str, int, int], None] = lambda *_: None) -> None:
    """Simulate all subjects and write them.

    Args:
        cohort: whom.
        folder: where; it is made, and must be empty.
        say: hears of each step what is being done, how many steps are done, and of how many: one for a head, one for
            each run.

    Raises:
        DatasetError: the folder is in use.
        SpaceError: the disk is too small.
    """
    check_space(cohort.n_bytes, folder, "simulate fewer subjects or shorter recordings")
    dataset = SimulatedDataset(folder, "EEG and MEG", "cortexcast simulate meg", README)
    sources = draw_sources(cohort.sources)
    digits = max(2, len(str(cohort.subjects)))
    done, steps = 0, cohort.subjects * (1 + cohort.runs)

    def runs(subject: str, number: int, head: Head) -> Iterator[tuple[int, Simulation]]:
        nonlocal done
        for run in range(1, cohort.runs + 1):
            done += 1
            say(f"{subject}, run {run}", done, steps)
            seed = derived_seed(cohort.seed, "cohort", number, run)
            yield seed, simulate(head, sources, cohort.recording, seed)

    for number in range(1, cohort.subjects + 1):
        subject = f"sub-{number:0{digits}d}"
        say(f"{subject}, head", done, steps)
        head = draw_head(cohort.head, derived_seed(cohort.seed, "cohort", number))
        write_subject(dataset, subject, head, sources, cohort.recording, runs(subject, number, head))
        done += 1
    say("done", done, steps)
