"""Prepared recordings: EEG and MEG at the model's rate in memory-mapped files, and the windows in them.

A folder holds one subfolder a recording: ``eeg.npy`` float32 ``(n, n_electrodes)`` in volts, as the server's montage
gives it; ``meg.npy`` float32 ``(n, n_sensors)`` in T and T/m in the virtual helmet; ``good.npy`` bool ``(n_hops,)``;
``events.npy``; ``recording.json``; of a simulation ``true_meg.npy``, the noise-free MEG of the brain alone; and where
the empty room was recorded, ``noise.npy``. Samples come first, so that a window is one stretch of the file.
"""

from __future__ import annotations

import errno
import json
import resource
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.whole_files import replacing_folder

Floats = NDArray[np.float32]

_DESCRIPTION = "recording.json"
_ARRAYS = ("eeg", "meg", "good", "events", "true_meg", "noise")
_OF_SAMPLES = ("eeg", "meg", "true_meg")


class WindowError(Exception):
    """Prepared recordings are missing, damaged or cannot be used together. The message says which and what to do."""


@dataclass(frozen=True)
class Prepared:
    """One recording, prepared.

    Attributes:
        subject, run: whose, and which.
        rate_hz: the model's.
        simulated: no brain was measured.
        hop: samples to which an entry of ``good`` belongs.
        eeg: ``(n, n_electrodes)`` in volts, average referenced.
        meg: ``(n, n_sensors)`` in T and T/m.
        good: ``(n // hop,)``: nothing in the hop was marked as bad or not finite.
        events: int64 ``(n_events, 2)``: sample and code. The signals are later than events by the filters' delay.
        true_meg: as ``meg``, but noise-free and of the brain alone; of a simulation.
        noise: ``(n_sensors, n_sensors)``, the covariance of what the helmet's sensors show of an empty room.
    """

    subject: str
    run: str
    rate_hz: float
    hop: int
    simulated: bool
    eeg: Floats
    meg: Floats
    good: NDArray[np.bool_]
    events: NDArray[np.int64]
    true_meg: Floats | None = None
    noise: NDArray[np.float64] | None = None

    def starts(self, n_hops: int) -> NDArray[np.int64]:
        """The first sample of every window of so many hops that is good throughout, at every hop."""
        bad_before = np.concatenate([[0], np.cumsum(~self.good)])
        first = np.arange(len(self.good) - n_hops + 1)
        return np.asarray(first[bad_before[first + n_hops] == bad_before[first]] * self.hop, np.int64)

    def stretches(self) -> list[slice]:
        """The uninterrupted good parts, in samples."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.good.astype(np.int8), [0]])))
        return [slice(int(begin) * self.hop, int(end) * self.hop) for begin, end in edges.reshape(-1, 2)]

    def part(self, begin_s: float, end_s: float) -> Self:
        """What lies between these times, from hop to hop."""
        first, last = (min(round(s * self.rate_hz / self.hop), len(self.good)) for s in (begin_s, end_s))
        samples = slice(first * self.hop, last * self.hop)
        inside = (self.events[:, 0] >= samples.start) & (self.events[:, 0] < samples.stop)
        return replace(
            self,
            eeg=self.eeg[samples],
            meg=self.meg[samples],
            good=self.good[first:last],
            events=self.events[inside] - np.array([samples.start, 0]),
            true_meg=None if self.true_meg is None else self.true_meg[samples],
        )

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.eeg) / self.rate_hz


def write_prepared(folder: Path, recording: Prepared, notes: Mapping[str, str] | None = None) -> Path:
    """Write a recording into its own subfolder, as a whole or not at all; an older one there is replaced.

    Args:
        folder: of all of them.
        recording: that one.
        notes: what is to be written beside it, by file name.

    Raises:
        WindowError: it cannot be written.
    """
    target = folder / f"{recording.subject}_{recording.run}"
    description = {
        "subject": recording.subject,
        "run": recording.run,
        "rate_hz": recording.rate_hz,
        "hop": recording.hop,
        "simulated": recording.simulated,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_folder(target) as fresh:
            for name in _ARRAYS:
                if (array := getattr(recording, name)) is not None:
                    np.save(fresh / f"{name}.npy", array)
            for name, note in (notes or {}).items():
                (fresh / name).write_text(note, encoding="utf-8")
            (fresh / _DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise WindowError(f"{target} cannot be written ({error}): is the disk full?") from None
    return target


def read_prepared(folder: Path) -> Prepared:
    """Open a recording; its arrays stay in the files until they are read.

    Raises:
        WindowError: something is missing, damaged, or does not fit together.
    """
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        arrays = {
            path.stem: np.load(path, mmap_mode="r" if path.stem in _OF_SAMPLES else None)
            for path in folder.glob("*.npy")
        }
        recording = Prepared(**description, **arrays)
    except (OSError, ValueError, TypeError, EOFError) as error:
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            advice = "more files are open than may be: ulimit -n raises that"
        else:
            advice = f"it is not a prepared recording ({error}): prepare it again"
        raise WindowError(f"{folder}: {advice}") from None
    n = len(recording.good) * recording.hop
    if any(arrays[name].ndim != 2 or len(arrays[name]) != n for name in _OF_SAMPLES if name in arrays):
        raise WindowError(f"{folder}: its arrays do not fit together: prepare it again")
    return recording


def read_all(folder: Path) -> list[Prepared]:
    """All prepared recordings of a folder, by subject and run.

    Raises:
        WindowError: there are none, or some differ in rate, hop or channels.
    """
    recordings = read_each(recording_folders(folder))
    kinds = {(r.rate_hz, r.hop, r.eeg.shape[1], r.meg.shape[1]) for r in recordings}
    if len(kinds) > 1:
        raise WindowError(
            f"the recordings in {folder} differ in rate, hop, electrodes or sensors ({sorted(kinds)}): "
            "prepare all of them alike"
        )
    return recordings


def read_each(folders: Sequence[Path]) -> list[Prepared]:
    """Open several recordings, each of which takes file descriptors as long as it is open.

    Raises:
        WindowError: see ``read_prepared``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + len(_OF_SAMPLES) * len(folders)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))
    return [read_prepared(each) for each in folders]


