"""The engine without sockets: a recording in, an MNE-readable file out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from cortexcast_client.wire import Flags, Frame
from cortexcast_models.bundle import Infer
from cortexcast_models.manifest import Manifest, OutputChannel
from cortexcast_server.engine import MEG, Engine
from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.recording import Annotation, Recording
from cortexcast_server.signal import Chunk

NO_ESTIMATE = "BAD_no_estimate"
"""The annotation over a stretch without an estimate; MNE leaves out what is annotated as bad."""

_CHUNK_S = 1.0


class OutputError(Exception):
    """The output file cannot be written there."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``n_samples`` at ``rate_hz``, and what a person should know about them, a sentence each."""

    n_samples: int
    rate_hz: float
    notes: tuple[str, ...]


def frames(
    recording: Recording, engine: Engine, unit: str | None, progress: Callable[[int], object]
) -> Iterator[Frame]:
    """Every frame of a recording; time 0 is its first sample. The samples are those that a replay sends."""
    layout = eeg_layout(recording.stream_info(), unit)
    step = max(1, round(_CHUNK_S * recording.rate_hz))
    for start in range(0, recording.n_samples, step):
        stop = min(start + step, recording.n_samples)
        times = np.arange(start, stop) / recording.rate_hz
        yield from engine.push(Chunk(layout.to_volts(recording.read(start, stop)), times, received=float(times[0])))
        progress(stop - start)
    yield from engine.flush()


def estimate(
    recording: Recording,
    manifest: Manifest,
    infer: Infer,
    out: Path,
    unit: str | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Written:
    """Write the MEG estimate of a recording as ``_raw.fif``, with the recording's annotations.

    A stretch without an estimate is zero and annotated as ``BAD_no_estimate``.

    Raises:
        SignalError: the EEG cannot be used.
        OutputError: the file cannot be written; one that was there is kept.
    """
    engine = Engine(eeg_layout(recording.stream_info(), unit).signal, manifest, infer)
    n_samples = n_estimated(recording.n_samples, recording.rate_hz, manifest.rate_hz)
    # MNE writes float64 arrays from disk block by block, so an hour of MEG needs no gigabytes of memory.
    with tempfile.TemporaryFile(dir=out.parent) as scratch:
        shape = (len(manifest.channels), n_samples)
        data: NDArray[np.float64] = np.memmap(scratch, np.float64, "w+", shape=shape)
        meg = (frame for frame in frames(recording, engine, unit, progress) if frame.product == MEG)
        missing = place(meg, data, manifest.rate_hz)
        raw = mne.io.RawArray(data, meg_info(manifest), copy=None, verbose="error")
        annotations = [*recording.annotations, *missing]
        raw.set_annotations(
            mne.Annotations(
                [annotation.onset_s for annotation in annotations],
                [annotation.duration_s for annotation in annotations],
                [annotation.label for annotation in annotations],
            ),
            verbose="error",
        )
        save(raw, out)
    notes = engine.notes
    if missing:
        missing_s = sum(annotation.duration_s for annotation in missing)
        notes.append(f"no estimate for {missing_s:.1f} s in all: zero there, annotated as {NO_ESTIMATE}")
    return Written(n_samples, manifest.rate_hz, tuple(notes))


def n_estimated(n_samples: int, rate_hz: float, model_rate_hz: float) -> int:
    """The model's samples from a recording's first sample to its last, one at the very time of the last included."""
    # A ratio of integers: in floating point, 58 / 100 * 200 is less than 116.
    ratio = Fraction(model_rate_hz / rate_hz).limit_denominator(1_000_000)
    return floor((n_samples - 1) * ratio) + 1


def place(meg: Iterable[Frame], data: NDArray[np.float64], rate_hz: float) -> list[Annotation]:
    """Lay frames into ``data`` ``(n_channels, n_samples)``, zero so far and from time 0 on, each at its own time.

    Returns:
        The stretches that no frame covers, or only one without signal.
    """
    n_samples = data.shape[1]
    covered = np.zeros(n_samples, bool)
    for frame in meg:
        if Flags.NO_SIGNAL in frame.flags:
            continue
        first = round(frame.t0 * rate_hz)
        columns = np.arange(first, first + frame.data.shape[1])
        inside = (columns >= 0) & (columns < n_samples)
        data[:, columns[inside]] = frame.data[:, inside]
        covered[columns[inside]] = True
    missing = []
    for hole in np.ma.clump_unmasked(np.ma.array(covered, mask=covered)):  # type: ignore[no-untyped-call]
        start, stop = hole.start, hole.stop
        if stop - start == 1 and start > 0:
            # The engine's ratio of odd rates is a rounded one: after hours, two frames may lie a sample apart.
            data[:, start] = data[:, start - 1]
        else:
            missing.append(Annotation(start / rate_hz, (stop - start) / rate_hz, NO_ESTIMATE))
    return missing


def save(raw: mne.io.RawArray, out: Path, split_size: str = "2GB") -> None:
    """Save as a whole or not at all; what is longer than ``split_size`` in parts, as MNE does.

    Raises:
        OutputError: the file cannot be written; one that was there is kept.
    """
    try:
        # A folder and not a temporary name: each part has the name of the next one inside.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
            raw.save(Path(folder) / out.name, fmt="single", split_size=split_size, verbose="error")
            for part in sorted(Path(folder).iterdir(), key=lambda part: part.name == out.name):  # the first one last
                part.replace(out.with_name(part.name))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from None


_ENDINGS = {
    "meg": ("*_raw.fif, as MNE expects of raw data", ("_raw.fif",)),
    "fmri": ("*.nii.gz or *.nii", (".nii.gz", ".nii")),
    "stimulus": ("*.tsv", (".tsv",)),
    "table": ("*.tsv", (".tsv",)),
}
"""By what is written: names of files that readers take for it."""


def check_output(out: Path, source: Path, kind: str, *, overwrite: bool) -> None:
    """Find out before the work whether its result can be kept.

    Args:
        out: where to.
        source: the recording.
        kind: a product, or ``table``.
        overwrite: whether a file that is there already is replaced.

    Raises:
        OutputError: a name that no program would read, a folder that is missing, the recording itself, a file that is
            there already.
    """
    names, endings = _ENDINGS[kind]
    if not out.name.endswith(endings):
        raise OutputError(f"{out}: name the output {names}")
    if not out.parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder: make it first")
    if out.exists() and source.exists() and out.samefile(source):
        raise OutputError(f"{out} is the recording itself: choose another name for the output")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists: choose another name, or add --overwrite")


def meg_info(manifest: Manifest) -> mne.Info:
    """The bundle's output channels as MNE knows them."""
    channels = manifest.channels
    info = mne.create_info([c.name for c in channels], manifest.rate_hz, [c.type for c in channels], verbose="error")
    place_sensors(info, channels)
    return info


def place_sensors(info: mne.Info, sensors: Sequence[OutputChannel]) -> None:
    """Give the first channels the places and coils of these sensors."""
    for entry, sensor in zip(info["chs"], sensors, strict=False):
        entry["loc"][: len(sensor.location)] = sensor.location
        if sensor.coil_type is not None:
            entry["coil_type"] = sensor.coil_type
