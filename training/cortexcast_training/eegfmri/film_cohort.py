"""A group of simulated subjects who watch films: what `cortexcast simulate eegfmri` is told, and what it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from cortexcast_training.disk_space import check_space
from cortexcast_training.eegfmri.anatomy import Anatomy, draw_anatomy
from cortexcast_training.eegfmri.audience import Audience
from cortexcast_training.eegfmri.film import Film
from cortexcast_training.eegfmri.natview_layout import README, FilmRun, write_films, write_subject
from cortexcast_training.eegfmri.networks import draw_networks
from cortexcast_training.eegfmri.simulator import BRAIN_HZ, ECG, ELECTRODES, EOG, RATE_HZ, simulate
from cortexcast_training.head import Head, draw_head
from cortexcast_training.simulated_dataset import SimulatedDataset

_N_CHANNELS = len((*ELECTRODES, ECG, *EOG))
_BYTES_PER_SUBJECT = 5_000_000
"""Anatomy and tables."""


class FilmCohort(Audience):
    """Subjects who watch the same films."""

    subjects: PositiveInt = 1
    films: int = Field(1, ge=1, le=99)
    """That each subject watches, one in each run."""

    @property
    def n_bytes(self) -> int:
        """What it takes on disk, at most."""
        settings = self.recording
        eeg_s = self.film_s + settings.bold.tr_s + settings.lead_s + settings.tail_s
        eeg = eeg_s * (2 * _N_CHANNELS * RATE_HZ + 4 * len(ELECTRODES) * BRAIN_HZ)
        # 16 bits for each voxel of a volume, and some KB of parcels.
        bold = np.ceil(self.film_s / settings.bold.tr_s) * (2 * np.prod(settings.scan.shape) + 20_000)
        return round(self.subjects * (self.films * float(eeg + bold) + _BYTES_PER_SUBJECT))

    def draw_films(self) -> list[Film]:
        """What everybody watches."""
        return [self.film(number) for number in range(1, self.films + 1)]


def write_film_cohort(cohort: FilmCohort, folder: Path, say: Callable[[str, int, int], None] = lambda *_: None) -> None:
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
    dataset = SimulatedDataset(folder, "EEG and fMRI", "cortexcast simulate eegfmri", README)
    networks, films = draw_networks(cohort.networks), cohort.draw_films()
    write_films(dataset, films, cohort.networks.film, cohort.recording.bold.tr_s)
    digits = max(2, len(str(cohort.subjects)))
    done, steps = 0, cohort.subjects * (1 + cohort.films)

    def runs(subject: str, number: int, head: Head, anatomy: Anatomy) -> Iterator[FilmRun]:
        nonlocal done
        for film_number, film in enumerate(films, 1):
            done += 1
            say(f"{subject}, film {film_number}", done, steps)
            seed = cohort.run_seed(number, film_number)
            settings, subject_seed = cohort.recording, cohort.subject_seed(number)
            yield FilmRun(film_number, seed, simulate(networks, head, anatomy, film, settings, subject_seed, seed))

    for number in range(1, cohort.subjects + 1):
        subject = f"sub-{number:0{digits}d}"
        say(f"{subject}, head", done, steps)
        subject_seed = cohort.subject_seed(number)
        head = draw_head(cohort.head, subject_seed)
        anatomy = draw_anatomy(head.scale, subject_seed)
        write_subject(dataset, subject, head, anatomy, networks, cohort.recording, runs(subject, number, head, anatomy))
        done += 1
    say("done", done, steps)
