"""Montage mapping: from the electrodes of any headset to a bundle's canonical montage.

A canonical electrode that the headset has is taken over; every other is interpolated from the headset's good electrodes
by spherical splines (Perrin et al., 1989, Electroenceph. clin. Neurophysiol. 72:184-187), or zero, as the bundle wants
it. Each row that is not zero sums to one, so the headset's reference drops out when the average of these is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_legendre

from cortexcast_models.manifest import Absent, Position

MIN_ELECTRODES = 8

_SAME_PLACE_DEG = 5.0
"""Electrodes closer than this, seen from the head's centre, are one: half the spacing of the 10-5 system."""

_NEAR_PLACE_DEG = 10.0
"""Where nothing is interpolated, an electrode counts for the nearest place, up to half the spacing of the 10-10 system:
caps sit askew, and digitised electrodes lie some degrees from their names' places."""

_STIFFNESS, _TERMS, _SMOOTHING = 4, 50, 1e-5  # Perrin's m, the order where g has converged, MNE's regularisation

_MAX_SPREAD = 0.2
"""Relative standard deviation of the head's radius over electrodes: below 0.15 for heads, 0.24 for points in a ball."""

_PRIOR = 0.5
"""How firmly a frame's centre binds the fitted sphere: holds a ring or a forehead, lets a whole cap correct it."""


class MontageError(Exception):
    """The headset's electrodes cannot be mapped. The message says which names and places were found."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """How canonical channels come from a headset's.

    Attributes:
        matrix: float64 ``(n_canonical, n_headset)``; canonical potentials, average reference, from the headset's.
        interpolated: bool ``(n_canonical,)``: no electrode of the headset lies there; it is interpolated, or zero.
    """

    matrix: NDArray[np.float64]
    interpolated: NDArray[np.bool_]


class Montage:
    """A headset's electrodes, placed, ready to be mapped to a canonical montage.

    Electrodes are placed by their name in the 10-05 system, else by the position given. Both are seen as directions
    from the centre of the head, so that template and digitised positions agree and sizes do not matter.

    Args:
        names: the headset's channel names.
        positions: per channel x to the right, y to the front, z up, in any unit, or None. The origin lies between the
            ears (MNE, XDF) or at the centre of the head (idealised caps): the electrodes tell which. Positions that
            lie about a head in neither frame, or are fewer than 8, are left out.
        canonical_names, canonical_positions: the bundle's montage, positions in metres.
        absent: what the bundle wants of electrodes that the headset lacks.

    Raises:
        MontageError: fewer than 8 electrodes can be placed, or they lie at fewer than 8 places; or a canonical
            electrode has no place.
    """

    def __init__(
        self,
        names: Sequence[str],
        positions: Sequence[Position | None],
        canonical_names: Sequence[str],
        canonical_positions: Sequence[Position],
        absent: Absent = "interpolated",
    ) -> None:
        self._absent = absent
        self._canonical = _place(canonical_names, canonical_positions)
        lost = ~np.isfinite(self._canonical).all(axis=1)
        if lost.any():
            raise MontageError(
                f"the canonical montage does not place {', '.join(np.asarray(canonical_names)[lost][:8])}: give the "
                "bundle's electrodes names in the 10-05 system or positions on a head"
            )
        self.directions = _place(names, positions)
        """float64 ``(n_headset, 3)``: unit vectors from the head's centre; NaN where the place is not known."""
        self.placed = np.isfinite(self.directions).all(axis=1)
        """bool ``(n_headset,)``: channels whose place is known; the others are not used."""
        if self.placed.sum() < MIN_ELECTRODES:
            unknown = ", ".join(np.asarray(names)[~self.placed][:8]) or "none"
            raise MontageError(
                f"{int(self.placed.sum())} of {len(names)} EEG channels can be placed on the head, at least "
                f"{MIN_ELECTRODES} are needed; channels without a place: {unknown}. Give the stream's channels their "
                "names in the 10-20 system, or locations on a head in its metadata (channel/location/X, Y, Z in mm)"
            )
        _require_places(self.directions[self.placed])

    def mapping(self, good: NDArray[np.bool_]) -> Mapping:
        """The mapping from the electrodes that are placed and ``good``, a bool ``(n_headset,)``.

        Raises:
            MontageError: fewer than 8 are left, or they lie at fewer than 8 places; or others shall be zero, and fewer
                than 8 lie where a canonical electrode does.
        """
        used = np.flatnonzero(self.placed & good)
        if len(used) < MIN_ELECTRODES:
            raise MontageError(f"{len(used)} good channels are left, at least {MIN_ELECTRODES} are needed")
        electrodes = self.directions[used]
        _require_places(electrodes)
        nearness = self._canonical @ electrodes.T
        reach = _SAME_PLACE_DEG
        if self._absent == "zero":
            elsewhere = nearness.argmax(axis=0) != np.arange(len(nearness))[:, np.newaxis]
            nearness[elsewhere], reach = -1.0, _NEAR_PLACE_DEG
        nearest = nearness.argmax(axis=1)
        interpolated = nearness.max(axis=1) < np.cos(np.radians(reach))
        rows = np.eye(len(used))[nearest]
        rows[interpolated] = spline_weights(electrodes, self._canonical[interpolated])
        shown = np.flatnonzero(~interpolated) if self._absent == "zero" else np.arange(len(rows))
        if len(shown) < MIN_ELECTRODES:
            raise MontageError(
                f"{len(shown)} good channels lie where the model has an electrode, at least {MIN_ELECTRODES} are "
                "needed; take a model that interpolates"
            )
        matrix = np.zeros((len(rows), len(good)))
        matrix[np.ix_(shown, used)] = rows[shown] - rows[shown].mean(axis=0)
        return Mapping(matrix, interpolated)


