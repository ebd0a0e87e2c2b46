"""Runs of EEG and BOLD that are made up in no time, of the size that models have, with something to find in them."""

from __future__ import annotations

import numpy as np

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.moments import STIMULUS_LAG_S
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import HOP_S, Run, hops_at
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.stimulus import Stimulus

N_PROCESSES, N_DIMENSIONS, N_LABELS = 3, 4, 5
TR_S = 2.1
PLACES = np.random.default_rng(7).standard_normal((N_LABELS, N_DIMENSIONS)).astype(np.float32)


def film_run(subject: str, film: int, seed: int, seconds: float = 260.0) -> Run:
    """Slow processes, each with electrodes and a band of its own, parcels, and a direction of the stimulus."""
    rng, of_film = np.random.default_rng([seed, film]), np.random.default_rng(film)
    n_hops, n_parcels = round(seconds / HOP_S), len(parcels().names)
    mixing = np.random.default_rng(3).standard_normal((N_PROCESSES, n_parcels))
    slow = np.array([np.convolve(row, np.ones(16) / 4, "same") for row in rng.standard_normal((N_PROCESSES, n_hops))])
    shown = of_film.integers(N_LABELS, size=n_hops // 40 + 1).repeat(40)[:n_hops]
    slow += PLACES[shown, :N_PROCESSES].T
    power = -25 + 0.5 * rng.standard_normal((n_hops, len(ELECTRODES), len(BANDS)))
    for number, process in enumerate(slow):
        power[:, number::N_PROCESSES, 2 + number] += process[:, np.newaxis]
    hops = hops_at(np.arange(3.0, seconds / TR_S - 3) * TR_S, n_hops)
    visible = (mixing.T @ bold(slow - slow.mean(axis=1, keepdims=True), np.full(N_PROCESSES, 5.25), 1 / HOP_S))[:, hops]
    noise = visible.std() * rng.standard_normal(visible.shape)
    seen = shown[hops]
    assert STIMULUS_LAG_S < 3 * TR_S
    return Run(
        subject=subject,
        film=f"film{film:02d}",
        power=power.astype(np.float32),
        bold=(visible + noise).astype(np.float32),
        hops=hops,
        stimulus=Stimulus(PLACES[seen], tuple(f"label {n}" for n in range(N_LABELS)), PLACES, seen.astype(np.int64)),
        visible=visible.astype(np.float32),
        simulated=True,
    )
