"""Mask every moment of EEG and every part of the brain of some runs, in both nets; each piece is kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS
from cortexcast_training.masking.checks import (
    Curves,
    curves,
    told_by_bold,
    told_by_eeg,
    with_random_weights,
)
from cortexcast_training.masking.effects import Effects, Judge, Units, mask_bold, mask_eeg
from cortexcast_training.masking.findings import (
    LEAST_SHIFT_S,
    shifts,
)
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.masking.operators import OPERATORS, donated, surrogates
from cortexcast_training.masking.seen import Seen, see

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Say = Callable[[str, int, int], None]
Resolution = Literal["parcel", "voxel"]

RANDOM = "random-weights"

_DRAWS = {EEG: 4, BOLD: 2}
"""Of surrogates and donors: the mean of several is nearer to what masking does on average."""

SIDES = (EEG, BOLD)
TARGETS: Mapping[tuple[Product, str], str] = {
    ("fmri", EEG): BOLD,
    ("fmri", BOLD): EEG,
    ("stimulus", EEG): STIMULUS,
    ("stimulus", BOLD): STIMULUS,
}
"""The modality of a net that is judged where this side is masked."""


class ExplainError(Exception):
    """Runs and nets do not go together. The message says why and what to do."""


class ExplainSettings(Strict):
    """How masking is done and judged."""

    turns: PositiveInt = Field(200, ge=20)
    """How often what was recorded is turned in time, to tell chance; fewer where a run is short."""
    span_s: PositiveFloat = 2.0
    """Of EEG that a timestamp's evidence is the mean of: single hops are too short to tell."""
    level: float = Field(0.05, gt=0, lt=1)
    """Of finding anything at all where there is nothing, over all maps of a report."""
    seed: NonNegativeInt = 0


@dataclass(frozen=True)
class Source:
    """A run, and what of its BOLD is masked.

    Attributes:
        run: of one subject.
        units: ``(n_units,)``, numbers that are the same in all runs: of parcels, or of voxels.
        parcel: ``(n_units,)``, as of ``effects.Units``.
        share: likewise.
        courses: ``(n_units, n_volumes of the run)`` in percent.
    """

    run: Run
    units: NDArray[np.int64]
    parcel: NDArray[np.int64]
    share: Singles
    courses: Singles


def of_parcels(run: Run) -> Source:
    """Parcels are masked as they are; those that were not scanned are not."""
    known = np.flatnonzero(np.isfinite(run.bold).all(axis=1))
    return Source(run, known, known, np.ones(len(known), np.float32), run.bold[known])


