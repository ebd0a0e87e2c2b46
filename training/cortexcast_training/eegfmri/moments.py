"""Moments of runs, as the autoencoder learns from them: 20 s of band power, the BOLD at their end, what was seen.

Band power is against what the wearer has shown so far; all is in units of the training data's standard deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cortexcast_training.eegfmri.centring import centred
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, STIMULUS

Singles = NDArray[np.float32]

STIMULUS_LAG_S = 5.25
"""How long before a moment what is seen is asked for: BOLD is as late."""

_SMALLEST = 1e-6


@dataclass(frozen=True)
class Units:
    """Standard deviations over the training data.

    Attributes:
        power: ``(n_electrodes * n_bands,)``, of the logarithm.
        bold: ``(n_parcels,)``, percent.
        embedding: ``(n_dimensions,)``; empty where no stimulus is known.
    """

    power: Singles
    bold: Singles
    embedding: Singles


class Moments:
    """All moments of some runs, one for each volume that has all that is asked for.

    Args:
        runs: whose; with a stimulus each, or none of them.
        units: of the training data; None measures them on these.
        settle_s: at the beginning of each run's EEG, not used: what the wearer shows on average is not known yet.
    """

    def __init__(self, runs: Sequence[Run], units: Units | None = None, settle_s: float = 20.0) -> None:
        courses = [centred(run.power).reshape(len(run.power), -1) for run in runs]
        self.units = units or _units(courses, runs)
        lag = round(STIMULUS_LAG_S / HOP_S)
        parts: list[Singles] = []
        hops, bold, embedding, run_of = [], [], [], []
        n_before = 0
        for number, (course, run) in enumerate(zip(courses, runs, strict=True)):
            volumes = np.flatnonzero(run.hops * HOP_S >= settle_s)
            parts += [np.zeros((N_HOPS, course.shape[1]), np.float32), course / self.units.power]
            hops.append(n_before + N_HOPS + run.hops[volumes])
            n_before += N_HOPS + len(course)
            bold.append(run.bold.T[volumes] / self.units.bold)
            run_of.append(np.full(len(volumes), number))
            if run.embedding is not None:
                # What was seen while the volume was taken that was taken then.
                seen = np.searchsorted(run.hops, run.hops[volumes] - lag, side="right") - 1
                embedding.append(run.embedding[seen.clip(0)] / self.units.embedding)
        self._course = torch.from_numpy(np.concatenate(parts).astype(np.float32))
        self._hops = torch.from_numpy(np.concatenate(hops))
        self._lags = torch.arange(1 - N_HOPS, 1)
        self.bold = torch.from_numpy(np.concatenate(bold).astype(np.float32))
        self.embedding = torch.from_numpy(np.concatenate(embedding).astype(np.float32)) if embedding else None
        self.run_of = np.concatenate(run_of)
        """``(n,)``, the number of each moment's run."""

    def __len__(self) -> int:
        return len(self._hops)

    def __getitem__(self, numbers: Tensor) -> dict[str, Tensor]:
        """By modality: EEG ``(n, N_HOPS, n_features)``, oldest first; BOLD ``(n, n_parcels)``; the stimulus."""
        given = {EEG: self._course[self._hops[numbers, None] + self._lags], BOLD: self.bold[numbers]}
        return given if self.embedding is None else {**given, STIMULUS: self.embedding[numbers]}


def _units(courses: Sequence[Singles], runs: Sequence[Run]) -> Units:
    embeddings = [run.embedding for run in runs if run.embedding is not None]
    return Units(
        power=_sizes(courses),
        bold=_sizes([run.bold.T for run in runs]),
        embedding=_sizes(embeddings) if embeddings else np.zeros(0, np.float32),
    )


def _sizes(courses: Sequence[Singles]) -> Singles:
    """Root mean square over time, ``(n,)``: what is courses' mean is zero already, or meant."""
    power = np.mean([np.mean(course.astype(np.float64) ** 2, axis=0) for course in courses], axis=0)
    return np.asarray(np.sqrt(power).clip(_SMALLEST), np.float32)
