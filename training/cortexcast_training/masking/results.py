"""What all runs say: which timestamps and which parts of the brain matter, how sure that is, and what was checked."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.runs import HOP_S
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG
from cortexcast_training.masking.checks import Curves, agreement, rank_correlation
from cortexcast_training.masking.explain import RANDOM, Explainer, Kept, Say, Source
from cortexcast_training.masking.findings import (
    Effect,
    Found,
    conjunction,
    false_discovery_rates,
    found,
    rates_in_all,
    smoothed,
)
from cortexcast_training.masking.operators import OPERATORS, Operator

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_AT_ONCE = 2000
"""Parts of the brain: chance of all voxels of many runs would not fit into memory."""


class Deletion(Strict):
    """Of masking, or showing, units in the order of what mattered to others, against orders by chance."""

    deletion: float
    """By how much less is told while ever more is masked,"""
    insertion: float
    """and by how much more while ever more is shown; mean over shares, in nats a volume."""
    passed: bool
    """Whether both are better than in every order by chance."""


class Checked(Strict):
    """What was found on one side, in one net, and what was checked."""

    product: Literal["fmri", "stimulus"]
    side: Literal["eeg", "bold"]
    film: str | None = None
    """Whose timestamps they are; None of parts of the brain."""
    subjects: int
    units: int
    found: int
    p_of_any: float
    """Of all evidence together being as high where everything is turned in time."""
    of_population: bool
    """Whether that holds of subjects like these, and not of these recordings alone."""
    agreement: float | None
    """The lowest rank correlation between maps of two operators; None where nothing differs."""
    agreement_by_chance: float | None
    """Likewise of what was recorded at other times: operators share that, so it is above zero."""
    agreement_of_found: float | None
    """Of all units that any operator finds, the share that all find; None where none finds any."""
    deletion: dict[str, Deletion]
    """By operator; none where nobody else has the same units."""
    random_weights_r: float | None
    """Rank correlation of the map with that of a net with random weights."""
    random_weights_found: int


class Results(Strict):
    """Everything that a report says in numbers."""

    data: Literal["simulated", "recorded"]
    models: dict[Product, str]
    """Name, version and digest of each."""
    runs: tuple[str, ...] = Field(strict=False)
    level: float
    """Of finding anything where there is nothing; and the rate of false discoveries in each map."""
    resolution: Literal["parcel", "voxel"]
    checked: tuple[Checked, ...] = Field(strict=False)
    timestamps_in_both: int | None
    """Found in both nets; None of one net alone."""
    regions_in_both: int | None
    volumes: dict[str, int]
    """By film, those that count in all of its runs,"""
    turns: dict[str, int]
    """and ways that they are turned in time."""
    settings: str
    command: str


@dataclass(frozen=True)
class Map:
    """Of one net, on the units of one side.

    Attributes:
        z: ``(n_units,)``, evidence in standard deviations of chance, mean over operators and subjects.
        p: ``(n_units,)``, the greatest of the operators'.
        q: ``(n_units,)``, the least rate of false discoveries in this map at which each is found.
        found: ``(n_units,)``.
        change: ``(n_units,)`` in nats, the mean over runs.
        of_runs: by name, ``(n_units,)``: evidence in standard deviations of the run's own chance, mean over operators.
        nats: ``(n_units,)``, evidence above chance, a volume, mean over runs and operators.
        nats_sd: ``(n_units,)``, its standard deviation over runs.
        curves: by operator, the mean over runs.
        checked: what is said of it.
    """

    z: Floats
    p: Floats
    q: Floats
    found: Mask
    change: Floats
    of_runs: Mapping[str, Floats]
    nats: Floats
    nats_sd: Floats
    curves: Mapping[str, Curves]
    checked: Checked


@dataclass(frozen=True)
class Side:
    """One side in all nets.

    Attributes:
        film: whose timestamps; None of parts of the brain.
        units: ``(n_units,)``: hops since the film began, or numbers of parcels or voxels.
        maps: by product.
        q_in_both: ``(n_units,)``, the least rate of false discoveries at which each is found in every net.
        in_both: ``(n_units,)``, those that are.
    """

    film: str | None
    units: Numbers
    maps: Mapping[Product, Map]
    q_in_both: Floats
    in_both: Mask


@dataclass(frozen=True)
class Tested:
    """One net's map, before it is known what else the report finds.

    Attributes:
        explainer: that holds it.
        sources: runs.
        product: the net's.
        side: that was masked.
        film: as of ``Side``.
        units: likewise.
    """

    explainer: Explainer
    sources: Sequence[Source]
    product: Product
    side: str
    film: str | None
    units: Numbers

    @cached_property
    def of_operator(self) -> dict[Operator, Found]:
        """What each finds."""
        return {operator: self.found(operator) for operator in OPERATORS}

    @cached_property
    def together(self) -> Found:
        """What all find."""
        return conjunction(list(self.of_operator.values()))

    @cached_property
    def randomised(self) -> Found:
        """What a net with random weights does."""
        return self.found(RANDOM)

    def found(self, operator: str) -> Found:
        """What one finds."""
        return found(self._blocks(operator), self.explainer.settings.seed)

    def map(self, q: Floats, of_random: Floats) -> Map:
        """What is said of it.

        Args:
            q: as of ``Map``.
            of_random: likewise, of a net with random weights.
        """
        level = self.explainer.settings.level
        is_found = q <= level
        limit = self.together.p[is_found].max(initial=0)
        by_each = np.array([each.p <= limit for each in self.of_operator.values()])
        curves = {each: mean for each in map(str, OPERATORS) if (mean := self._mean_curves(each)) is not None}
        changes = [self._pick(source, self._effects(source, "token").change) for source in self.sources]
        at_other_times = zip(*(each.elsewhere for each in self.of_operator.values()), strict=True)
        by_chance = [agreement(maps) for maps in at_other_times]
        of_runs, nats = self._of_runs()
        return Map(
            z=self.together.z,
            p=self.together.p,
            q=q,
            found=is_found,
            change=np.mean(changes, axis=0),
            of_runs=dict(zip((source.run.name for source in self.sources), of_runs, strict=True)),
            nats=nats.mean(axis=0),
            nats_sd=nats.std(axis=0, ddof=1) if len(nats) > 1 else np.zeros(len(self.units)),
            curves=curves,
            checked=Checked(
                product=self.product,
                side="eeg" if self.side == EEG else "bold",
                film=self.film,
                subjects=len({source.run.subject for source in self.sources}),
                units=len(self.units),
                found=int(is_found.sum()),
                p_of_any=self.together.p_of_any,
                of_population=self.together.of_population,
                agreement=agreement([each.z for each in self.of_operator.values()]),
                agreement_by_chance=None if None in by_chance else float(np.mean([each or 0.0 for each in by_chance])),
                agreement_of_found=float(is_found.sum() / by_each.any(axis=0).sum()) if by_each.any() else None,
                deletion={
                    operator: Deletion(deletion=each.areas[0], insertion=each.areas[1], passed=each.passed)
                    for operator, each in curves.items()
                },
                random_weights_r=rank_correlation(self.of_operator["token"].z, self.randomised.z),
                random_weights_found=int((of_random <= level).sum()),
            ),
        )

    def _effects(self, source: Source, operator: str) -> Kept:
        return self.explainer.effects(source.run, self.product, self.side, operator)

    def _blocks(self, operator: str) -> Iterator[list[Effect]]:
        """Timestamps all at once, since they are smoothed; of parts of the brain so many at a time."""
        at_once = len(self.units) if self.side == EEG else _AT_ONCE
        for begin in range(0, len(self.units), at_once):
            block = []
            for source in self.sources:
                effects = self._effects(source, operator)
                evidence, chance = (
                    self._pick(source, each, slice(begin, begin + at_once))
                    for each in (effects.evidence, effects.chance)
                )
                if self.side == EEG:
                    span = max(1, round(self.explainer.settings.span_s / HOP_S))
                    evidence, chance = smoothed(evidence, span), smoothed(chance, span)
                turns = self.explainer.turns(source.run.film, self.product)
                block.append(Effect(source.run.subject, source.run.film, evidence, chance, turns))
            yield block

    def _of_runs(self) -> tuple[Floats, Floats]:
        """Evidence in each run, mean over operators: in standard deviations, and in nats a volume, above chance."""
        of_operators = []
        for operator in OPERATORS:
            blocks = [[(each.standardised, each.above_chance) for each in block] for block in self._blocks(operator)]
            of_operators.append(np.concatenate([np.array(block) for block in blocks], axis=2))
        z, nats = np.mean(of_operators, axis=0).transpose(1, 0, 2)
        n_volumes = [self.explainer.n_volumes(source.run.film, self.product) for source in self.sources]
        return z, nats / np.array(n_volumes)[:, np.newaxis]

    def _pick(self, source: Source, values: NDArray[np.float32], some: slice = slice(None)) -> Floats:
        """Of these units, the last axis of ``values``."""
        at = np.searchsorted(source.units_of(self.side), self.units[some])
        return np.asarray(values[..., at], np.float64)

    def _mean_curves(self, operator: str) -> Curves | None:
        """Over runs."""
        some = [
            self.explainer.curves(source.run, self.product, self.side, operator)
            for source in self.sources
            if self.explainer.others(source, self.side)
        ]
        if not some:
            return None
        return Curves(*(np.mean([vars(each)[name] for each in some], axis=0) for name in vars(some[0])))


def tested(explainer: Explainer) -> list[list[Tested]]:
    """Every film's timestamps, then parts of the brain, each in all nets."""
    sources = explainer.sources
    films = sorted({source.run.film for source in sources})
    of_films = [(EEG, film, [source for source in sources if source.run.film == film]) for film in films]
    return [
        [Tested(explainer, some, product, side, film, units_of(some, side)) for product in explainer.nets]
        for side, film, some in (*of_films, (BOLD, None, sources))
    ]


def sides(explainer: Explainer, say: Say = lambda _what, _done, _of: None) -> list[Side]:
    """What matters, of every film's timestamps, then of parts of the brain; ``say`` hears how far it is."""
    every = tested(explainer)
    together, randomised = [], []
    for n, each in enumerate(maps := list(itertools.chain.from_iterable(every))):
        say("judging", n, len(maps))
        together.append(each.together)
        randomised.append(each.randomised)
    level = explainer.settings.level
    rates = zip(false_discovery_rates(together, level), false_discovery_rates(randomised, level), strict=True)
    judged: list[Side] = []
    for of_side in every:
        of_nets = {each.product: each.map(*next(rates)) for each in of_side}
        q = rates_in_all([each.together for each in of_side], [each.q for each in of_nets.values()])
        judged.append(Side(of_side[0].film, of_side[0].units, of_nets, q, q <= level))
    return judged


def units_of(sources: Sequence[Source], side: str) -> Numbers:
    """Those that all runs have: hops since the film began, or parts of the brain."""
    return functools.reduce(np.intersect1d, [source.units_of(side) for source in sources])
