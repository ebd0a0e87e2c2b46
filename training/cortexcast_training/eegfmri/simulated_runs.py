"""Simulated runs as models see them, without the scanner: what is left of its artefacts is preprocessing's affair."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from cortexcast_training.eegfmri.film import stimulus
from cortexcast_training.eegfmri.film_cohort import FilmCohort
from cortexcast_training.eegfmri.natview_layout import film_name
from cortexcast_training.eegfmri.networks import draw_networks
from cortexcast_training.eegfmri.runs import Run, electrode_power, hops_at
from cortexcast_training.eegfmri.simulator import BRAIN_HZ, ELECTRODES, simulate_brain
from cortexcast_training.head import draw_head


def simulated_runs(cohort: FilmCohort, number: int, films: tuple[int, ...]) -> list[Run]:
    """Runs of one subject of a cohort.

    Args:
        cohort: whom.
        number: of the subject, from one on; it may be beyond ``cohort.subjects``.
        films: that the subject watches, from one on.
    """
    subject_seed = cohort.subject_seed(number)
    settings, networks, shown = cohort.recording, draw_networks(cohort.networks), cohort.draw_films()
    runs = []
    with threadpool_limits(1):  # as in leadfield
        head = draw_head(cohort.head, subject_seed)
        for film_number in films:
            film, seed = shown[film_number - 1], cohort.run_seed(number, film_number)
            brain = simulate_brain(networks, head, film, settings, subject_seed, seed)
            name = f"sub-{number}, {film_name(film_number)}"
            power = electrode_power(brain.eeg, BRAIN_HZ, ELECTRODES, [None] * len(ELECTRODES), name)
            runs.append(
                Run(
                    subject=f"sub-{number}",
                    film=film_name(film_number),
                    power=power,
                    bold=brain.parcels.signal.astype(np.float32),
                    hops=hops_at(settings.lead_s + brain.parcels.times, len(power)),
                    embedding=stimulus(film, cohort.networks.film, settings.bold.tr_s).embedding,
                    visible=brain.parcels.visible.astype(np.float32),
                )
            )
    return runs
