"""Montage mapping: from the electrodes of any headset to a bundle's canonical montage.

A canonical electrode that the headset has is taken over; every other is interpolated from the headset's good electrodes
by spherical splines (Perrin et al., 1989, Electroenceph. clin. Neurophysiol. 72:184-187). Each row of the mapping sums
to one, so the headset's reference drops out when the average reference is taken.
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

from cortexcast_models.manifest import Position

MIN_ELECTRODES = 8

_SAME_PLACE_DEG = 5.0
"""Electrodes closer than this, seen from the head's centre, are one: half the spacing of the 10-5 system."""

_STIFFNESS, _TERMS, _SMOOTHING = 4, 50, 1e-5  # Perrin's m, the order where g has converged, MNE's regularisation

_METRES_PER_UNIT = (("metres", 1.0, 0.04, 0.2), ("centimetres", 1e-2, 4.0, 20.0), ("millimetres", 1e-3, 40.0, 200.0))


class MontageError(Exception):
    """The headset's electrodes cannot be mapped. The message says which names and places were found."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """How canonical channels come from a headset's.

    Attributes:
        matrix: float64 ``(n_canonical, n_headset)``; canonical potentials, average reference, from the headset's.
        interpolated: bool ``(n_canonical,)``: no electrode of the headset lies there.
    """

    matrix: NDArray[np.float64]
    interpolated: NDArray[np.bool_]


class Montage:
    """A headset's electrodes, placed, ready to be mapped to a canonical montage.

    Electrodes are placed by their name in the 10-05 system, else by the position given. Both are seen as directions
    from the centre of a sphere fitted to their own kind, so that template and digitised positions agree.

    Args:
        names: the headset's channel names.
        positions: per channel the head coordinates, or None. Metres, centimetres or millimetres: streams differ, and
            the size of a head tells which.
        canonical_names, canonical_positions: the bundle's montage, positions in metres.

    Raises:
        MontageError: fewer than 8 electrodes can be placed.
    """

    def __init__(
        self,
        names: Sequence[str],
        positions: Sequence[Position | None],
        canonical_names: Sequence[str],
        canonical_positions: Sequence[Position],
    ) -> None:
        self._canonical = _place(canonical_names, canonical_positions)
        self._electrodes = _place(names, positions)
        self.placed = np.isfinite(self._electrodes).all(axis=1)
        """bool ``(n_headset,)``: channels whose place is known; the others are not used."""
        if self.placed.sum() < MIN_ELECTRODES:
            unknown = ", ".join(np.asarray(names)[~self.placed][:8]) or "none"
            raise MontageError(
                f"{int(self.placed.sum())} of {len(names)} EEG channels can be placed on the head, at least "
                f"{MIN_ELECTRODES} are needed; channels without a place: {unknown}. Give the stream's channels their "
                "names in the 10-20 system, or locations in its metadata (channel/location/X, Y, Z in mm)"
            )

    def mapping(self, good: NDArray[np.bool_]) -> Mapping:
        """The mapping from the electrodes that are placed and ``good``, a bool ``(n_headset,)``.

        Raises:
            MontageError: fewer than 8 are left.
        """
        used = np.flatnonzero(self.placed & good)
        if len(used) < MIN_ELECTRODES:
            raise MontageError(f"{len(used)} good channels are left, at least {MIN_ELECTRODES} are needed")
        electrodes = self._electrodes[used]
        nearness = self._canonical @ electrodes.T
        nearest = nearness.argmax(axis=1)
        interpolated = nearness.max(axis=1) < np.cos(np.radians(_SAME_PLACE_DEG))
        rows = spline_weights(electrodes, self._canonical)
        rows[~interpolated] = np.eye(len(used))[nearest[~interpolated]]
        matrix = np.zeros((len(self._canonical), len(good)))
        matrix[:, used] = rows - rows.mean(axis=0)
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
        metres = _to_metres(given[located])
        directions[located] = _directions(metres, _centre(metres))
    standard = [standard_name(name) for name in names]
    known = np.array([name is not None for name in standard], bool)
    directions[known] = _standard_directions([name for name in standard if name])
    return directions


def _standard_directions(names: list[str]) -> NDArray[np.float64]:
    table = standard_positions()
    everything = np.array(list(table.values()))
    return _directions(np.array([table[name] for name in names]).reshape(-1, 3), _centre(everything))


def _directions(positions: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    vectors = positions - centre
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)


def _centre(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The centre of the least-squares sphere."""
    system = np.hstack([2 * positions, np.ones((len(positions), 1))])
    solution, *_ = np.linalg.lstsq(system, (positions**2).sum(axis=1))
    return np.asarray(solution[:3], np.float64)


def _to_metres(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    size = float(np.median(np.linalg.norm(positions, axis=1)))
    for _, scale, low, high in _METRES_PER_UNIT:
        if low <= size < high:
            return positions * scale
    raise MontageError(
        f"the stream's electrode locations lie {size:.3g} units from their origin: no head in "
        f"{', '.join(name for name, *_ in _METRES_PER_UNIT)}; correct the locations or leave them out"
    )


def _spline_kernel(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    n = np.arange(1, _TERMS + 1)
    factors = (2 * n + 1) / (n * (n + 1.0)) ** _STIFFNESS / (4 * np.pi)
    legendre = eval_legendre(n, np.clip(cosine, -1, 1)[..., None])
    return np.asarray(legendre @ factors, np.float64)
