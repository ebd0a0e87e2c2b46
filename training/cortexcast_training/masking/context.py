"""What is known of the timestamps of a film beside what masking finds: what was seen, marked and done, and the EEG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.centring import SETTLE_HOPS
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.masking.explain import film_hops
from cortexcast_training.masking.results import Side

Floats = NDArray[np.float64]

UNKNOWN = "n/a"

MOVED_MM = 0.5
"""Framewise: Power et al., *NeuroImage* 59 (2012)."""

_OUTLYING = 4.0
"""Standard deviations, robust, of the power over all electrodes and bands: what is above is hardly of the brain."""


@dataclass(frozen=True)
class Context:
    """What is known of the timestamps of a film.

    Attributes:
        labels: what is seen at each; ``n/a`` where that is not known.
        events: markers, with a bar between them; ``n/a`` where there are none.
        power: ``(n, n_bands)``, in standard deviations, mean over electrodes and runs.
        outlying: ``(n,)``, the share of runs that are then outlying.
        moved: ``(n,)``, the share of runs whose head has moved, of those of which that is known; NaN of none.
    """

    labels: list[str]
    events: list[str]
    power: Floats
    outlying: Floats
    moved: Floats

    @property
    def missing(self) -> list[str]:
        """What nothing is known of."""
        known = {
            "what was seen": set(self.labels) - {UNKNOWN},
            "events": set(self.events) - {UNKNOWN},
            "movement": np.isfinite(self.moved).any(),
        }
        return [name for name, is_known in known.items() if not is_known]


def context(side: Side, runs: Sequence[Run]) -> Context:
    """Of the runs of a film."""
    of_bands, outlying = [], []
    for run in runs:
        here = np.searchsorted(film_hops(run), side.units)
        power = run.power[here].mean(axis=1, dtype=np.float64)
        # The first hops are of filters that settle.
        full = power[here >= SETTLE_HOPS]
        of_bands.append((power - full.mean(axis=0)) / full.std(axis=0))
        whole = power.mean(axis=1)
        spread = 1.4826 * np.median(np.abs(whole - np.median(whole)))
        outlying.append(whole - np.median(whole) > _OUTLYING * spread)
    moved = []
    for run in runs:
        if run.displacement is not None:
            volume = _volumes(side, run)
            moved.append(np.where(volume >= 0, run.displacement[volume] > MOVED_MM, np.nan))
    return Context(
        _labels(side, runs),
        _events(side, runs),
        np.mean(of_bands, axis=0),
        np.mean(outlying, axis=0),
        np.mean(moved, axis=0) if moved else np.full(len(side.units), np.nan),
    )


def _volumes(side: Side, run: Run) -> NDArray[np.int64]:
    """The volume during which each timestamp is; -1 before and after all of them."""
    begins = run.hops - run.hops[0]
    volume = np.searchsorted(begins, side.units, side="right") - 1
    return np.where(side.units < begins[-1] + round(run.tr_s / HOP_S), volume, -1)


def _labels(side: Side, runs: Sequence[Run]) -> list[str]:
    run = next((run for run in runs if run.stimulus is not None), None)
    if run is None or run.stimulus is None:
        return [UNKNOWN] * len(side.units)
    volume = _volumes(side, run)
    shown = np.where(volume >= 0, run.stimulus.shown[volume], -1)
    return [run.stimulus.labels[number] if number >= 0 else UNKNOWN for number in shown]


def _events(side: Side, runs: Sequence[Run]) -> list[str]:
    names: defaultdict[int, set[str]] = defaultdict(set)
    for run in runs:
        since = film_hops(run)
        for hop, name in run.events:
            if 0 <= hop < len(since):
                names[int(since[hop])].add(" ".join(name.split()))
    return ["|".join(sorted(names[unit])) or UNKNOWN for unit in side.units.tolist()]
