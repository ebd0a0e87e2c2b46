"""What a volume shows at places in mm that are no voxels of it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def places(shape: tuple[int, ...], affine: Floats) -> Floats:
    """Where each voxel lies, ``(3, n_voxels)`` in mm, in C order."""
    return moved(affine, np.indices(shape, np.float64).reshape(3, -1))


def moved(by: Floats, points: Floats) -> Floats:
    """Points ``(3, n)`` under an affine map ``(4, 4)``."""
    return np.asarray(by[:3, :3] @ points + by[:3, 3:], np.float64)


def cubic(volume: Singles) -> Floats:
    """The cubic spline through a volume ``(x, y, z)``, as ``sample`` takes it: worked out once for many samplings."""
    return np.asarray(scipy.ndimage.spline_filter(volume, 3, mode="nearest"), np.float64)


def sample(spline: Floats, affine: Floats, points: Floats) -> Singles:
    """The values at these places, ``(n,)``; outside the volume those at its edge.

    Args:
        spline: ``(x, y, z)``, by ``cubic``.
        affine: of its voxels to mm.
        points: ``(3, n)`` in mm.
    """
    return _at(spline, affine, points, 3)


def sample_linear(volume: Singles, affine: Floats, points: Floats) -> Singles:
    """Likewise of a volume itself, without overshoot at edges."""
    return _at(volume, affine, points, 1)


def _at(volume: Floats | Singles, affine: Floats, points: Floats, order: Literal[1, 3]) -> Singles:
    at = moved(_inverse(affine), points)
    values = scipy.ndimage.map_coordinates(volume, at, order=order, mode="nearest", prefilter=False)
    return np.asarray(values, np.float32)


def _inverse(affine: Floats) -> Floats:
    return np.asarray(np.linalg.inv(affine), np.float64)


def within(shape: tuple[int, ...], affine: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which of these places, ``(n,)``, lie in a volume of this shape."""
    at = moved(_inverse(affine), points)
    last = np.array(shape)[:, np.newaxis] - 0.5
    return np.asarray(((at >= -0.5) & (at <= last)).all(axis=0))
