"""Slices of a volume are recorded one after the other: bring them to one time.

Each voxel's course is interpolated by a cubic spline through the times at which its slice was recorded. Before a
slice's first time and after its last there is nothing to interpolate, and the nearest value stands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def correct_slice_timing(volumes: Singles, slice_times: Floats, slice_axis: int, tr_s: float, time_s: float) -> Singles:
    """Volumes as if all their slices had been recorded at once.

    Args:
        volumes: ``(x, y, z, n_volumes)``, two or more.
        slice_times: ``(n_slices,)`` in s after the beginning of each volume.
        slice_axis: along which slices lie.
        tr_s: from volume to volume.
        time_s: the time at which they shall have been recorded, after the beginning of each volume.

    Raises:
        ValueError: there is not one time for each slice.
    """
    slices = np.moveaxis(volumes, slice_axis, 0)
    if len(slice_times) != len(slices):
        raise ValueError(f"{len(slice_times)} times for {len(slices)} slices")
    begins = tr_s * np.arange(volumes.shape[3])
    corrected = np.empty_like(slices)
    for number, late_s in enumerate(slice_times):
        recorded = begins + late_s
        wanted = np.clip(begins + time_s, recorded[0], recorded[-1])
        corrected[number] = CubicSpline(recorded, slices[number], axis=2)(wanted)
    return np.ascontiguousarray(np.moveaxis(corrected, 0, slice_axis))
