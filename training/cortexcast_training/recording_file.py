"""Simultaneous EEG and MEG from .fif files: simulated ones, those of ds000117, or anyone's own."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
from mne.io.constants import FIFF
from numpy.typing import NDArray

from cortexcast_models.simulation import SIMULATED
from cortexcast_training.bids import EEG_NAMES, OTHER_NAMES, STIM_NAME
from cortexcast_training.bids_files import CHANNEL_TYPES, read_table, sidecar
from cortexcast_training.leadfield import helmet
from cortexcast_training.recording import Place, Recording, RecordingError, Signals, Singles
from cortexcast_training.simulated_dataset import truth_of

MIN_DURATION_S = 10.0

_TAG_BYTES = 16
"""Of a tag without its data: kind, type, bytes of data, position of the next one."""
_RESPONSES = 0xFF00
"""Bits of STI101 that are no pictures: the buttons of ds000117."""

Rows = Mapping[str, Mapping[str, str]]


def read_recording(path: Path, min_duration_s: float = MIN_DURATION_S) -> Recording:
    """Read a recording, and the truth where it is a simulated one.

    Channels are sorted by their types, as the ``*_channels.tsv`` of a BIDS data set gives them and else the file; where
    the table does not tell, four of the 74 that ds000117's files call EEG are no electrodes of the brain. What is bad
    by one of the two is bad. Events are those of the trigger channel, and where it has none those of ``*_events.tsv``.

    Args:
        path: a .fif with at least eight EEG electrodes and all of a Neuromag helmet's 306 sensors.
        min_duration_s: what is shorter is refused.

    Raises:
        RecordingError: there is no such recording in it. The message says what is missing.
    """
    raw = _open(path)
    rows = _channels(raw, path)
    types, bads = _types(raw, rows), _bads(raw, rows)
    eeg = [name for name in raw.ch_names if types[name] == "eeg"]
    if not eeg:
        raise RecordingError(f"{path} has no EEG channels: a simultaneous recording of EEG and MEG is needed")
    meg = _sensors(raw, path)
    duration_s = raw.n_times / raw.info["sfreq"]
    if duration_s < min_duration_s:
        raise RecordingError(f"{path} is too short: {duration_s:.1f} s, at least {min_duration_s:g} s are needed")
    if raw.info["dev_head_t"] is None:
        raise RecordingError(f"{path} does not say where the head was in the helmet (no dev_head_t)")

    artifacts = [name for name in raw.ch_names if types[name] in ("eog", "ecg") and name not in bads]
    truth = _truth(path, (len(meg), raw.n_times))
    try:
        events = _triggers(raw)
        raw.get_data(stop=1, verbose="error")
    except Exception as error:  # whatever MNE trips over in a damaged file
        raise RecordingError(_damaged(path, error)) from error
    if not len(events):
        events = _listed_events(sidecar(path, "events", ".tsv"), raw.info["sfreq"])
    subject, run = subject_and_run(path)
    return Recording(
        name=str(path),
        subject=subject,
        run=run,
        simulated=raw.info["description"] == SIMULATED,
        rate_hz=float(raw.info["sfreq"]),
        n_samples=raw.n_times,
        signals=_Signals(raw, path, (eeg, meg, artifacts), truth),
        electrodes=tuple(eeg),
        positions=tuple(_place(raw.info["chs"][raw.ch_names.index(name)]) for name in eeg),
        good_electrodes=np.array([name not in bads for name in eeg]),
        good_sensors=np.array([name not in bads for name in meg]),
        dev_head_t=np.asarray(raw.info["dev_head_t"]["trans"], np.float64),
        events=events,
        good=_good(raw),
    )


class _Signals:
    """Reads signals of a file; see ``Recording.signals``."""

    def __init__(self, raw: Any, path: Path, groups: Sequence[Sequence[str]], truth: Singles | None) -> None:
        self._raw, self._path, self._truth = raw, path, truth
        self._picks = [raw.ch_names.index(name) for group in groups for name in group]
        self._ends = np.cumsum([len(group) for group in groups])[:-1]

    def __call__(self, start: int, stop: int) -> Signals:
        try:
            # Of no samples MNE reads one.
            data = self._raw.get_data(self._picks, start, max(stop, start + 1), verbose="error")[:, : stop - start]
        except Exception as error:  # whatever MNE trips over in a damaged file
            raise RecordingError(_damaged(self._path, error)) from error
        eeg, meg, artifacts = np.split(data.astype(np.float32), self._ends)
        return Signals(eeg, meg, artifacts, None if self._truth is None else self._truth[:, start:stop])


@dataclass(frozen=True)
class EmptyRoom:
    """A recording without anybody in the helmet.

    Attributes:
        rate_hz: samples a second, of which there are
        n_samples: so many.
        meg: gives ``(306, n)`` in T and T/m, in the order of ``leadfield.helmet()``, from one sample to another.
        good_sensors: bool ``(306,)``, not marked as bad.
        good: bool ``(n_samples,)``: in no part that is marked as bad.
    """

    rate_hz: float
    n_samples: int
    meg: Callable[[int, int], Singles]
    good_sensors: NDArray[np.bool_]
    good: NDArray[np.bool_]


def read_empty_room(path: Path) -> EmptyRoom:
    """Open a recording of the empty room.

    Raises:
        RecordingError: it is no such recording of a Neuromag helmet.
    """
    raw = _open(path)
    meg = _sensors(raw, path)
    bads = _bads(raw, _channels(raw, path))
    signals = _Signals(raw, path, ([], meg, []), None)
    return EmptyRoom(
        float(raw.info["sfreq"]),
        raw.n_times,
        lambda start, stop: signals(start, stop).meg,
        np.array([name not in bads for name in meg]),
        _good(raw),
    )


def subject_and_run(path: Path) -> tuple[str, str]:
    """Whose recording a file is and which, by its name: ``sub-03`` and ``run-01``, or what stands for them."""
    return _entity(path, "sub") or path.name.split(".")[0], _entity(path, "run") or "run-01"


def _open(path: Path) -> Any:
    if not path.is_file():
        raise RecordingError(f"{path} is not there")
    if path.suffix.lower() != ".fif":
        raise RecordingError(f"{path} is no .fif file: convert the recording with MNE-Python first")
    try:
        _check_whole(path)
        # Quiet of names that are not MNE's, and of shielding whose distortion is small inside.
        raw = mne.io.read_raw_fif(path, allow_maxshield="yes", verbose="error")
        for part in raw.filenames[1:]:
            _check_whole(Path(part))
    except RecordingError:
        raise
    except Exception as error:  # whatever MNE trips over in a damaged file
        raise RecordingError(_damaged(path, error)) from error
    return raw


def _check_whole(path: Path) -> None:
    """Refuse a .fif whose tags break off before the last one, or before the directory of them that it points to.

    MNE tells only by a warning, which another thread of the process may have turned off.

    Format: the Functional Image File Format of Elekta Neuromag.
    """
    last = path.stat().st_size - _TAG_BYTES
    position = 0
    with path.open("rb") as file:
        while position <= last:
            file.seek(position)
            kind, _, n_bytes, following = struct.unpack(">iIIi", file.read(_TAG_BYTES))
            if position == 0 and kind != FIFF.FIFF_FILE_ID:
                return  # no .fif at all, as MNE says
            if kind == FIFF.FIFF_DIR_POINTER and (directory := int.from_bytes(file.read(4), signed=True)) > 0:
                position = directory
                break
            if following and following <= position:
                return  # it is the last one
            position = following or position + _TAG_BYTES + n_bytes
    if position > last:
        raise RecordingError(f"{path} is truncated: its end is missing; copy or export it again")


def _types(raw: Any, rows: Rows) -> dict[str, str]:
    """Each channel's type in MNE's words; ``misc`` of what the table calls anything but EEG, EOG and ECG."""
    types = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    if {name for name in raw.ch_names if name.startswith("EEG")} == set(EEG_NAMES):
        # The files of ds000117 call them EEG.
        types |= {name: CHANNEL_TYPES.get(kind, "misc") for kind, name in OTHER_NAMES.items()}
    told = {name: (row.get("type") or "n/a").upper() for name, row in rows.items()}
    return types | {name: CHANNEL_TYPES.get(kind, "misc") for name, kind in told.items() if kind != "N/A"}


def _sensors(raw: Any, path: Path) -> list[str]:
    """The file's names of the helmet's 306 sensors, in the helmet's order."""
    by_number = {_number(name): name for name in raw.ch_names if name.startswith("MEG")}
    if not by_number:
        raise RecordingError(f"{path} has no MEG channels: a simultaneous recording of EEG and MEG is needed")
    numbers = [_number(name) for name in helmet()["ch_names"]]
    missing = [number for number in numbers if number not in by_number]
    if missing:
        raise RecordingError(
            f"{path} has MEG, but not of a Neuromag helmet: {len(missing)} of its 306 sensors are missing, "
            f"such as MEG{missing[0]}"
        )
    return [by_number[number] for number in numbers]


