"""Mask every moment of EEG and every part of the brain of some runs, in both nets; each piece is kept in a file."""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS
from cortexcast_training.masking.checks import Curves, curves, told_by_bold, told_by_eeg
from cortexcast_training.masking.effects import Effects, Judge, Units, mask_bold, mask_eeg
from cortexcast_training.masking.findings import LEAST_SHIFT_S, Turns, turns
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

_SAME_TR_S = 0.01
"""As well as hops tell it."""

LEAST_CHANGE, MOST_CHANGED = 1e-4, 20
"""Of each unit all outputs are kept that change by so many nats, and so many that change most: voxels do little."""


class ExplainError(Exception):
    """Runs and nets do not go together. The message says why and what to do."""


class ExplainSettings(Strict):
    """How masking is done and judged."""

    turns: PositiveInt = Field(200, ge=20)
    """How often what was recorded is turned in time, to tell chance; fewer where a run is short."""
    span_s: PositiveFloat = 2.0
    """Of EEG that a timestamp's evidence is the mean of: single hops are too short to tell."""
    level: float = Field(0.05, gt=0, lt=1)
    """Of a report finding anything where there is nothing; and the rate of false discoveries in each map."""
    seed: NonNegativeInt = 0


@dataclass(frozen=True)
class Kept:
    """What masking did, as of ``effects.Effects``, and which outputs it changed.

    Attributes:
        evidence: ``(n_units,)``.
        chance: ``(n_shifts, n_units)``.
        change: ``(n_units,)``.
        pairs: ``(n_pairs, 2)``, the numbers of a unit and of an output.
        by: ``(n_pairs,)``, how much the one changes the other.
    """

    evidence: Singles
    chance: Singles
    change: Singles
    pairs: NDArray[np.int32]
    by: Singles


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

    def units_of(self, side: str) -> NDArray[np.int64]:
        """What is masked on a side, by numbers that all runs share: of EEG, hops since the film began."""
        return self.units if side == BOLD else film_hops(self.run)


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
        ExplainError: there are not two subjects, they have nothing in common, or nets have other parcels.
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
        if not len(functools.reduce(np.intersect1d, [source.units for source in sources])):
            raise ExplainError("no part of the brain was scanned in all runs: look at their masks")
        self.sources, self.nets, self.settings, self._work = list(sources), dict(nets), settings, work
        self.seen = {
            (source.run.name, product): see(source.run, net) for source in sources for product, net in nets.items()
        }
        for film in sorted({source.run.film for source in sources}):
            self._align(film)

    def _align(self, film: str) -> None:
        """Keep the volumes that all runs of a film have, so that what they owe to the film turns with all of them.

        Raises:
            ExplainError: runs have different TRs, or too few volumes to tell chance by.
        """
        runs = [source.run for source in self.sources if source.run.film == film]
        if np.ptp([run.tr_s for run in runs]) > _SAME_TR_S:
            raise ExplainError(f"runs of {film} have different TRs: explain them apart, or call the films otherwise")
        for product in self.nets:
            of_runs = [self.seen[run.name, product] for run in runs]
            common = functools.reduce(np.intersect1d, [seen.volumes for seen in of_runs])
            for run, seen in zip(runs, of_runs, strict=True):
                self.seen[run.name, product] = seen.only(common)
            n_turns = len(self.turns(film, product).volumes) if len(common) else 0
            # So many must be possible, or nothing could be rarer than the level.
            need = math.ceil(1 / self.settings.level)
            if n_turns < need:
                raise ExplainError(
                    f"runs of {film} have {len(common)} volumes that count in all of them, which can be turned in time "
                    f"in {n_turns} ways: chance needs {need}, so give longer runs, or more turns"
                )

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

    def effects(self, run: Run, product: Product, side: str, operator: str) -> Kept:
        """What masking did, once it is done."""
        return Kept(**_known(self._path(run, product, side, operator)))

    def curves(self, run: Run, product: Product, side: str, operator: str) -> Curves:
        """Likewise."""
        return Curves(**_known(self._path(run, product, side, operator, of_curves=True)))

    def turns(self, film: str, product: Product) -> Turns:
        """By how much all runs of a film are turned."""
        seen = self._seen_of(film, product)
        return turns(seen.n_volumes, seen.tr_s, self.settings.turns, stream(self.settings.seed, "turns", film))

    def n_volumes(self, film: str, product: Product) -> int:
        """That count in all runs of a film."""
        return self._seen_of(film, product).n_volumes

    def _seen_of(self, film: str, product: Product) -> Seen:
        return next(self.seen[source.run.name, product] for source in self.sources if source.run.film == film)

    def _path(self, run: Run, product: str, side: str, operator: str, *, of_curves: bool = False) -> Path:
        return self._work / f"{run.name}_{product}_{side}_{operator}{'_curves' * of_curves}"

    def _effects(self, source: Source, product: Product, side: str, operator: str) -> Kept:
        net, judge, seen = self._judge(source, product, side, operator)
        with_outputs = operator == "token"
        if side == EEG:
            instead = self._instead_of_eeg(source, product, seen, operator)
            return _kept([mask_eeg(net, seen, judge, instead, with_outputs=with_outputs)])
        units, instead = self._instead_of_bold(source, product, operator)
        return _kept(mask_bold(net, seen, judge, units, instead, with_outputs=with_outputs))

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
        return curves(told, np.mean(maps, axis=0))

    def _judge(self, source: Source, product: Product, side: str, operator: str) -> tuple[MaskedNet, Judge, Seen]:
        run, net, target = source.run, self.nets[product], TARGETS[product, side]
        if operator == RANDOM:
            # Another one for each run: one alone would show what it happens to make of what all runs share.
            net = net.with_random_weights(stream(self.settings.seed, "weights", product, run.name))
        seen = self.seen[run.name, product]
        # The same turns for all runs of a film and all operators: see ``findings``.
        return net, Judge(net.decoder(target), seen.recorded[target], self.turns(run.film, product).volumes), seen

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
        courses = source.courses[:, seen.volumes] / net.unit("bold")[parcel, np.newaxis]
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


