"""Moments of runs, as the autoencoder learns from them: 20 s of band power, the BOLD at their end, what was seen.

Band power is against what the wearer has shown so far; all is in units of the training data's standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

SETTLE_S = 20.0
"""At the beginning of a run's EEG, not used: what the wearer shows on average is not known yet."""

SMALLEST = 1e-6
"""What never changes has this unit."""


@dataclass(frozen=True)
class Units:
    """Standard deviations over the training data.

    Attributes:
        power: ``(n_electrodes * n_bands,)``, of the logarithm.
        bold: ``(n_parcels,)``, percent.
        embedding: ``(n_dimensions,)``, about ``embedding_mean``; empty where no stimulus is known, both.
    """

    power: Singles
    bold: Singles
    embedding: Singles
    embedding_mean: Singles


class Moments:
    """All moments of some runs, one for each volume that has all that is asked for.

    Args:
        runs: whose; with a stimulus each, or none of them.
        units: of the training data; None measures them on these. Without those of a stimulus, no run has one.
    """

    def __init__(self, runs: Sequence[Run], units: Units | None = None) -> None:
        courses = [centred(run.power).reshape(len(run.power), -1) for run in runs]
        self.units = units or _units(courses, runs)
        knows_stimulus = len(self.units.embedding) > 0
        parts: list[Singles] = []
        hops, bold, embedding = [], [], []
        n_before = 0
        for course, run in zip(courses, runs, strict=True):
            volumes = settled(run, with_stimulus=knows_stimulus)
            parts += [np.zeros((N_HOPS, course.shape[1]), np.float32), course / self.units.power]
            hops.append(n_before + N_HOPS + run.hops[volumes])
            n_before += N_HOPS + len(course)
            bold.append(run.bold.T[volumes] / self.units.bold)
            if run.stimulus is not None and knows_stimulus:
                seen = run.stimulus.embedding[seen_before(run)[volumes]]
                embedding.append((seen - self.units.embedding_mean) / self.units.embedding)
        self._course = torch.from_numpy(np.concatenate(parts).astype(np.float32))
        self._hops = torch.from_numpy(np.concatenate(hops))
        self._lags = torch.arange(1 - N_HOPS, 1)
        self.bold = torch.from_numpy(np.concatenate(bold).astype(np.float32))
        self.embedding = torch.from_numpy(np.concatenate(embedding).astype(np.float32)) if embedding else None

    def __len__(self) -> int:
        return len(self._hops)

    def __getitem__(self, numbers: Tensor) -> dict[str, Tensor]:
        """By modality: EEG ``(n, N_HOPS, n_features)``, oldest first; BOLD ``(n, n_parcels)``; the stimulus.

        BOLD is NaN where it was not scanned.
        """
        given = {EEG: self._course[self._hops[numbers, None] + self._lags], BOLD: self.bold[numbers]}
        return given if self.embedding is None else {**given, STIMULUS: self.embedding[numbers]}

    def batches(self, size: int = 256) -> Iterator[dict[str, Tensor]]:
        """All of them, in order, so many at a time."""
        return (self[numbers] for numbers in torch.arange(len(self)).split(size))


def seen_before(run: Run) -> NDArray[np.int64]:
    """Of each volume the one during which was seen what it is asked for, ``(n_volumes,)``; -1 before the first one."""
    begins, seen = run.hops - round(run.late_s / HOP_S), run.hops - round(STIMULUS_LAG_S / HOP_S)
    return np.asarray(np.searchsorted(begins, seen, side="right") - 1, np.int64)


def settled(run: Run, *, with_stimulus: bool = False) -> NDArray[np.int64]:
    """The volumes before which there were ``SETTLE_S`` of EEG.

    Args:
        run: whose.
        with_stimulus: those alone of which it is known what was seen.
    """
    volumes = np.flatnonzero(run.hops * HOP_S >= SETTLE_S)
    if with_stimulus and run.stimulus is not None:
        before = seen_before(run)[volumes]
        volumes = volumes[(before >= 0) & np.isfinite(run.stimulus.embedding[before]).all(axis=1)]
    return volumes


def _units(courses: Sequence[Singles], runs: Sequence[Run]) -> Units:
    seen = [run.stimulus.embedding for run in runs if run.stimulus is not None]
    nothing = np.zeros(0, np.float32)
    mean = np.nanmean(np.concatenate(seen), axis=0) if seen else nothing
    return Units(
        power=_sizes(courses),
        bold=_sizes([run.bold.T for run in runs]),
        embedding=_sizes([each[np.isfinite(each).all(axis=1)] - mean for each in seen]) if seen else nothing,
        embedding_mean=mean.astype(np.float32),
    )


def _sizes(courses: Sequence[Singles]) -> Singles:
    """Root mean square over time, ``(n,)``: what is courses' mean is zero already, or meant. NaN counts as nothing."""
    power = np.array([np.mean(course.astype(np.float64) ** 2, axis=0) for course in courses])
    known = np.isfinite(power)
    mean = np.where(known, power, 0).sum(axis=0) / known.sum(axis=0).clip(1)
    return np.asarray(np.sqrt(mean).clip(SMALLEST), np.float32)
