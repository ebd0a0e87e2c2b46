"""Recordings as sources: what a file holds, and exactly the samples that a replay of it sends.

.fif (also split), .set, .vhdr, .edf and .bdf are read by MNE, where the format allows block by block; .xdf by pyxdf,
which reads the whole file.
"""

from __future__ import annotations

import logging
import secrets
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pylsl
from mne.io.constants import FIFF
from numpy.typing import NDArray

from cortexcast_models.simulation import SIMULATED
from cortexcast_server.lsl_metadata import REPLAY_SOURCE, OutletChannel, make_info
from cortexcast_server.xdf import XdfError, read_xdf

_MNE_SUFFIXES = (".fif", ".set", ".vhdr", ".edf", ".bdf")
SUFFIXES = (*_MNE_SUFFIXES, ".xdf")
"""The formats that can be read, by the file's suffix."""

_SENSOR_TYPES = {"mag", "grad"}
_MEG_TYPES = _SENSOR_TYPES | {"ref_meg"}
_VOLTAGE_TYPES = {"eeg", "eog", "ecg", "emg", "bio", "seeg", "ecog", "dbs"}

_HARMLESS = ("This filename", "Data will be preloaded")  # a name that is not MNE's; .set with its data inside
_TRUNCATED = ("Invalid tag with only", "Number of records from the header does not match the file")
_FIF_START = 56  # bytes of the two tags that MNE reads before it looks whether there is more
_READ_S = 1.0
_log = logging.getLogger(__name__)
_mne_lock = threading.Lock()  # warning filters are the process's: one reader at a time may change them


Read = Callable[[int, int], NDArray[np.generic]]


class RecordingError(Exception):
    """The file cannot be replayed. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label at a time; ``onset_s`` is relative to the recording's first sample."""

    onset_s: float
    duration_s: float
    label: str


@dataclass(frozen=True)
class _Content:
    rate_hz: float
    n_samples: int
    channels: tuple[OutletChannel, ...]
    annotations: tuple[Annotation, ...]
    samples: Read
    """Samples ``start`` to ``stop``, ``(n_samples, n_channels)``."""
    meg_names: tuple[str, ...] = ()
    meg: Read = lambda start, stop: np.empty((stop - start, 0))
    """Likewise, of the channels of MEG."""
    simulated: bool = False


class Recording:
    """An EEG recording on disk.

    Args:
        path: the recording; its first file, where it is split.
        name: of the replayed stream; the file's by default.

    Attributes:
        source_id: that of the stream that a replay announces; no other recording that is opened has it.
        channels: every channel but those of MEG: voltages in microvolts, others in their own units; those of .xdf as
            their stream declared them.
        annotations: in order of onset, all within the recording.
        simulated: its header says that it was simulated.
        meg_names: magnetometers and gradiometers, which a replay does not send; ``read_meg`` gives them.

    Raises:
        RecordingError: no such file, not a format that can be read, truncated or damaged, no EEG, no samples.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        self.name = name or self.path.stem
        # Two people may replay files of one name on one network, and a stream that has gone is announced for a while.
        self.source_id = f"{REPLAY_SOURCE}{secrets.token_hex(4)}:{self.name}"
        if not self.path.is_file():
            raise RecordingError(f"{path} does not exist: give the path of a recording")
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise RecordingError(
                f"{path} is of no known format: give a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file"
            )
        content = (_open_xdf if suffix == ".xdf" else _open_mne)(self.path)
        self.rate_hz = content.rate_hz
        self.n_samples = content.n_samples
        self.channels = content.channels
        self.annotations = content.annotations
        self.meg_names = content.meg_names
        self.simulated = content.simulated
        self._samples = content.samples
        self._meg = content.meg
        if not self.n_samples:
            raise RecordingError(f"{path} has no samples: choose another recording")
        # A file whose end is missing is found out here and not in the middle of a replay.
        self.read(self.n_samples - 1, self.n_samples)

    @property
    def duration_s(self) -> float:
        """The time that all samples take, in seconds."""
        return self.n_samples / self.rate_hz

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """The values that a replay sends for samples ``start`` to ``stop``: float32 ``(n_samples, n_channels)``.

        Raises:
            RecordingError: the file cannot be read there.
        """
        return self._read(self._samples, start, stop)

    def read_meg(self, start: int, stop: int) -> NDArray[np.float32]:
        """The MEG of samples ``start`` to ``stop`` in T and T/m: float32 ``(n_samples, n_sensors)``.

        Raises:
            RecordingError: the file cannot be read there.
        """
        return self._read(self._meg, start, stop)

    def _read(self, samples: Read, start: int, stop: int) -> NDArray[np.float32]:
        try:
            data = samples(start, stop)
        except Exception as error:  # whatever a reader trips over in a damaged file
            raise RecordingError(_damaged(self.path, error)) from error
        if len(data) != stop - start:
            raise RecordingError(_truncated(self.path))
        return np.ascontiguousarray(data, dtype=np.float32)

    def stream_info(self) -> pylsl.StreamInfo:
        """The stream that a replay announces, with full channel metadata."""
        simulated = str(self.simulated).lower()
        return make_info(self.name, "EEG", self.rate_hz, self.source_id, self.channels, simulated=simulated)


class ReadAhead:
    """A second of samples read at a time: a file of MEG is stored, and decoded, in blocks of about that length."""

    def __init__(self, read: Callable[[int, int], NDArray[np.float32]], recording: Recording) -> None:
        self._read = read
        self._ahead = round(_READ_S * recording.rate_hz)
        self._n_samples = recording.n_samples
        self._start = self._stop = 0
        self._block: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples ``start`` to ``stop``, ``(n_samples, n_channels)``."""
        if not self._start <= start <= stop <= self._stop:
            self._start, self._stop = start, min(max(stop, start + self._ahead), self._n_samples)
            self._block = self._read(self._start, self._stop)
        return self._block[start - self._start : stop - self._start]


