"""What all runs say: which timestamps and which parts of the brain matter, how sure that is, and what was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.runs import HOP_S
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG
from cortexcast_training.masking.checks import Curves, agreement, rank_correlation
from cortexcast_training.masking.explain import RANDOM, Explainer, Source, film_hops
from cortexcast_training.masking.findings import Effect, Found, conjunction, found, smoothed
from cortexcast_training.masking.operators import OPERATORS, Operator

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Deletion(Strict):
    """Of masking, or showing, units in the order of what mattered to others, against random orders."""

    deletion: float
    """The area by which it falls sooner,"""
    insertion: float
    """and by which it is back sooner; both as shares of what is told."""
    passed: bool
    """Whether both are better than in every random order."""


class Checked(Strict):
    """What was found on one side, in one net, and what was checked."""

    product: Literal["fmri", "stimulus"]
    side: Literal["eeg", "bold"]
    film: str | None = None
    """Whose timestamps they are; None of parts of the brain."""
    subjects: int
    units: int
    found: int
    of_population: bool
    """Whether that holds of subjects like these, and not of these recordings alone."""
    agreement: float | None
    """The lowest rank correlation between maps of two operators; None where nothing differs."""
    agreement_of_found: float | None
    """Of all units that any operator finds, the share that all find; None where none finds any."""
    deletion: dict[str, Deletion]
    """By operator; none where nobody else has the same units, or masking takes nothing away."""
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
    """Of finding anything at all where there is nothing."""
    resolution: Literal["parcel", "voxel"]
    checked: tuple[Checked, ...] = Field(strict=False)
    timestamps_in_both: int | None
    """Found in both nets; None of one net alone."""
    regions_in_both: int | None
    command: str


@dataclass(frozen=True)
class Map:
    """Of one net, on the units of one side.

    Attributes:
        z: ``(n_units,)``, evidence in standard deviations of chance, mean over operators and subjects.
        p: ``(n_units,)``, the greatest of the operators'.
        found: ``(n_units,)``.
        change: ``(n_units,)`` in nats, the mean over runs.
        curves: by operator, the mean over runs.
        checked: what is said of it.
    """

    z: Floats
    p: Floats
    found: Mask
    change: Floats
    curves: Mapping[str, Curves]
    checked: Checked


@dataclass(frozen=True)
class Side:
    """One side in all nets.

    Attributes:
        film: whose timestamps; None of parts of the brain.
        units: ``(n_units,)``: hops since the film began, or numbers of parcels or voxels.
        maps: by product.
    """

    film: str | None
    units: Numbers
    maps: Mapping[Product, Map]

    @property
    def in_both(self) -> Mask:
        """Units found in every net."""
        return np.asarray(np.all([each.found for each in self.maps.values()], axis=0))


def timestamps(explainer: Explainer, film: str) -> Side:
    """Of all runs of a film."""
    sources = [source for source in explainer.sources if source.run.film == film]
    units = units_of(sources, EEG)
    maps = {product: _map(explainer, sources, product, EEG, units, film) for product in explainer.nets}
    return Side(film, units, maps)


def regions(explainer: Explainer) -> Side:
    """Parcels or voxels, of all runs."""
    units = units_of(explainer.sources, BOLD)
    maps = {product: _map(explainer, explainer.sources, product, BOLD, units, None) for product in explainer.nets}
    return Side(None, units, maps)


def shared_level(explainer: Explainer) -> float:
    """A level for the whole report is shared by its maps."""
    n_films = len({source.run.film for source in explainer.sources})
    return explainer.settings.level / (len(explainer.nets) * (1 + n_films))


def units_of(sources: Sequence[Source], side: str) -> Numbers:
    """Those that all runs have: hops since the film began, or parts of the brain."""
    of_runs = [source.units if side == BOLD else film_hops(source.run, len(source.run.power)) for source in sources]
    units = of_runs[0]
    for others in of_runs[1:]:
        units = np.intersect1d(units, others)
    return units


def by_operator(
    explainer: Explainer, sources: Sequence[Source], product: Product, side: str, units: Numbers
) -> dict[Operator, Found]:
    """What each operator finds on some units."""
    return {operator: _found(explainer, sources, product, side, units, operator) for operator in OPERATORS}


def _map(
    explainer: Explainer, sources: Sequence[Source], product: Product, side: str, units: Numbers, film: str | None
) -> Map:
    level = shared_level(explainer)
    of_operator = by_operator(explainer, sources, product, side, units)
    together = conjunction(list(of_operator.values()))
    randomised = _found(explainer, sources, product, side, units, RANDOM)
    is_found = together.p <= level
    by_each = np.array([each.p <= level for each in of_operator.values()])
    curves: dict[str, Curves] = {
        operator: mean
        for operator in OPERATORS
        if (mean := _mean_curves(explainer, sources, product, side, operator)) is not None
    }
    change = np.mean(
        [
            _pick(source, side, units, explainer.effects(source.run, product, side, "token").change)
            for source in sources
        ],
        axis=0,
    )
    return Map(
        z=together.z,
        p=together.p,
        found=is_found,
        change=change,
        curves=curves,
        checked=Checked(
            product=product,
            side="eeg" if side == EEG else "bold",
            film=film,
            subjects=len({source.run.subject for source in sources}),
            units=len(units),
            found=int(is_found.sum()),
            of_population=together.of_population,
            agreement=agreement([each.z for each in of_operator.values()]),
            agreement_of_found=float(is_found.sum() / by_each.any(axis=0).sum()) if by_each.any() else None,
            deletion={
                operator: Deletion(deletion=each.areas[0], insertion=each.areas[1], passed=each.passed)
                for operator, each in curves.items()
            },
            random_weights_r=rank_correlation(of_operator["token"].z, randomised.z),
            random_weights_found=int((randomised.p <= level).sum()),
        ),
    )


def _found(
    explainer: Explainer, sources: Sequence[Source], product: Product, side: str, units: Numbers, operator: str
) -> Found:
    given = []
    for source in sources:
        effects = explainer.effects(source.run, product, side, operator)
        evidence, chance = (
            _pick(source, side, units, each).astype(np.float64) for each in (effects.evidence, effects.chance)
        )
        if side == EEG:
            span = max(1, round(explainer.settings.span_s / HOP_S))
            evidence, chance = smoothed(evidence, span), smoothed(chance, span)
        given.append(Effect(source.run.subject, source.run.film, evidence, chance))
    return found(given, shared_level(explainer), explainer.settings.seed)


def _pick(source: Source, side: str, units: Numbers, values: NDArray[np.float32]) -> Floats:
    """Of these units, the last axis of ``values``."""
    own = source.units if side == BOLD else film_hops(source.run, len(source.run.power))
    return np.asarray(values[..., np.searchsorted(own, units)], np.float64)


def _mean_curves(
    explainer: Explainer, sources: Sequence[Source], product: Product, side: str, operator: Operator
) -> Curves | None:
    """As shares of what is told: runs of which little is told count little."""
    some = [
        explainer.curves(source.run, product, side, operator) for source in sources if explainer.others(source, side)
    ]
    if not some:
        return None
    return Curves(*(np.mean([vars(each)[name] for each in some], axis=0) for name in vars(some[0]))).left()