class Explainer:
    """All runs in all nets.

    Args:
        sources: of the runs.
        nets: by product.
        settings: how.
        work: folder of what was done already.

    Raises:
        ExplainError: there are not two subjects, or nets have other parcels.
        RunError: a net cannot read a run.
    """

    def __init__(
        self, sources: Sequence[Source], nets: Mapping[Product, MaskedNet], settings: ExplainSettings, work: Path
    ) -> None:
        if len({source.run.subject for source in sources}) < 2:
            raise ExplainError("masks take what another subject showed: give runs of two subjects or more")
        if len({net.n_parcels for net in nets.values()}) > 1:
            sizes = ", ".join(f"{product} {net.n_parcels}" for product, net in nets.items())
            raise ExplainError(
                f"the models have different parcels ({sizes}): give two that were trained on the same runs"
            )
        self.sources, self.nets, self.settings, self._work = list(sources), dict(nets), settings, work
        self.seen = {
            (source.run.name, product): see(source.run, net) for source in sources for product, net in nets.items()
        }
        for (name, _), seen in self.seen.items():
            if seen.n_volumes * seen.tr_s < 4 * LEAST_SHIFT_S:
                raise ExplainError(f"{name} has {seen.n_volumes} volumes that count: chance needs a longer run")

    def mask(
        self,
        say: Say = lambda _what, _done, _of: None,
        *,
        with_checks: bool = True,
        sides: Sequence[str] = SIDES,
    ) -> None:
        """Do all that was not done yet.

        Args:
            say: hears how far it is.
            with_checks: or what is needed to find units and no more.
            sides: to mask.
        """
        steps = ((False, (*OPERATORS, RANDOM)), (True, OPERATORS)) if with_checks else ((False, OPERATORS),)
        todo = [
            (of_curves, source, product, side, operator)
            for of_curves, operators in steps
            for source in self.sources
            for product in self.nets
            for side in sides
            for operator in operators
            if not of_curves or self.others(source, side)
        ]
        for done, (of_curves, source, product, side, operator) in enumerate(todo):
            say(f"{source.run.name}: {side} of the model of {product}, {operator}", done, len(todo))
            path = self._path(source.run, product, side, operator, of_curves=of_curves)
            if _read(path) is None:
                make = self._curves if of_curves else self._effects
                _write(path, vars(make(source, product, side, operator)))
        say("done", len(todo), len(todo))

    def others(self, source: Source, side: str) -> list[Source]:
        """Other subjects' runs that have the same units: of EEG, those of the same film."""
        of_units = [each for each in self.sources if side == BOLD or each.run.film == source.run.film]
        return [each for each in of_units if each.run.subject != source.run.subject]

    def effects(self, run: Run, product: Product, side: str, operator: str) -> Effects:
        """What masking did, once it is done."""
        return Effects(**_known(self._path(run, product, side, operator)))

    def curves(self, run: Run, product: Product, side: str, operator: str) -> Curves:
        """Likewise."""
        return Curves(**_known(self._path(run, product, side, operator, of_curves=True)))

    def _path(self, run: Run, product: str, side: str, operator: str, *, of_curves: bool = False) -> Path:
        return self._work / f"{run.name}_{product}_{side}_{operator}{'_curves' * of_curves}.npz"

    def _effects(self, source: Source, product: Product, side: str, operator: str) -> Effects:
        net, judge, seen = self._judge(source, product, side, operator)
        if side == EEG:
            instead = self._instead_of_eeg(source, product, seen, operator)
            return mask_eeg(net, seen, judge, instead, with_outputs=operator == "token")
        units, instead = self._instead_of_bold(source, product, operator)
        effects = _together(list(mask_bold(net, seen, judge, units, instead, with_outputs=False)))
        return replace(effects, on=self._changed_by_parcels(net, seen, judge)) if operator == "token" else effects

    def _changed_by_parcels(self, net: MaskedNet, seen: Seen, judge: Judge) -> Singles:
        """What each parcel changes, ``(n_parcels, n_outputs)``; voxels would make too many pairs."""
        courses = seen.recorded[BOLD].T
        known = np.flatnonzero(np.isfinite(courses).all(axis=1))
        parts = Units(known, np.ones(len(known), np.float32), courses[known])
        token = np.broadcast_to(net.token(BOLD)[known, np.newaxis], parts.courses.shape)
        on = np.concatenate([part.on for part in mask_bold(net, seen, judge, parts, [token])])
        of_all = np.zeros((net.n_parcels, on.shape[1]), np.float32)
        of_all[known] = on
        return of_all

    def _curves(self, source: Source, product: Product, side: str, operator: str) -> Curves:
        """In the order of the importance to others, who have the same units: by its own any order would be good."""
        net, judge, seen = self._judge(source, product, side, operator)
        if side == EEG:
            told = told_by_eeg(net, seen, judge, self._instead_of_eeg(source, product, seen, operator)[0])
        else:
            units, instead = self._instead_of_bold(source, product, operator)
            told = told_by_bold(net, seen, judge, units, instead[0])
        maps = [
            _on_units_of(source, each, side, self.effects(each.run, product, side, operator).evidence)
            for each in self.others(source, side)
        ]
        return curves(told, np.mean(maps, axis=0), stream(self.settings.seed, "orders", source.run.name))

    def _judge(self, source: Source, product: Product, side: str, operator: str) -> tuple[MaskedNet, Judge, Seen]:
        run, net, target, seed = source.run, self.nets[product], TARGETS[product, side], self.settings.seed
        seen, decoder = self.seen[run.name, product], net.decoder(target)
        if operator == RANDOM:
            decoder = with_random_weights(decoder, stream(seed, "weights", product, run.name))
        # The same turns for all runs of a film and all operators: see ``findings``.
        turns = self._turns(run.film, product)
        return net, Judge(decoder, seen.recorded[target], turns), seen

    def _turns(self, film: str, product: Product) -> NDArray[np.int64]:
        runs = [self.seen[source.run.name, product] for source in self.sources if source.run.film == film]
        shortest = min(runs, key=lambda seen: seen.n_volumes)
        rng = stream(self.settings.seed, "turns", film)
        return shifts(shortest.n_volumes, shortest.tr_s, self.settings.turns, rng)

    def _instead_of_eeg(self, source: Source, product: Product, seen: Seen, operator: str) -> list[Singles]:
        rng = stream(self.settings.seed, "instead of EEG", source.run.name, operator)
        if operator == "surrogate":
            return surrogates(seen.power, rng, _DRAWS[EEG])
        if operator == "donor":
            donors = [each.power for each in self._others(source, product)]
            return donated(donors, len(seen.power), round(LEAST_SHIFT_S / HOP_S), rng, _DRAWS[EEG])
        return [np.broadcast_to(self.nets[product].token(EEG), seen.power.shape)]

    def _instead_of_bold(self, source: Source, product: Product, operator: str) -> tuple[Units, list[Singles]]:
        rng = stream(self.settings.seed, "instead of BOLD", source.run.name, operator)
        net, seen, parcel = self.nets[product], self.seen[source.run.name, product], source.parcel
        volumes = np.searchsorted(source.run.hops, seen.hops)
        courses = source.courses[:, volumes] / net.unit("bold")[parcel, np.newaxis]
        units = Units(parcel, source.share, courses.astype(np.float32))
        if operator == "surrogate":
            return units, [each.T for each in surrogates(units.courses.T, rng, _DRAWS[BOLD])]
        if operator == "donor":
            # What the other's parcel shows stands for each of its voxels.
            token = net.token(BOLD)
            donors = [
                np.where(np.isfinite(each.recorded[BOLD]), each.recorded[BOLD], token)
                for each in self._others(source, product)
            ]
            least = int(np.ceil(LEAST_SHIFT_S / seen.tr_s))
            drawn = donated(donors, seen.n_volumes, least, rng, _DRAWS[BOLD])
            return units, [each.T[parcel] for each in drawn]
        return units, [np.broadcast_to(net.token(BOLD)[parcel, np.newaxis], units.courses.shape)]

    def _others(self, source: Source, product: Product) -> list[Seen]:
        return [self.seen[other.run.name, product] for other in self.sources if other.run.subject != source.run.subject]


def film_hops(run: Run, n_hops: int) -> NDArray[np.int64]:
    """Of each hop of a run, how many there were since the film began: since the first volume did."""
    return np.arange(n_hops) - int(run.hops[0]) + round(run.late_s / HOP_S)


def _on_units_of(source: Source, other: Source, side: str, values: Singles) -> Floats:
    """Another run's values on the units of this one; zero where the other has none."""
    if side == BOLD:
        own, theirs = source.units, other.units
    else:
        own, theirs = (film_hops(each.run, len(each.run.power)) for each in (source, other))
    found = np.zeros(len(own))
    _, here, there = np.intersect1d(own, theirs, return_indices=True)
    found[here] = values[there]
    return found


def _together(parts: Sequence[Effects]) -> Effects:
    """Of all units."""
    return Effects(
        np.concatenate([part.evidence for part in parts]),
        np.concatenate([part.chance for part in parts], axis=1),
        np.concatenate([part.change for part in parts]),
        np.concatenate([part.on for part in parts]),
    )


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    fresh.replace(path)


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """None where it is not there, or was left half-way."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile):
        return None


def _known(path: Path) -> dict[str, NDArray[Any]]:
    arrays = _read(path)
    assert arrays is not None
    return arrays
