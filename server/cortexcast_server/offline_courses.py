"""The engine without sockets, for products that come once a hop: tables, and of fMRI an image that any viewer opens.

Formats: tab-separated values; NIfTI-1, 4-D, whose voxels hold the change of their parcel's BOLD in percent.
"""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from cortexcast_client.wire import Flags
from cortexcast_models.bundle import Bundle, Infer
from cortexcast_models.manifest import Manifest
from cortexcast_server.engine import Engine
from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.offline import OutputError, frames
from cortexcast_server.recording import Recording

Floats = NDArray[np.float64]

MOST_VOLUMES = 32_767
"""That a NIfTI file can hold."""

_STEP_PERCENT = 1e-3
"""Of an image's numbers: 16 bits reach to 32 %, far beyond any BOLD."""


@dataclass(frozen=True)
class Courses:
    """What a model gives of a recording.

    Attributes:
        times: ``(n,)`` in s from the recording's first sample: what each estimate is of.
        values: ``(n, n_channels)`` in the channels' units; NaN where there is no estimate.
        std: likewise, standard deviations; None of a model that gives none.
        notes: what a person should know about them, a sentence each.
    """

    times: Floats
    values: Floats
    std: Floats | None
    notes: tuple[str, ...]


def courses(
    recording: Recording,
    manifest: Manifest,
    infer: Infer,
    unit: str | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Courses:
    """All estimates of a recording, those left out for which it has not EEG enough.

    Raises:
        SignalError: the EEG cannot be used.
    """
    engine = Engine(eeg_layout(recording.stream_info(), unit).signal, manifest, infer, with_eeg=False)
    # What lies ahead of an estimate must have been recorded: the engine fills it up at the end.
    end_s = recording.n_samples / recording.rate_hz - manifest.lookahead / manifest.rate_hz
    found = [frame for frame in frames(recording, engine, unit, progress) if 0 <= frame.t0 < end_s]
    nothing = np.full(len(manifest.channels), np.nan)
    known = [Flags.NO_SIGNAL not in frame.flags for frame in found]
    values = [frame.data[:, 0] if is_known else nothing for frame, is_known in zip(found, known, strict=True)]
    std = None
    if any(frame.std is not None for frame in found):
        std = np.array([nothing if frame.std is None else frame.std for frame in found], np.float64)
    notes = list(engine.notes)
    if not all(known):
        missing_s = (len(known) - sum(known)) / manifest.estimate_hz
        notes.append(f"no estimate for {missing_s:.1f} s in all")
    times = np.array([frame.t0 for frame in found], np.float64)
    return Courses(times, np.array(values, np.float64).reshape(-1, len(nothing)), std, tuple(notes))


def write_table(out: Path, times: Floats, names: Sequence[str], values: Floats) -> None:
    """Write ``(n, n_channels)`` values, a row for each time: seconds, then the channels; ``n/a`` where there is none.

    Raises:
        OutputError: the file cannot be written; one that was there is kept.
    """
    with _replacing(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["time", *names])
        for time, row in zip(times, values, strict=True):
            writer.writerow([f"{time:.3f}", *("n/a" if np.isnan(value) else f"{value:.6g}" for value in row)])


def write_volumes(out: Path, given: Courses, bundle: Bundle, tr_s: float) -> int:
    """Write parcels as a 4-D NIfTI in the space of the bundle's parcels: each volume the mean over ``tr_s``.

    Volumes without an estimate are zero, and so is what lies outside of all parcels.

    Args:
        out: ``.nii`` or ``.nii.gz``.
        given: of a bundle of fMRI.
        bundle: whose parcels they are.
        tr_s: from volume to volume, not less than a hop.

    Returns:
        How many volumes.

    Raises:
        OutputError: the file cannot be written; one that was there is kept.
    """
    assert bundle.manifest.parcels_file is not None
    parcels = nibabel.load(bundle.directory / bundle.manifest.parcels_file)
    labels = np.asarray(parcels.dataobj, np.int64)
    volumes = _binned(given, tr_s)
    header = Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((*labels.shape, len(volumes)))
    header.set_zooms((*parcels.header.get_zooms()[:3], tr_s))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(parcels.affine, "mni")
    header.set_qform(parcels.affine, "mni")
    header.set_slope_inter(_STEP_PERCENT, 0)
    header["descrip"] = b"BOLD, change in %, estimated by cortexcast"
    header["cal_max"], header["cal_min"] = 1.0, -1.0
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    numbers = np.round(np.nan_to_num(volumes) / _STEP_PERCENT).clip(-32767, 32767).astype(np.int16)
    with _replacing(out) as fresh, _opened(fresh, out) as file:
        file.write(header.binaryblock + bytes(4))
        for row in numbers:
            file.write(np.concatenate([[0], row]).astype(np.int16)[labels].tobytes(order="F"))
    return len(volumes)


def _binned(given: Courses, tr_s: float) -> Floats:
    """Means over ``tr_s`` each, ``(n_volumes, n_channels)``; NaN where none is known."""
    volume = np.floor(given.times / tr_s + 1e-6).astype(np.int64)
    n_volumes = int(volume.max(initial=-1)) + 1
    known = np.isfinite(given.values).all(axis=1)
    total = np.zeros((n_volumes, given.values.shape[1]))
    np.add.at(total, volume[known], given.values[known])
    count = np.bincount(volume[known], minlength=n_volumes)[:, np.newaxis]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A new file that takes the place of ``out`` when it is complete."""
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            fresh = Path(folder) / out.name
            yield fresh
            fresh.replace(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from None


@contextmanager
def _opened(path: Path, out: Path) -> Iterator[gzip.GzipFile]:
    if out.suffix == ".gz":
        # Without the time that gzip notes, so that the same estimate is the same bytes.
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            yield file
    else:
        with path.open("wb") as file:
            yield file  # type: ignore[misc]
