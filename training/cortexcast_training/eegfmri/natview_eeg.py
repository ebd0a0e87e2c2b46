"""Read EEG that was recorded in a scanner, and what its sidecars say, as NATVIEW lays them out.

Formats: the Brain Imaging Data Structure, EEG (Pernet et al., *Scientific Data* 6 (2019)); EEGLAB's ``.set`` and
BrainVision's core data format 1.0, read by MNE-Python.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from cortexcast_training.bids_files import CHANNEL_TYPES, sidecar, sidecar_fields
from cortexcast_training.eegfmri.electrode_places import PlaceError, places_by_direction
from cortexcast_training.eegfmri.simulator import Marker
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.leadfield import electrode_positions
from cortexcast_training.recording import RecordingError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_BLOCK = 2**18
"""Samples: MNE reads in float64, twice of what is kept."""


@dataclass(frozen=True)
class EegRecording:
    """EEG that was recorded in a scanner.

    Attributes:
        name: for people.
        eeg: ``(n_channels, n)`` in V, as it was recorded.
        rate_hz: of the samples.
        names: of the channels.
        types: ``eeg``, ``ecg`` or ``eog``, one for each channel; one at least is ``ecg``.
        volumes: ``(n_volumes,)``, the sample of each marker of a volume, from zero on.
        events: the other markers.
        places: where electrodes are, the reference too, ``(3,)`` in m, head frame.
        reference: the electrode that all others were recorded against.
    """

    name: str
    eeg: Singles
    rate_hz: float
    names: tuple[str, ...]
    types: tuple[str, ...]
    volumes: NDArray[np.int64]
    events: tuple[Marker, ...]
    places: dict[str, Floats]
    reference: str


def eeg_file(stem: Path) -> Path | None:
    """The file of EEG of one run, ``_eeg.set`` or else ``_eeg.vhdr``; None where there is neither."""
    return next((path for end in ("set", "vhdr") if (path := Path(f"{stem}_eeg.{end}")).is_file()), None)


def read_eeg(stem: Path) -> EegRecording:
    """The EEG of one run, from ``_eeg.set`` where there is one, else from ``_eeg.vhdr``.

    Types are those of ``_channels.tsv``, markers those of ``_events.tsv`` and places those of ``_electrodes.tsv``,
    where there are such files; else the types and places that names tell, and the markers of the recording.

    Args:
        stem: the files' path up to the suffix, such as ``eeg/sub-01_ses-01_task-dme_run-01``.

    Raises:
        RecordingError: there is no recording, it is damaged, sidecars contradict it, there is no ECG, or an
            electrode has no place.
    """
    path = eeg_file(stem)
    if path is None:
        raise RecordingError(f"there is neither {stem}_eeg.set nor {stem}_eeg.vhdr")
    fields = sidecar_fields(path)
    raw = _open(path)
    types = _types(_table(path, "channels"), raw, fields)
    if "ecg" not in types.values():
        raise RecordingError(
            f"{path} has no ECG, by which the pulse is removed: give its channel that type in channels.tsv"
        )
    markers = _markers(_table(path, "events"), raw)
    electrodes = [name for name, kind in types.items() if kind == "eeg"]
    reference = _reference(path, fields, electrodes)
    places = _places(path, electrodes, reference)
    return EegRecording(
        name=str(path),
        eeg=_signals(raw, list(types), path),
        rate_hz=float(raw.info["sfreq"]),
        names=tuple(types),
        types=tuple(types.values()),
        volumes=np.array([marker.sample for marker in markers if marker.code == VOLUME], np.int64),
        events=tuple(marker for marker in markers if marker.code != VOLUME),
        places=places,
        reference=reference,
    )


def _table(path: Path, suffix: str) -> Path:
    """The one that applies to a recording; where there is none, the one that would."""
    return sidecar(path, suffix, ".tsv") or path.with_name(f"{path.name.rpartition('_')[0]}_{suffix}.tsv")


def _open(path: Path) -> Any:
    read = mne.io.read_raw_eeglab if path.suffix == ".set" else mne.io.read_raw_brainvision
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a limited header, places in an unknown unit, the boundary at the beginning
        try:
            return read(path, verbose="error")
        except Exception as error:  # whatever MNE trips over in a damaged file
            raise _damaged(path, error) from error


def _signals(raw: Any, names: list[str], path: Path) -> Singles:
    signals = np.empty((len(names), raw.n_times), np.float32)
    try:
        for start in range(0, raw.n_times, _BLOCK):
            signals[:, start : start + _BLOCK] = raw.get_data(names, start, min(start + _BLOCK, raw.n_times))
    except Exception as error:  # likewise
        raise _damaged(path, error) from error
    return signals


def _damaged(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} cannot be read, fetch it anew: {(str(error).splitlines() or [''])[0] or type(error).__name__}"
    )


def _types(table: Path, raw: Any, fields: dict[str, Any]) -> dict[str, str]:
    """The type of each channel that is of use."""
    rate_hz = float(raw.info["sfreq"])
    rates = {_number(table, fields, "SamplingFrequency")} if "SamplingFrequency" in fields else set()
    types = {name: next((kind for kind in ("ECG", "EOG") if kind in name.upper()), "EEG") for name in raw.ch_names}
    if table.is_file():
        rows = _rows(table, "name", "type")
        types = {row["name"]: row["type"].upper() for row in rows}
        if types.keys() != set(raw.ch_names):
            differ = sorted(types.keys() ^ set(raw.ch_names))
            raise RecordingError(
                f"{table} and the recording have different channels, such as {differ[0]}: correct the table"
            )
        column = "sampling_frequency"
        rates |= {_number(table, row, column) for row in rows if row.get(column, "n/a") != "n/a"}
    for rate in rates:
        if rate != rate_hz:
            raise RecordingError(
                f"{table.name.removesuffix('_channels.tsv')} was recorded at {rate_hz:g} Hz by its header and at "
                f"{rate:g} Hz by its sidecars: correct the ones that are wrong"
            )
    return {name: CHANNEL_TYPES[types[name]] for name in raw.ch_names if types[name] in CHANNEL_TYPES}


def _markers(table: Path, raw: Any) -> list[Marker]:
    """All markers, ascending; the table counts samples from one on."""
    if table.is_file():
        rows = _rows(table, "sample")
        # NATVIEW's name for it, and BIDS's.
        code = next((name for name in ("marker_code", "value") if name in rows[0]), None)
        if code is None:
            raise RecordingError(f"{table} has neither a column marker_code nor value, which would tell R128")
        markers = [Marker(round(_number(table, row, "sample")) - 1, row.get("type", ""), row[code]) for row in rows]
    else:
        # BrainVision's are named by kind and code, EEGLAB's by code alone.
        named = [(each["onset"], *each["description"].rpartition("/")[::2]) for each in raw.annotations]
        rate_hz = raw.info["sfreq"]
        markers = [Marker(round(onset * rate_hz), kind, " ".join(code.split())) for onset, kind, code in named]
    return sorted(markers, key=lambda marker: marker.sample)


def _reference(path: Path, fields: dict[str, Any], electrodes: Collection[str]) -> str:
    """The electrode that all were recorded against: the average needs it back."""
    reference = fields.get("EEGReference")
    if not isinstance(reference, str):
        raise RecordingError(f"{path}: say in the sidecar's EEGReference against which electrode it was recorded")
    if reference in electrodes:
        raise RecordingError(
            f"{path}: {reference} is among the channels and cannot be their reference: correct EEGReference in the "
            "sidecar"
        )
    return reference


def _places(path: Path, names: list[str], reference: str) -> dict[str, Floats]:
    """Those of the electrodes, and of the reference."""
    # Of a cap, whatever it is worn for.
    beside = path.with_name(f"{path.name.split('_task-')[0]}_electrodes.tsv")
    table = sidecar(path, "electrodes", ".tsv") or beside
    standard = electrode_positions()
    found = {name: standard[name] for name in (*names, reference) if name in standard}
    if table.is_file():
        rows = [row for row in _rows(table, "name", "x", "y", "z") if row["name"] in names and row["x"] != "n/a"]
        seen = {row["name"]: np.array([_number(table, row, axis) for axis in "xyz"]) for row in rows}
        try:
            found |= places_by_direction(seen)
        except PlaceError as error:
            raise RecordingError(f"{table}: {error}") from None
    if missing := [name for name in (*names, reference) if name not in found]:
        raise RecordingError(
            f"{path}: nothing says where {', '.join(missing)} is: name electrodes, and EEGReference in the sidecar, by "
            "the 10-05 system"
        )
    return found


def _rows(table: Path, *columns: str) -> list[dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if not rows or (missing := [column for column in columns if column not in rows[0]]):
        raise RecordingError(f"{table} has no rows" if not rows else f"{table} has no column {missing[0]}")
    return rows


def _number(table: Path, row: Mapping[str, Any], column: str) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError):
        raise RecordingError(f"{table}: a {column} is {row[column]!r}, which is no number: correct it") from None
