"""The engine without sockets: a recording in, an MNE-readable file out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from cortexcast_client.wire import Frame
from cortexcast_models.bundle import Infer
from cortexcast_models.manifest import Manifest
from cortexcast_server.engine import MEG, Engine
from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.recording import Recording
from cortexcast_server.signal import Chunk

_CHUNK_S = 1.0


class OutputError(Exception):
    """The output file cannot be written there."""


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
) -> Engine:
    """Write the MEG estimate of a recording as ``_raw.fif``, with the recording's annotations.

    Returns:
        The engine, for its account.

    Raises:
        SignalError: the EEG cannot be used.
        OutputError: the file cannot be written.
    """
    engine = Engine(eeg_layout(recording.stream_info(), unit).signal, manifest, infer)
    n_samples = int((recording.n_samples - 1) / recording.rate_hz * manifest.rate_hz) + 1
    info = meg_info(manifest)
    # MNE writes float64 arrays from disk block by block, so an hour of MEG needs no gigabytes of memory.
    with tempfile.TemporaryFile(dir=out.parent) as scratch:
        shape = (len(manifest.channels), n_samples)
        data: NDArray[np.float64] = np.memmap(scratch, np.float64, "w+", shape=shape)
        for frame in frames(recording, engine, unit, progress):
            if frame.product == MEG:
                stop = min(frame.first_sample + frame.data.shape[1], n_samples)
                data[:, frame.first_sample : stop] = frame.data[:, : stop - frame.first_sample]
        raw = mne.io.RawArray(data, info, copy=None, verbose="error")
        raw.set_annotations(
            mne.Annotations(
                [annotation.onset_s for annotation in recording.annotations],
                [annotation.duration_s for annotation in recording.annotations],
                [annotation.label for annotation in recording.annotations],
            ),
            verbose="error",
        )
        try:
            raw.save(out, fmt="single", overwrite=True, verbose="error")
        except BaseException as error:
            out.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise OutputError(f"cannot write {out}: {error.strerror or error}") from None
            raise
    return engine


def check_output(out: Path, *, overwrite: bool) -> None:
    """Find out before the work whether its result can be kept.

    Raises:
        OutputError: a name that MNE would not read back, a folder that is missing, a file that is there already.
    """
    if not out.name.endswith("_raw.fif"):
        raise OutputError(f"{out}: name the output *_raw.fif, as MNE expects of raw data")
    if not out.parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder: make it first")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists: choose another name, or add --overwrite")


def meg_info(manifest: Manifest) -> mne.Info:
    """The bundle's output channels as MNE knows them."""
    channels = manifest.channels
    info = mne.create_info([c.name for c in channels], manifest.rate_hz, [c.type for c in channels], verbose="error")
    for entry, channel in zip(info["chs"], channels, strict=True):
        if channel.location:
            entry["loc"][:] = channel.location
        if channel.coil_type is not None:
            entry["coil_type"] = channel.coil_type
    return info