def recording_folders(folder: Path) -> list[Path]:
    """The subfolders of all prepared recordings, by subject and run.

    Raises:
        WindowError: there are none.
    """
    found = [path.parent for path in sorted(folder.glob(f"[!.]*/{_DESCRIPTION}"))]
    if not found:
        raise WindowError(
            f"{folder} holds no prepared recordings: 'cortexcast data prepare' makes them of a BIDS data set"
        )
    return found


class Windows:
    """The windows of several recordings, drawn by number.

    Args:
        recordings: alike in rate, hop and channels.
        n_hops: length of a window.

    Raises:
        WindowError: no recording has an uninterrupted stretch of that length.
    """

    def __init__(self, recordings: Sequence[Prepared], n_hops: int) -> None:
        self.recordings = recordings
        self._n_hops = n_hops
        self.n_samples = n_hops * recordings[0].hop
        starts = [recording.starts(n_hops) for recording in recordings]
        self._recording = np.repeat(np.arange(len(recordings)), [len(each) for each in starts])
        self._start = np.concatenate(starts)
        if not len(self._start):
            seconds = self.n_samples / recordings[0].rate_hz
            raise WindowError(f"no recording has {seconds:g} s without an interruption")

    def __len__(self) -> int:
        return len(self._start)

    def take(self, numbers: Iterable[int]) -> tuple[Floats, Floats]:
        """These windows: EEG ``(n, n_electrodes, n_samples)`` and MEG ``(n, n_sensors, n_samples)``, SI units."""
        eeg, meg = [], []
        for number in numbers:
            recording = self.recordings[self._recording[number]]
            samples = slice(self._start[number], self._start[number] + self.n_samples)
            eeg.append(recording.eeg[samples])
            meg.append(recording.meg[samples])
        return np.stack(eeg).swapaxes(1, 2), np.stack(meg).swapaxes(1, 2)

    def recording_of(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the recording in which each of these windows lies."""
        return np.asarray(self._recording[numbers], np.int64)

    def take_labels(self, numbers: Iterable[int], labels: Sequence[NDArray[np.int16]]) -> NDArray[np.int64]:
        """What of the recordings' labels, ``(n_hops,)`` each, lies in these windows: ``(n, n_hops)``."""
        taken = []
        for number in numbers:
            recording = self._recording[number]
            first = self._start[number] // self.recordings[recording].hop
            taken.append(labels[recording][first : first + self._n_hops])
        return np.stack(taken).astype(np.int64)