def spline_weights(sources: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights ``(n_targets, n_sources)`` of spherical spline interpolation between unit vectors ``(n, 3)``.

    Each row sums to one.
    """
    n = len(sources)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = _spline_kernel(sources @ sources.T) + _SMOOTHING * np.eye(n)
    system[n, n] = 0.0
    basis = np.hstack([_spline_kernel(targets @ sources.T), np.ones((len(targets), 1))])
    return np.asarray(np.linalg.solve(system, basis.T).T[:, :n], np.float64)  # the system is symmetric


@cache
def standard_positions() -> dict[str, tuple[float, float, float]]:
    """The electrodes of the 10-05 system by upper-case name, head coordinates in metres."""
    text = (resources.files("cortexcast_models") / "standard_1005.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {name.upper(): (float(x), float(y), float(z)) for name, x, y, z in rows}


def standard_name(label: str) -> str | None:
    """The 10-05 name in a channel's label, upper case, or None: ``"EEG Fp1-REF"`` and ``"fp1."`` give ``"FP1"``."""
    bare = re.sub(r"^EEG[\s_-]+|[\s_-]+(REF|LE|RE|AVG|AR|M1|M2|A1|A2)$|[.\s]+$", "", label.strip().upper())
    bare = re.sub(r"[\s_-]+(REF|LE|RE|AVG|AR|M1|M2|A1|A2)$", "", bare).strip()
    return bare if bare in standard_positions() else None


def _place(names: Sequence[str], positions: Sequence[Position | None]) -> NDArray[np.float64]:
    directions = np.full((len(names), 3), np.nan)
    given = np.array([position or (np.nan,) * 3 for position in positions], np.float64).reshape(-1, 3)
    located = np.isfinite(given).all(axis=1) & given.any(axis=1)
    if located.sum() >= MIN_ELECTRODES:
        directions[located] = _head_directions(given[located])
    standard = [standard_name(name) for name in names]
    known = np.array([name is not None for name in standard], bool)
    directions[known] = _standard_directions([name for name in standard if name])
    return directions


def _require_places(directions: NDArray[np.float64]) -> None:
    places = directions[:0]
    for direction in directions:
        if (places @ direction < np.cos(np.radians(_SAME_PLACE_DEG))).all():
            places = np.vstack([places, direction])
    if len(places) < MIN_ELECTRODES:
        raise MontageError(
            f"{len(directions)} EEG channels lie at {len(places)} places on the head ({_SAME_PLACE_DEG:g} degrees "
            f"apart), at least {MIN_ELECTRODES} are needed; correct the stream's channel names or locations"
        )


def _standard_directions(names: list[str]) -> NDArray[np.float64]:
    table = standard_positions()
    centre, _ = _standard_sphere()
    return _unit(np.array([table[name] for name in names]).reshape(-1, 3) - centre)


def _head_directions(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors from the head's centre; NaN if the positions are not those of electrodes on a head.

    The frame is the one in which the electrodes agree best on the size of the head. Its centre then binds the
    least-squares sphere, which alone would be degenerate for electrodes that do not surround the head.
    """
    positions = positions / np.abs(positions).max()
    centre, radius = _standard_sphere()
    frames = (np.zeros(3), centre / radius)  # the head's centre in each, in radii
    radii = [_radii(positions, frame) for frame in frames]
    spreads = [float(each.std() / np.median(each)) for each in radii]
    best = int(np.argmin(spreads))
    in_line = np.linalg.matrix_rank(positions - positions.mean(axis=0), rtol=0.1) < 2
    if spreads[best] > _MAX_SPREAD or in_line:
        return np.full_like(positions, np.nan)
    vectors = positions / np.median(radii[best]) - frames[best]
    return _unit(vectors - _sphere_centre(vectors, _PRIOR))


def _radii(positions: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per electrode the radius r of the head on which it lies: ``|position - r frame| = r``."""
    along, rest = positions @ frame, 1 - frame @ frame
    return np.asarray((np.sqrt(along**2 + rest * (positions**2).sum(axis=1)) - along) / rest, np.float64)


@cache
def _standard_sphere() -> tuple[NDArray[np.float64], float]:
    """Centre and radius, in metres of head coordinates, of the sphere through the 10-05 system."""
    positions = np.array(list(standard_positions().values()))
    centre = _sphere_centre(positions) * (0, 1, 1)  # heads are symmetric
    return centre, float(np.median(np.linalg.norm(positions - centre, axis=1)))


def _sphere_centre(positions: NDArray[np.float64], prior: float = 0.0) -> NDArray[np.float64]:
    """The centre of the least-squares sphere, drawn to the origin by ``prior`` whatever the number of positions."""
    n = len(positions)
    system = np.vstack([np.hstack([2 * positions, np.ones((n, 1))]), np.sqrt(n) * prior * np.eye(3, 4)])
    solution, *_ = np.linalg.lstsq(system, np.append((positions**2).sum(axis=1), np.zeros(3)))
    return np.asarray(solution[:3], np.float64)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)


def _spline_kernel(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    n = np.arange(1, _TERMS + 1)
    factors = (2 * n + 1) / (n * (n + 1.0)) ** _STIFFNESS / (4 * np.pi)
    legendre = eval_legendre(n, np.clip(cosine, -1, 1)[..., None])
    return np.asarray(legendre @ factors, np.float64)
