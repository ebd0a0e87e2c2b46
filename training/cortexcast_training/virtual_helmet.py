"""The virtual helmet: 306 sensors in one fixed pose over the head, into which every recording's MEG is mapped.

Where the head sat in the helmet is no property of the brain, and EEG cannot tell it. So models estimate the field in
``leadfield.helmet()``, and a recording's field is carried there by minimum norm: sources that explain what the sensors
saw are seen again from the other pose (Knösche, *Brain Topography* 14 (2002)). Sensors that are bad are left out. On
simulated heads of other sizes than the template, 2 to 4 % of the field's amplitude is wrong after it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from cortexcast_training.leadfield import (
    Cortex,
    HeadModel,
    brain_conductor,
    coarse_vertices,
    is_magnetometer,
    meg_fields,
    template,
)

Floats = NDArray[np.float64]

SNR = 10.0
"""Ratio of the RMS of the brain's field to that of what is not to be explained by sources."""

_ICO = 2

_N_HEMISPHERE = 642
"""Vertices: 1248 dipoles, four times as many as sensors. Four times as many again would change the error by a tenth."""


def virtual_helmet_map(dev_head_t: Floats, good: NDArray[np.bool_]) -> Floats:
    """What the virtual helmet shows, from what a helmet at another pose saw: ``(306, 306)``, T and T/m.

    Args:
        dev_head_t: ``(4, 4)``, the recorded helmet's pose in the head frame.
        good: ``(306,)``, sensors to use.
    """
    pose = tuple(np.asarray(dev_head_t, np.float64).round(6).ravel().tolist())
    seen, wanted = _fields(pose), _fields(None)
    unit = _units(seen)
    used = (seen / unit)[good]
    gram = used @ used.T
    gram[np.diag_indices(len(gram))] += np.trace(gram) / len(gram) / SNR**2
    weights = scipy.linalg.solve(gram, used @ (wanted / unit).T, assume_a="pos").T
    result = np.zeros((len(seen), len(seen)))
    result[:, good] = weights
    return np.asarray(unit * result / unit.T, np.float64)


@lru_cache(maxsize=16)
def _fields(pose: tuple[float, ...] | None) -> Floats:
    """Fields of the template's coarse dipoles in a helmet at this pose, ``(306, n)``."""
    head, conductor = _coarse_template()
    if pose is not None:
        head = replace(head, dev_head_t=np.array(pose).reshape(4, 4))
    return meg_fields(head, conductor)


@cache
def _coarse_template() -> tuple[HeadModel, Any]:
    whole, coarse = template(), coarse_vertices(_N_HEMISPHERE)
    sheet = Cortex(whole.cortex.positions[coarse], whole.cortex.normals[coarse], whole.cortex.faces[:0])
    head = replace(whole, cortex=sheet, ico=_ICO)
    return head, brain_conductor(head)


def _units(fields: Floats) -> Floats:
    """The RMS over each type of sensor, ``(306, 1)``."""
    is_mag = is_magnetometer()
    power = np.where(is_mag, np.mean(fields[is_mag] ** 2), np.mean(fields[~is_mag] ** 2))
    return np.sqrt(power)[:, np.newaxis]
