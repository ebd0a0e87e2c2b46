"""The EEG stream of an .xdf file, its channels, and its markers by the sample they belong to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyxdf
from numpy.typing import NDArray

from cortexcast_server.lsl_metadata import OutletChannel

GAP_MARKER = "cortexcast/gap"
"""Marks the first sample after a break in the recording: a replay sends the samples without the break."""

Stream = dict[str, Any]  # as pyxdf gives it

logging.getLogger("pyxdf").setLevel(logging.ERROR)  # below that it tells what it repaired


class XdfError(Exception):
    """Why the file cannot be used; the message goes on after the file's name."""


@dataclass(frozen=True)
class XdfStream:
    """One EEG stream.

    Attributes:
        data: float32 ``(n_samples, n_channels)`` in the units that the stream declared.
        markers: onset in seconds of signal since the first sample, and label, in order.
    """

    rate_hz: float
    data: NDArray[np.float32]
    channels: tuple[OutletChannel, ...]
    markers: tuple[tuple[float, str], ...]


def read_xdf(path: Path) -> XdfStream:
    """Read the file's only EEG stream and the markers of all its string streams.

    Raises:
        XdfError: no EEG stream or several, or one that the recorder did not finish.
    """
    with path.open("rb") as file:
        streams, _ = pyxdf.load_xdf(file)
    eeg = _only_eeg(streams)
    if "footer" not in eeg:
        raise XdfError("is truncated: its end is missing; copy it again, or close the recorder before the copy")
    rate_hz = float(_text(eeg["info"], "nominal_srate"))
    data = np.ascontiguousarray(eeg["time_series"], dtype=np.float32)
    return XdfStream(rate_hz, data, _channels(eeg["info"]), tuple(_markers(streams, eeg, rate_hz)))


def _only_eeg(streams: list[Stream]) -> Stream:
    eeg = [stream for stream in streams if _is_eeg(stream["info"])]
    if len(eeg) == 1:
        return eeg[0]
    listed = ", ".join(f"{_text(s['info'], 'name')!r} ({_text(s['info'], 'type')})" for s in eeg or streams)
    if eeg:
        raise XdfError(f"has several EEG streams: {listed}; export the one that is meant to a file of its own")
    raise XdfError(f"has no stream of type EEG at a fixed rate, only {listed or 'nothing'}: choose another recording")


def _is_eeg(info: Stream) -> bool:
    return _text(info, "type").lower() == "eeg" and float(_text(info, "nominal_srate")) > 0


def _markers(streams: list[Stream], eeg: Stream, rate_hz: float) -> list[tuple[float, str]]:
    """Markers are placed by sample and not by time, since a replay knows no breaks and runs at the nominal rate."""
    stamps = eeg["time_stamps"]
    found = [(start / rate_hz, GAP_MARKER) for start, _ in eeg["info"]["segments"][1:]]
    for stream in streams:
        if _text(stream["info"], "channel_format") != "string" or not len(stamps):
            continue
        for time, values in zip(stream["time_stamps"], stream["time_series"], strict=True):
            if stamps[0] - 1 / rate_hz < time < stamps[-1] + 1 / rate_hz:
                sample = np.interp(time, stamps, np.arange(len(stamps)))
                found.append((float(sample) / rate_hz, str(values[0])))
    return sorted(found, key=lambda marker: marker[0])


def _channels(info: Stream) -> tuple[OutletChannel, ...]:
    listed = ((info["desc"][0] or {}).get("channels") or [None])[0] or {}
    declared = listed.get("channel", [])
    channels = []
    for number in range(int(_text(info, "channel_count"))):
        channel = declared[number] if number < len(declared) else {}
        channels.append(
            OutletChannel(
                name=_text(channel, "label") or f"channel {number + 1}",
                type=_text(channel, "type") or _text(info, "type"),
                unit=_text(channel, "unit"),
                location=_location((channel.get("location") or [None])[0] or {}),
            )
        )
    return tuple(channels)


def _location(element: Stream) -> tuple[float, ...]:
    try:
        x, y, z = (1e-3 * float(_text(element, axis)) for axis in "XYZ")
    except ValueError:
        return ()
    return (x, y, z)


def _text(element: Stream, key: str) -> str:
    """The text of an element's first child of that name; pyxdf gives each child as a list of strings or None."""
    return (element.get(key) or [""])[0] or ""