def _number(name: str) -> str:
    """``0113`` of ``MEG0113`` and of ``MEG 0113``."""
    return name.removeprefix("MEG").strip()


def _triggers(raw: Any) -> NDArray[np.int64]:
    """Sample and code of all pictures in the trigger channel; none where there is no such channel."""
    if STIM_NAME not in raw.ch_names:
        return np.zeros((0, 2), np.int64)
    found = mne.find_events(
        raw, STIM_NAME, consecutive="increasing", mask=_RESPONSES, mask_type="not_and", min_duration=0.003,
        verbose="error",
    )  # fmt: skip
    return np.column_stack([found[:, 0] - raw.first_samp, found[:, 2]]).astype(np.int64)


def _listed_events(table: Path | None, rate_hz: float) -> NDArray[np.int64]:
    """Those of a table that have a number for a code."""
    events = []
    for line, row in enumerate(read_table(table), 2):
        code = row.get("trigger") or row.get("value") or ""
        if not re.fullmatch(r"\d+", code):
            continue
        try:
            events.append((round(float(row["onset"]) * rate_hz), int(code)))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise RecordingError(
                f"{table}, line {line}: the onset is {row.get('onset')!r}, which is no number of seconds: correct it"
            ) from None
    return np.array(events, np.int64).reshape(-1, 2)