def _open_mne(path: Path) -> _Content:
    raw = _read_raw(path)
    types = raw.get_channel_types()
    if "eeg" not in types:
        raise RecordingError(
            f"{path} has no EEG channels, only {', '.join(sorted(set(types)))}: choose a recording with EEG, or "
            "correct the channel types in the file"
        )
    rows = [row for row, kind in enumerate(types) if kind not in _MEG_TYPES]
    scales = np.array([1e6 if types[row] in _VOLTAGE_TYPES else 1.0 for row in rows])
    meg_rows = [row for row, kind in enumerate(types) if kind in _SENSOR_TYPES]

    def samples(start: int, stop: int) -> NDArray[np.generic]:
        data: NDArray[np.float64] = scales * raw.get_data(rows, start, stop, verbose="error").T
        return data

    def meg(start: int, stop: int) -> NDArray[np.generic]:
        data: NDArray[np.float64] = raw.get_data(meg_rows, start, stop, verbose="error").T
        return data

    channels = tuple(_channel(raw.info["chs"][row], types[row]) for row in rows)
    # MNE counts onsets from the start of the acquisition, which may be long before the first sample that was kept.
    onsets = raw.annotations.onset - raw.first_time
    annotations = tuple(
        Annotation(max(0.0, float(onset)), float(duration), str(label))
        for onset, duration, label in zip(onsets, raw.annotations.duration, raw.annotations.description, strict=True)
    )
    meg_names = tuple(raw.ch_names[row] for row in meg_rows)
    simulated = (raw.info["description"] or "").startswith(SIMULATED)
    return _Content(
        float(raw.info["sfreq"]), int(raw.n_times), channels, annotations, samples, meg_names, meg, simulated
    )


def _read_raw(path: Path) -> Any:
    # Active shielding distorts MEG alone, so a recording that needs MaxFilter for its MEG can replay its EEG.
    is_fif = path.suffix.lower() == ".fif"
    options = {"allow_maxshield": "yes"} if is_fif else {}
    if is_fif and path.stat().st_size < _FIF_START:
        raise RecordingError(_truncated(path))
    with _mne_lock, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for message in _TRUNCATED:  # MNE may only warn, and read on
            warnings.filterwarnings("error", message)
        try:
            raw = mne.io.read_raw(path, preload=False, verbose="warning", **options)
        except Exception as error:  # whatever MNE trips over in a damaged file
            if str(error).startswith(_TRUNCATED):
                raise RecordingError(_truncated(path)) from error
            raise RecordingError(_damaged(path, error)) from error
    for warning in told:
        if not str(warning.message).startswith(_HARMLESS):
            _log.warning("%s: %s", path, warning.message)
    return raw


def _channel(info: Any, kind: str) -> OutletChannel:
    place = info["loc"][:3]
    known = info["coord_frame"] == FIFF.FIFFV_COORD_HEAD and np.isfinite(place).all() and place.any()
    unit = "microvolts" if kind in _VOLTAGE_TYPES else ""
    return OutletChannel(info["ch_name"], kind.upper(), unit, tuple(map(float, place)) if known else ())


def _open_xdf(path: Path) -> _Content:
    try:
        stream = read_xdf(path)
    except XdfError as error:
        raise RecordingError(f"{path} {error}") from None
    except Exception as error:  # whatever pyxdf trips over in a damaged file
        raise RecordingError(_damaged(path, error)) from error
    annotations = tuple(Annotation(onset_s, 0.0, label) for onset_s, label in stream.markers)
    return _Content(
        stream.rate_hz, len(stream.data), stream.channels, annotations, lambda start, stop: stream.data[start:stop]
    )


def _truncated(path: Path) -> str:
    return f"{path} is truncated: its end is missing; copy or export it again"


def _damaged(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path} cannot be read, is it damaged? ({reason})"
