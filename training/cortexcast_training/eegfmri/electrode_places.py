"""Where electrodes are on the template's head: by their names, or by directions that a cap's file gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mne
import numpy as np
from mne.transforms import apply_trans
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from cortexcast_training.leadfield import electrode_positions, head_to_mri, template

Floats = NDArray[np.float64]

_FEWEST = 6
"""Named electrodes; the unknowns of a direction's origin and turn are as many."""

_FARTHEST_M = 0.015
"""RMS over electrodes. NATVIEW's lie 4 mm from their standard places, those of a cap that is read mirrored 50 mm."""


class PlaceError(Exception):
    """Electrodes cannot be placed. The message says why, and what to do."""


def places_by_direction(directions: Mapping[str, Floats]) -> dict[str, Floats]:
    """Where electrodes are whose directions are known, in m, head frame.

    A file with places on a sphere does not say from where the electrodes are seen so, nor which way its axes point.
    Both are such that the electrodes come nearest to the standard places of their names. Each keeps its standard
    distance from there.

    Args:
        directions: ``(3,)`` of each electrode, right-handed axes; those whose names are not standard are left out.

    Raises:
        PlaceError: few names are standard, or the electrodes are far from where their names say.
    """
    standard = electrode_positions()
    names = [name for name in directions if name in standard]
    if len(names) < _FEWEST:
        raise PlaceError(f"{len(names)} electrodes have a name of the 10-05 system, {_FEWEST} are needed: rename them")
    seen = np.array([directions[name] for name in names], np.float64)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    named = np.array([standard[name] for name in names])

    def places(origin_and_turn: Floats) -> Floats:
        origin, turn = np.split(origin_and_turn, 2)
        distance = np.linalg.norm(named - origin, axis=1, keepdims=True)
        return np.asarray(origin + distance * Rotation.from_rotvec(turn).apply(seen), np.float64)

    def misses(origin_and_turn: Floats) -> Floats:
        return np.asarray(places(origin_and_turn) - named, np.float64).ravel()

    first = Rotation.align_vectors(named, seen)[0].as_rotvec()
    fitted = places(least_squares(misses, np.r_[np.zeros(3), first]).x)
    away = float(np.sqrt(np.mean(np.sum((fitted - named) ** 2, axis=1))))
    if away > _FARTHEST_M:
        raise PlaceError(
            f"electrodes lie {1e3 * away:.0f} mm from where their names say: names are in another order, or an axis "
            "points the other way"
        )
    return dict(zip(names, fitted, strict=True))


def digitised(places: Mapping[str, Floats]) -> Any:
    """Places in m, head frame, as an ``mne.channels.DigMontage`` with the template's fiducials."""
    to_head = np.linalg.inv(head_to_mri()["trans"])
    nasion, lpa, rpa = apply_trans(to_head, template().fiducials)
    return mne.channels.make_dig_montage(dict(places), nasion, lpa, rpa, coord_frame="head")