def film_hops(run: Run) -> NDArray[np.int64]:
    """Of each hop of a run, how many there were since the film began: since the first volume did."""
    return np.arange(len(run.power)) - int(run.hops[0]) + round(run.late_s / HOP_S)


def _on_units_of(source: Source, other: Source, side: str, values: Singles) -> Floats:
    """Another run's values on the units of this one; zero where the other has none."""
    own, theirs = source.units_of(side), other.units_of(side)
    found = np.zeros(len(own))
    _, here, there = np.intersect1d(own, theirs, return_indices=True)
    found[here] = values[there]
    return found


def _kept(parts: Iterable[Effects]) -> Kept:
    """Of all units; the outputs of many would not fit into memory."""
    kept, n_units = [], 0
    for part in parts:
        nth = max(0, part.on.shape[1] - MOST_CHANGED)
        most = np.partition(part.on, nth, axis=1)[:, nth : nth + 1] if part.on.size else part.on
        above = np.argwhere((part.on >= np.minimum(LEAST_CHANGE, most)) & (part.on > 0))
        pairs = (above + np.array([n_units, 0])).astype(np.int32)
        kept.append(Kept(part.evidence, part.chance, part.change, pairs, part.on[tuple(above.T)]))
        n_units += len(part.evidence)
    return Kept(
        np.concatenate([part.evidence for part in kept]),
        np.concatenate([part.chance for part in kept], axis=1),
        np.concatenate([part.change for part in kept]),
        np.concatenate([part.pairs for part in kept]),
        np.concatenate([part.by for part in kept]),
    )


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """A folder of arrays, as a whole or not at all."""
    fresh = path.with_suffix(".new")
    for old in (path, fresh):
        shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(fresh / f"{name}.npy", array, allow_pickle=False)
    fresh.rename(path)


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """On disk until they are used: all voxels of many runs are more than memory holds. None where there are none."""
    try:
        return {each.stem: np.load(each, mmap_mode="r") for each in sorted(path.iterdir())}
    except (OSError, ValueError, EOFError):
        return None


def _known(path: Path) -> dict[str, NDArray[Any]]:
    arrays = _read(path)
    assert arrays is not None
    return arrays
