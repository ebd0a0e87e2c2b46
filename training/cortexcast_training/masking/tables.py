"""What was found as files: tables with what their columns mean, and maps in MNI space."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import SETTLE_HOPS
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import HOP_S, Run
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS
from cortexcast_training.masking.explain import TARGETS, Explainer, film_hops
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.masking.results import Side
from cortexcast_training.simulated_dataset import write_json, write_table

Floats = NDArray[np.float64]

LEAST_CHANGE = 1e-4
"""Nats, mean over runs: outputs that change by less are not listed."""

_OUTLYING = 4.0
"""Standard deviations, robust, of the power over all electrodes and bands: what is above is hardly of the brain."""

_MEANINGS: Mapping[str, str] = {
    "film_s": "time since the film began, in s: the end of the second of EEG that was masked",
    "label": "what was seen then",
    "outlying": "share of runs whose EEG is then stronger, over all electrodes and bands, than a brain's",
    "region": "number of the parcel, or of the voxel in the maps, from zero on",
    "parcel": "name of the parcel",
    "network": "that the parcel belongs to",
    "area": "part of the brain",
    "x": "MNI coordinate in mm",
    "y": "MNI coordinate in mm",
    "z": "MNI coordinate in mm",
    "dimension": "of the space of what is seen, from one on",
    "change": "divergence of the prediction without the masked unit from that with it, in nats, mean over runs",
    "found_in_both": "whether both nets find it",
    **{f"power_{band.replace(' ', '_')}": f"{band} power, mean over electrodes and runs, in SD" for band in BANDS},
}
_OF_PRODUCT = {
    "evidence": "how much likelier the unit makes what was recorded, in standard deviations of chance, mean over runs",
    "p": "probability of any unit being as high by chance, the greatest of three operators'",
    "found": "whether p is below the level of the report",
    "change": "how far predictions move when the unit is masked, in nats, mean over runs",
}


@dataclass(frozen=True)
class Context:
    """What is known of the timestamps of a film.

    Attributes:
        labels: what is seen at each; ``n/a`` where that is not known.
        power: ``(n, n_bands)``, in standard deviations, mean over electrodes and runs.
        outlying: ``(n,)``, the share of runs that are then outlying.
    """

    labels: list[str]
    power: Floats
    outlying: Floats


def context(side: Side, runs: Sequence[Run]) -> Context:
    """Of the runs of a film."""
    of_bands, outlying = [], []
    for run in runs:
        here = np.searchsorted(film_hops(run, len(run.power)), side.units)
        power = run.power[here].mean(axis=1, dtype=np.float64)
        # The first hops are of filters that settle.
        full = power[here >= SETTLE_HOPS]
        of_bands.append((power - full.mean(axis=0)) / full.std(axis=0))
        whole = power.mean(axis=1)
        spread = 1.4826 * np.median(np.abs(whole - np.median(whole)))
        outlying.append(whole - np.median(whole) > _OUTLYING * spread)
    return Context(_labels(side, runs), np.mean(of_bands, axis=0), np.mean(outlying, axis=0))


def _labels(side: Side, runs: Sequence[Run]) -> list[str]:
    run = next((run for run in runs if run.stimulus is not None), None)
    if run is None or run.stimulus is None:
        return ["n/a"] * len(side.units)
    begins = run.hops - run.hops[0]
    volume = np.searchsorted(begins, side.units, side="right") - 1
    during = (volume >= 0) & (side.units < begins[-1] + round(run.tr_s / HOP_S))
    shown = np.where(during, run.stimulus.shown[volume], -1)
    return [run.stimulus.labels[number] if number >= 0 else "n/a" for number in shown]


def write_timestamps(path: Path, side: Side, known: Context) -> None:
    """A row for each hop."""
    bands = [f"power_{band.replace(' ', '_')}" for band in BANDS]
    columns = ["film_s", "label", *bands, "outlying", *_columns(side)]
    times = (side.units * HOP_S).tolist()
    rows = (
        [f"{time:.2f}", label, *(f"{value:.3f}" for value in power), f"{share:.3f}", *values]
        for time, label, power, share, values in zip(
            times, known.labels, known.power, known.outlying, _values(side), strict=True
        )
    )
    _write(path, columns, rows)


def write_regions(path: Path, side: Side, parcel: NDArray[np.int64], places: Floats) -> None:
    """A row for each parcel or voxel.

    Args:
        path: of the table.
        side: of the brain.
        parcel: ``(n,)``, that each unit belongs to.
        places: ``(n, 3)`` in mm, MNI coordinates.
    """
    known = parcels()
    rows = (
        [unit, known.names[own], known.networks[own], known.regions[own], *(f"{axis:g}" for axis in place), *values]
        for unit, own, place, values in zip(side.units, parcel, places, _values(side), strict=True)
    )
    _write(path, ["region", "parcel", "network", "area", "x", "y", "z", *_columns(side)], rows)


def write_changes(folder: Path, explainer: Explainer, film: str) -> None:
    """Which outputs each unit changes, mean over the runs of a film: four tables."""
    runs = [source.run for source in explainer.sources if source.run.film == film]
    for (product, side), target in TARGETS.items():
        if product in explainer.nets:
            name = f"changes_{film}_{'timestamps' if side == EEG else 'regions'}_{product}.tsv"
            columns, rows = _changes(explainer, runs, product, side, target)
            lines = ["\t".join(row) for row in (columns, *rows)]
            # Without the time that gzip notes, so that the same changes are the same bytes.
            packed = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=6, mtime=0)
            (folder / f"{name}.gz").write_bytes(packed)
            _write_meanings(folder / name, columns)


def write_map(path: Path, image: Nifti1Image, units: NDArray[np.int64], values: Floats) -> None:
    """Values of units, where ``image`` has their numbers, from one on; zero elsewhere."""
    of_number = np.zeros(int(np.asarray(image.dataobj).max()) + 1, np.float32)
    of_number[units + 1] = values
    nibabel.save(Nifti1Image(of_number[np.asarray(image.dataobj)], image.affine), path)


def _changes(
    explainer: Explainer, runs: Sequence[Run], product: Product, side: str, target: str
) -> tuple[list[str], Iterator[list[str]]]:
    times = film_hops(runs[0], len(runs[0].power))
    for run in runs[1:]:
        times = np.intersect1d(times, film_hops(run, len(run.power)))
    # By the names of what has a time of its own, of what has none.
    of_unit = "film_s" if side == EEG else "parcel"
    of_output = {BOLD: "parcel", EEG: "film_s", STIMULUS: "dimension"}[target]
    total: Floats | float = 0.0
    for run in runs:
        on = explainer.effects(run, product, side, "token").on
        there = np.searchsorted(film_hops(run, len(run.power)), times)
        on = on[there] if of_unit == "film_s" else on
        on = on[:, there] if of_output == "film_s" else _of_all(on, run, target, explainer.nets[product])
        total = total + on / len(runs)
    changed = np.asarray(total)
    names = {
        "film_s": [f"{time:.2f}" for time in (times * HOP_S).tolist()],
        "parcel": list(parcels().names),
        "dimension": [str(number + 1) for number in range(changed.shape[1])],
    }
    pairs = np.argwhere(changed >= LEAST_CHANGE)
    columns = [of_unit, of_output, "change"]
    return columns, (
        [names[of_unit][unit], names[of_output][output], f"{changed[unit, output]:.3g}"] for unit, output in pairs
    )


def _of_all(on: NDArray[np.float32], run: Run, target: str, net: MaskedNet) -> NDArray[np.float32]:
    """With a column for each output, those that were not recorded among them."""
    if target != BOLD:
        return on
    known = np.isfinite(run.bold).all(axis=1)
    whole = np.zeros((len(on), net.n_parcels), np.float32)
    whole[:, known] = on
    return whole


def _columns(side: Side) -> list[str]:
    both = ["found_in_both"] if len(side.maps) > 1 else []
    return [f"{column}_{product}" for product in side.maps for column in _OF_PRODUCT] + both


def _values(side: Side) -> Iterator[list[str]]:
    for number, both in enumerate(side.in_both):
        row: list[str] = []
        for each in side.maps.values():
            row += [f"{each.z[number]:.4g}", f"{each.p[number]:.4g}", _yes(each.found[number])]
            row += [f"{each.change[number]:.4g}"]
        yield [*row, _yes(both)] if len(side.maps) > 1 else row


def _yes(value: np.bool_) -> str:
    return str(bool(value)).lower()


def _write(path: Path, columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    write_table(path, columns, rows)
    _write_meanings(path, columns)


def _write_meanings(path: Path, columns: Sequence[str]) -> None:
    """The data dictionary beside a table."""
    meanings = {}
    for column in columns:
        name, _, product = column.rpartition("_")
        if column in _MEANINGS:
            meanings[column] = _MEANINGS[column]
        else:
            meanings[column] = f"{_OF_PRODUCT[name]}; in the model of {product}"
    write_json(path.with_suffix(".json"), {name: {"Description": text} for name, text in meanings.items()})