def _good(raw: Any) -> NDArray[np.bool_]:
    good = np.ones(raw.n_times, bool)
    for annotation in raw.annotations:
        if annotation["description"].upper().startswith("BAD"):
            onset = (annotation["onset"] - raw.first_time) * raw.info["sfreq"]
            stop = onset + annotation["duration"] * raw.info["sfreq"]
            good[max(0, int(onset)) : max(0, int(np.ceil(stop)))] = False
    return good


def _place(channel: Any) -> Place | None:
    x, y, z = (float(value) for value in channel["loc"][:3])
    is_known = channel["coord_frame"] == FIFF.FIFFV_COORD_HEAD and np.isfinite((x, y, z)).all() and any((x, y, z))
    return (x, y, z) if is_known else None


def _bads(raw: Any, rows: Rows) -> set[str]:
    return {*raw.info["bads"], *(name for name, row in rows.items() if row.get("status") == "bad")}


def _channels(raw: Any, path: Path) -> Rows:
    """The rows of the recording's ``*_channels.tsv`` by the file's name of the channel: ``MEG 0113`` or ``MEG0113``."""
    names = {name.replace(" ", ""): name for name in raw.ch_names}
    rows = read_table(sidecar(path, "channels", ".tsv"))
    return {names[name]: row for row in rows if (name := (row.get("name") or "").replace(" ", "")) in names}


def _truth(path: Path, shape: tuple[int, int]) -> Singles | None:
    """The noise-free MEG of a simulated recording, mapped into memory."""
    truth = truth_of(path)
    if truth is None:
        return None
    data = np.load(truth, mmap_mode="r")
    if data.shape != shape:
        raise RecordingError(f"{truth} is not the truth of {path}: it has another length; simulate both anew")
    return np.asarray(data)


def _entity(path: Path, key: str) -> str:
    """Such as ``sub-01`` of a BIDS file name; empty where there is none."""
    match = re.search(rf"(?:^|_)({key}-[A-Za-z0-9]+)(?=_)", path.name)
    return match[1] if match else ""


def _damaged(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path} cannot be read, is it damaged? ({reason})"
