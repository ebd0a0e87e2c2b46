"""Entries of manifests: what a bundle says of itself, the canonical montage, the helmet's channels, tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cortexcast_models.manifest import Metric
from cortexcast_training.leadfield import CAP, electrode_positions, helmet, is_magnetometer

MODEL, GOLDEN = "model.onnx", "golden.npz"
TOLERANCE = 1e-4
"""The greatest deviation of ONNX Runtime from torch, as a share of an output's RMS."""


@dataclass(frozen=True)
class About:
    """What a bundle says of itself, beside its numbers."""

    name: str
    version: str
    description: str
    trained_on: str
    data: Sequence[str]
    train_subjects: Sequence[str]
    held_out_subjects: Sequence[str]
    built_by: str
    licence: str
    intended_use: str
    metrics: Sequence[Metric] = ()


def about_fields(about: About) -> dict[str, Any]:
    """What every trained bundle has, whatever its product."""
    return {
        "manifest_version": 1,
        "name": about.name,
        "version": about.version,
        "description": about.description,
        "trained_on": about.trained_on,
        "model_file": MODEL,
        "golden": {"file": GOLDEN, "tolerance": TOLERANCE},
        "metrics": [metric.model_dump(mode="json", exclude_none=True) for metric in about.metrics],
        "training": {
            "data": list(about.data),
            "train_subjects": list(about.train_subjects),
            "held_out_subjects": list(about.held_out_subjects),
        },
        "built_by": about.built_by,
        "licence": about.licence,
        "intended_use": about.intended_use,
    }


def montage(names: Sequence[str] = CAP) -> list[dict[str, Any]]:
    """Electrodes, the 70 where nothing is said: name and position in metres, head frame."""
    positions = electrode_positions()
    return [{"name": name, "position": positions[name].round(4).tolist()} for name in names]


def channels() -> list[dict[str, Any]]:
    """The 306 sensors."""
    return [_channel(*each) for each in zip(helmet()["chs"], is_magnetometer().tolist(), strict=True)]


def tensor(name: str, role: str, size: Mapping[str, int]) -> dict[str, Any]:
    """A float32 input or output of the graph; ``size`` by axis."""
    return {"name": name, "role": role, "dtype": "float32", "shape": list(size.values()), "axes": list(size)}


def state(name: str, of: str, size: Mapping[str, int], *, survives_gaps: bool = True) -> dict[str, Any]:
    """What a graph carries from hop to hop: an input, or the output that feeds it."""
    return {**tensor(name, "state", size), "state_of": of, "survives_gaps": survives_gaps}


def _channel(channel: Mapping[str, Any], is_mag: bool) -> dict[str, Any]:
    return {
        "name": channel["ch_name"],
        "type": "mag" if is_mag else "grad",
        "unit": "T" if is_mag else "T/m",
        "location": channel["loc"].tolist(),
        "coil_type": int(channel["coil_type"]),
    }
