"""Small recordings for tests, in the formats that a replay reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mne
import numpy as np
import scipy.io
from numpy.typing import NDArray


def counts(n_channels: int, n_samples: int) -> NDArray[np.float64]:
    """What channels of voltage hold, ``(n_channels, n_samples)``: the sample's number plus 1000 times the channel's."""
    return np.arange(n_samples) + 1000.0 * np.arange(n_channels)[:, np.newaxis]


def write_fif(
    path: Path,
    *,
    rate_hz: float = 200.0,
    duration_s: float = 0.5,
    types: Sequence[str] = ("eeg", "eeg", "eog", "stim"),
    names: Sequence[str] = (),
    first_sample: int = 0,
    measured: bool = True,
    annotations: Sequence[tuple[float, float, str]] = (),
    **save: Any,
) -> Path:
    """Voltages count in microvolts; a stim channel holds the number 5."""
    labels = list(names) or [f"{kind}{n}" for n, kind in enumerate(types)]
    info = mne.create_info(labels, rate_hz, list(types), verbose="error")
    data = 1e-6 * counts(len(types), round(duration_s * rate_hz))
    data[[kind == "stim" for kind in types]] = 5.0
    raw = mne.io.RawArray(data, info, first_samp=first_sample, verbose="error")
    if measured:
        raw.set_meas_date(datetime(2024, 5, 6, tzinfo=UTC))
    raw.set_annotations(mne.Annotations(*zip(*annotations, strict=True)) if annotations else None)
    raw.save(path, fmt="double", overwrite=True, verbose="error", **save)
    return path


def with_directory(fif: bytes) -> bytes:
    """A .fif as acquisition systems close it: a directory of all tags at the end, and a pointer to it at the start."""
    tag = struct.Struct(">4i")
    content, entries, position = bytearray(fif), [], 0
    while (fields := tag.unpack_from(content, position))[3] >= 0:
        kind, value, size, _ = fields
        if kind == 101:  # FIFF_DIR_POINTER
            pointer = position + tag.size
        entries.append(tag.pack(kind, value, size, position))
        position += tag.size + size
    struct.pack_into(">i", content, pointer, position)
    entries.append(tag.pack(102, 32, tag.size * (len(entries) + 1), position))  # FIFF_DIR
    return bytes(content[:position]) + tag.pack(102, 32, tag.size * len(entries), -1) + b"".join(entries)


def write_vhdr(path: Path, data: NDArray[np.float64], rate_hz: float) -> Path:
    """BrainVision: ``(n_channels, n_samples)`` in microvolts, a stimulus at sample 10."""
    channels = "\n".join(f"Ch{n}=eeg{n},,1,µV" for n in range(1, len(data) + 1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(data)}\nSamplingInterval={1e6 / rate_hz}\n\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{channels}\n",
        encoding="utf-8",
    )
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\n\n[Marker Infos]\nMk1=Stimulus,S  1,11,1,0\n",
        encoding="utf-8",
    )
    path.with_suffix(".eeg").write_bytes(data.T.astype("<f4").tobytes())
    return path


def write_edf(path: Path, data: NDArray[np.float64], rate_hz: int) -> Path:
    """EDF: ``(n_channels, n_samples)`` of whole microvolts, whole seconds."""
    n_channels, n_records = len(data), data.shape[1] // rate_hz

    def column(width: int, *values: object) -> str:
        return "".join(f"{value!s:<{width}}" for value in values)

    header = (
        column(8, 0) + column(80, "X X X X", "Startdate X X X X") + column(8, "06.05.24", "12.00.00")
        + column(8, 256 * (n_channels + 1)) + column(44, "") + column(8, n_records, 1) + column(4, n_channels)
        + column(16, *(f"EEG {n}" for n in range(n_channels))) + column(80, *[""] * n_channels)
        + column(8, *["uV"] * n_channels, *[-32768] * n_channels, *[32767] * n_channels)
        + column(8, *[-32768] * n_channels, *[32767] * n_channels) + column(80, *[""] * n_channels)
        + column(8, *[rate_hz] * n_channels) + column(32, *[""] * n_channels)
    )  # fmt: skip
    records = data.reshape(n_channels, n_records, rate_hz).swapaxes(0, 1)
    path.write_bytes(header.encode("ascii") + records.astype("<i2").tobytes())
    return path


def write_set(path: Path, data: NDArray[np.float64], rate_hz: float) -> Path:
    """EEGLAB: ``(n_channels, n_samples)`` in microvolts, all in one file."""
    labels = np.array([(f"eeg{n}",) for n in range(len(data))], dtype=[("labels", object)])
    fields = {"setname": "small", "nbchan": len(data), "trials": 1, "pnts": data.shape[1], "srate": rate_hz}
    fields |= {
        "xmin": 0.0,
        "xmax": (data.shape[1] - 1) / rate_hz,
        "data": data,
        "chanlocs": labels,
        "event": [],
        "epoch": [],
    }
    scipy.io.savemat(path, {"EEG": fields}, appendmat=False)
    return path


@dataclass(frozen=True)
class XdfStream:
    """A stream to write: ``data`` is ``(n_samples, n_channels)``, or a list of labels."""

    name: str
    type: str
    rate_hz: float
    data: NDArray[np.float32] | list[str]
    times: NDArray[np.float64]
    desc: str = ""
    closed: bool = True


def write_xdf(path: Path, streams: Sequence[XdfStream]) -> Path:
    """XDF 1.0: header and samples of each stream, and its footer where the recorder closed it."""
    content = b"XDF:" + _chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    for number, stream in enumerate(streams, 1):
        is_text = isinstance(stream.data, list)
        header = (
            f"<?xml version='1.0'?><info><name>{stream.name}</name><type>{stream.type}</type>"
            f"<channel_count>{1 if is_text else np.shape(stream.data)[1]}</channel_count>"
            f"<nominal_srate>{stream.rate_hz}</nominal_srate><source_id>{number}</source_id>"
            f"<channel_format>{'string' if is_text else 'float32'}</channel_format><desc>{stream.desc}</desc></info>"
        )
        samples = b"".join(
            b"\x08"
            + struct.pack("<d", time)
            + (_sized(row.encode()) if isinstance(row, str) else row.astype("<f4").tobytes())
            for time, row in zip(stream.times, stream.data, strict=True)
        )
        stream_id = struct.pack("<I", number)
        content += _chunk(2, stream_id + header.encode())
        content += _chunk(3, stream_id + b"\x04" + struct.pack("<I", len(stream.times)) + samples)
        if stream.closed:
            footer = f"<?xml version='1.0'?><info><sample_count>{len(stream.times)}</sample_count></info>"
            content += _chunk(6, stream_id + footer.encode())
    path.write_bytes(content)
    return path


def _sized(content: bytes) -> bytes:
    return b"\x04" + struct.pack("<I", len(content)) + content


def _chunk(tag: int, content: bytes) -> bytes:
    return _sized(struct.pack("<H", tag) + content)
