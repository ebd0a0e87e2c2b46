"""Stream metadata as the XDF convention has it, read and written; and which channels of a stream are EEG.

https://github.com/sccn/xdf/wiki/EEG-Meta-Data: labels, types, units in words, locations X/Y/Z in millimetres, all three
or none. MNE-LSL reads its own element ``loc`` instead (the 12 numbers of FIFF, in metres), so both are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pylsl
from numpy.typing import NDArray

from cortexcast_server.signal import Channel, Signal, SignalError

OUTLET_SOURCE = "cortexcast-out:"
"""How the source_id of every outlet of a daemon begins: no daemon takes another's output for a headset."""

REPLAY_SOURCE = "cortexcast-replay:"
"""How the source_id of every replayed recording begins."""

ASSUMED_UNIT = "microvolts"
"""XDF's convention, for streams that declare no unit."""

_VOLTS = {
    "volts": 1.0, "volt": 1.0, "v": 1.0,
    "millivolts": 1e-3, "millivolt": 1e-3, "mv": 1e-3,
    "microvolts": 1e-6, "microvolt": 1e-6, "uv": 1e-6, "µv": 1e-6, "μv": 1e-6,
    "nanovolts": 1e-9, "nanovolt": 1e-9, "nv": 1e-9,
}  # fmt: skip
_FIFF_LOC = [f"{vector}{axis}" for vector in ("R0", "Ex", "Ey", "Ez") for axis in "xyz"]  # as MNE-LSL names them


@dataclass(frozen=True, slots=True)
class OutletChannel:
    """A channel to declare. ``location`` has FIFF's numbers in metres: 3 (a place), 12 (a coil), or none."""

    name: str
    type: str
    unit: str
    location: tuple[float, ...] = ()
    coil_type: int | None = None


@dataclass(frozen=True, slots=True)
class EegLayout:
    """The EEG channels of a stream: which rows they are and what turns their values into volts."""

    signal: Signal
    rows: NDArray[np.intp]
    volts_per_unit: NDArray[np.float64]

    def to_volts(self, samples: NDArray[np.generic]) -> NDArray[np.float32]:
        """Samples ``(n_samples, n_stream_channels)`` as they came, to EEG ``(n_channels, n_samples)`` in volts."""
        eeg = samples[:, self.rows].astype(np.float64) * self.volts_per_unit
        return np.ascontiguousarray(eeg.T, dtype=np.float32)


def volts_per(unit: str) -> float:
    """How many volts one ``unit`` is.

    Raises:
        SignalError: not a unit of voltage.
    """
    try:
        return _VOLTS[unit.strip().lower()]
    except KeyError:
        raise SignalError(
            f"unit {unit!r} is not a voltage: give volts, millivolts, microvolts or nanovolts, in the stream's "
            "metadata or with --unit"
        ) from None


def eeg_layout(info: pylsl.StreamInfo, unit: str | None = None) -> EegLayout:
    """The EEG in a stream.

    Args:
        info: the full info, with the description.
        unit: overrides what the stream declares.

    Raises:
        SignalError: a stream of strings or without a rate, one without EEG channels, or in a unit that is no voltage.
    """
    name = info.name()
    if info.channel_format() == pylsl.cf_string or info.nominal_srate() == pylsl.IRREGULAR_RATE:
        raise SignalError(
            f"stream {name!r} (type {info.type()!r}) has markers or no fixed rate: choose one with EEG at a fixed rate"
        )
    channels = read_channels(info)
    rows = [row for row, channel in enumerate(channels) if channel.type.lower() == "eeg"]
    if not rows:
        types = ", ".join(sorted({channel.type for channel in channels}))
        raise SignalError(
            f"stream {name!r} (type {info.type()!r}) has no EEG channels: its channels are of type {types}"
        )
    eeg = tuple(replace(channels[row], unit=unit or channels[row].unit or ASSUMED_UNIT) for row in rows)
    replayed = info.source_id().startswith(REPLAY_SOURCE)
    simulated = info.desc().child_value("simulated") == "true"
    return EegLayout(
        Signal(name, info.nominal_srate(), eeg, replayed, simulated),
        np.array(rows),
        np.array([volts_per(channel.unit) for channel in eeg]),
    )


def read_channels(info: pylsl.StreamInfo) -> list[Channel]:
    """Every channel of a stream with what its metadata say; undeclared types are the stream's own, names count up."""
    channels = []
    element = info.desc().child("channels").child("channel")
    for number in range(1, info.channel_count() + 1):
        channels.append(
            Channel(
                name=element.child_value("label") or element.child_value("name") or f"channel {number}",
                type=element.child_value("type") or info.type(),
                unit=element.child_value("unit"),
                position=_read_location(element.child("location")),
            )
        )
        element = element.next_sibling("channel")
    return channels


def make_info(
    name: str, stream_type: str, rate_hz: float, source_id: str, channels: Sequence[OutletChannel], **desc: str
) -> pylsl.StreamInfo:
    """The info of an outlet of float32 samples, with full channel metadata; ``desc`` are further elements."""
    info = pylsl.StreamInfo(name, stream_type, len(channels), rate_hz, pylsl.cf_float32, source_id)
    root = info.desc()
    for key, value in {"manufacturer": "cortexcast", **desc}.items():
        root.append_child_value(key, value)
    parent = root.append_child("channels")
    for channel in channels:
        element = parent.append_child("channel")
        element.append_child_value("label", channel.name)
        element.append_child_value("type", channel.type)
        element.append_child_value("unit", channel.unit)
        if channel.coil_type is not None:
            element.append_child_value("coil_type", str(channel.coil_type))
        if channel.location and np.isfinite(channel.location[:3]).all():
            _write_location(element, channel.location)
    return info


def replay_markers(source_id: str) -> str:
    """The source_id of the marker stream that belongs to a replayed recording's stream."""
    return f"{source_id}/markers"


def make_marker_info(name: str, source_id: str) -> pylsl.StreamInfo:
    """The info of an outlet of string markers."""
    info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id)
    info.desc().append_child_value("manufacturer", "cortexcast")
    return info


def _write_location(element: pylsl.XMLElement, location: tuple[float, ...]) -> None:
    millimetres = element.append_child("location")
    for axis, metres in zip("XYZ", location[:3], strict=True):
        millimetres.append_child_value(axis, f"{1e3 * metres:.3f}")
    fiff = element.append_child("loc")
    padded = (*location, *(float("nan"),) * (12 - len(location)))
    for key, number in zip(_FIFF_LOC, padded, strict=True):
        fiff.append_child_value(key, f"{number:.9g}")


def _read_location(element: pylsl.XMLElement) -> tuple[float, float, float] | None:
    try:
        x, y, z = (float(element.child_value(axis)) for axis in "XYZ")
    except ValueError:
        return None
    return (x, y, z)
