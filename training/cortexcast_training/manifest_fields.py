"""Entries of a manifest that every bundle of MEG has: the canonical montage, the helmet's channels, tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cortexcast_training.leadfield import CAP, electrode_positions, helmet, is_magnetometer


def montage() -> list[dict[str, Any]]:
    """The 70 electrodes: name and position in metres, head frame."""
    positions = electrode_positions()
    return [{"name": name, "position": positions[name].round(4).tolist()} for name in CAP]


def channels() -> list[dict[str, Any]]:
    """The 306 sensors."""
    return [_channel(*each) for each in zip(helmet()["chs"], is_magnetometer().tolist(), strict=True)]


def tensor(name: str, role: str, size: Mapping[str, int]) -> dict[str, Any]:
    """A float32 input or output of the graph; ``size`` by axis."""
    return {"name": name, "role": role, "dtype": "float32", "shape": list(size.values()), "axes": list(size)}


def state(name: str, of: str, size: Mapping[str, int]) -> dict[str, Any]:
    """What a graph carries from hop to hop, gaps included: an input, or the output that feeds it."""
    return {**tensor(name, "state", size), "state_of": of, "survives_gaps": True}


def _channel(channel: Mapping[str, Any], is_mag: bool) -> dict[str, Any]:
    return {
        "name": channel["ch_name"],
        "type": "mag" if is_mag else "grad",
        "unit": "T" if is_mag else "T/m",
        "location": channel["loc"].tolist(),
        "coil_type": int(channel["coil_type"]),
    }
