"""What was found as files: tables with what their columns mean, and maps in MNI space."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import HOP_S
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.eegfmri.vae import BOLD, EEG, STIMULUS
from cortexcast_training.masking.context import MOVED_MM, UNKNOWN, Context
from cortexcast_training.masking.explain import LEAST_CHANGE, MOST_CHANGED, TARGETS, Explainer, Source
from cortexcast_training.masking.results import Side
from cortexcast_training.simulated_dataset import write_json, write_table

Floats = NDArray[np.float64]


_MEANINGS: Mapping[str, str] = {
    "film_s": "time since the film began, in s: the end of the second of EEG that was masked",
    "label": "what was seen then",
    "event": "markers of the task in the EEG of any run in this quarter of a second",
    "outlying": "share of runs whose EEG is then stronger, over all electrodes and bands, than a brain's",
    "moved": f"share of runs whose head has moved by more than {MOVED_MM} mm since the volume before",
    "region": "number of the parcel or voxel, from zero on: one less than in the map of regions",
    "parcel": "name of the parcel",
    "network": "that the parcel belongs to",
    "area": "part of the brain",
    "x": "MNI coordinate in mm",
    "y": "MNI coordinate in mm",
    "z": "MNI coordinate in mm",
    "dimension": "of the space of what is seen, from one on",
    "change": "divergence of the prediction while the unit shows the token from that while it shows itself, in nats, "
    f"mean over these runs; listed are the {MOST_CHANGED} that a unit changes most, and all from {LEAST_CHANGE} on",
    "runs": "in how many runs it is listed",
    "q_in_both": "least rate of false discoveries, among all that both nets find, at which the unit is found",
    "found_in_both": "whether both nets find it",
    **{f"power_{band.replace(' ', '_')}": f"{band} power, mean over electrodes and runs, in SD" for band in BANDS},
}
_OF_PRODUCT = {
    "evidence": "how much likelier the unit makes what was recorded, in standard deviations of chance",
    "nats": "evidence above chance in nats a volume, mean over runs and operators",
    "nats_sd": "its standard deviation over runs",
    "p": "probability of being as high by chance, the greatest of three operators'",
    "q": "least rate of false discoveries in this map at which the unit is found",
    "found": "whether q is within the level of the report",
    "change": "how far predictions move when the unit shows the token, in nats, mean over runs",
}


def write_timestamps(path: Path, side: Side, known: Context) -> None:
    """A row for each hop."""
    bands = [f"power_{band.replace(' ', '_')}" for band in BANDS]
    columns = ["film_s", "label", "event", *bands, "outlying", "moved", *_columns(side)]
    of_eeg = np.column_stack([known.power, known.outlying, known.moved])
    rows = (
        [f"{time:.2f}", label, event, *(UNKNOWN if np.isnan(each) else f"{each:.3f}" for each in numbers), *values]
        for time, label, event, numbers, values in zip(
            (side.units * HOP_S).tolist(), known.labels, known.events, of_eeg, _values(side), strict=True
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


def write_run(folder: Path, source: Source, side: Side) -> None:
    """What was found in one run: evidence of each unit, in standard deviations of chance.

    Args:
        folder: of the report; the run has one of its subject and session in it.
        source: the run.
        side: timestamps of its film, or parts of the brain.
    """
    run = source.run
    sessions = [part for part in run.take.split("_") if part.startswith("ses-")]
    others = [part for part in run.take.split("_") if part and part not in sessions]
    what, unit = ("regions", "region") if side.film is None else ("timestamps", "film_s")
    where = Path(folder, run.subject, *sessions)
    where.mkdir(parents=True, exist_ok=True)
    name = "_".join([run.subject, *sessions, f"task-{run.film}", *others, what])
    units = side.units.tolist() if side.film is None else [f"{hop * HOP_S:.2f}" for hop in side.units.tolist()]
    evidence = np.column_stack([each.of_runs[run.name] for each in side.maps.values()])
    rows = ([number, *(f"{value:.4g}" for value in values)] for number, values in zip(units, evidence, strict=True))
    _write(where / f"{name}.tsv", [unit, *(f"evidence_{product}" for product in side.maps)], rows)


def write_changes(folder: Path, explainer: Explainer, film: str, of_film: Side, brain: Side) -> None:
    """Which outputs each unit changes, mean over the runs of a film: four tables."""
    for (product, side), target in TARGETS.items():
        if product in explainer.nets:
            what, units = ("timestamps", of_film.units) if side == EEG else ("regions", brain.units)
            name = f"task-{film}_model-{product}_desc-{what}_changes.tsv"
            columns, rows = _changes(explainer, film, product, side, target, units)
            lines = ["\t".join(row) for row in (columns, *rows)]
            # Without the time that gzip notes, so that the same changes are the same bytes.
            packed = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=6, mtime=0)
            (folder / f"{name}.gz").write_bytes(packed)
            _write_meanings(folder / name, columns)


def write_map(path: Path, image: Nifti1Image, units: NDArray[np.int64], values: Floats, meaning: str) -> None:
    """Values of units, where ``image`` has their numbers, from one on; zero elsewhere; and what they mean."""
    of_number = np.zeros(int(np.asarray(image.dataobj).max()) + 1, np.float32)
    of_number[units + 1] = values
    nibabel.save(Nifti1Image(of_number[np.asarray(image.dataobj)], image.affine), path)
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {"Description": meaning})


def _changes(
    explainer: Explainer, film: str, product: Product, side: str, target: str, units: NDArray[np.int64]
) -> tuple[list[str], Iterator[list[str]]]:
    sources = [source for source in explainer.sources if source.run.film == film]
    total: pd.DataFrame | None = None
    for source in sources:
        kept = explainer.effects(source.run, product, side, "token")
        unit, output = kept.pairs.T
        scanned = np.flatnonzero(np.isfinite(source.run.bold).all(axis=1))
        outputs = {BOLD: scanned, EEG: source.units_of(EEG), STIMULUS: 1 + np.arange(output.max(initial=0) + 1)}[target]
        pairs = pd.MultiIndex.from_arrays([source.units_of(side)[unit], outputs[output]])
        # One run after the other: all at once would not fit into memory.
        of_run = pd.DataFrame({"change": kept.by.astype(np.float64), "runs": 1.0}, index=pairs)
        total = of_run if total is None else total.add(of_run, fill_value=0.0)
    assert total is not None
    total = total[total.index.get_level_values(0).isin(units)]
    of_unit = "film_s" if side == EEG else "region"
    of_output = {BOLD: "parcel", EEG: "film_s", STIMULUS: "dimension"}[target]
    name: Mapping[str, Callable[[int], str]] = {
        "film_s": lambda hop: f"{hop * HOP_S:.2f}",
        "parcel": lambda number: parcels().names[number],
        "region": str,
        "dimension": str,
    }
    return [of_unit, of_output, "change", "runs"], (
        [name[of_unit](unit), name[of_output](output), f"{change / runs:.3g}", f"{runs:.0f}"]
        for (unit, output), change, runs in zip(
            total.index.tolist(), total["change"].tolist(), total["runs"].tolist(), strict=True
        )
    )


def meaning(what: str) -> str:
    """Of a column of a net's map."""
    return _OF_PRODUCT[what]


def _columns(side: Side) -> list[str]:
    both = ["q_in_both", "found_in_both"] if len(side.maps) > 1 else []
    return [f"{column}_{product}" for product in side.maps for column in _OF_PRODUCT] + both


def _values(side: Side) -> Iterator[list[str]]:
    for number, (q, both) in enumerate(zip(side.q_in_both, side.in_both, strict=True)):
        row: list[str] = []
        for each in side.maps.values():
            row += [f"{values[number]:.4g}" for values in (each.z, each.nats, each.nats_sd, each.p, each.q)]
            row += [_yes(each.found[number]), f"{each.change[number]:.4g}"]
        yield [*row, f"{q:.4g}", _yes(both)] if len(side.maps) > 1 else row


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
