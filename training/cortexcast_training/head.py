"""A head drawn at random around the template: another size, other conductivity, electrodes and helmet elsewhere.

Folding is the template's in every head: no shapes of other brains come with MNE-Python or nilearn. What varies is what
``HeadSettings`` lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from mne.transforms import apply_trans
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.leadfield import (
    CAP,
    Cortex,
    HeadModel,
    coarse_vertices,
    head_to_mri,
    helmet,
    lead_fields,
    shell_faces,
    template,
    vertex_normals,
)

Floats = NDArray[np.float64]

WALL_M = 0.018
"""The thickness of the dewar's wall: no coil comes nearer to the scalp."""

_TOLERANCE_M = 0.001

_LARGEST = (1.04, 1.15, 1.15)
"""Scale of adult heads along each axis; a wider one does not fit into the helmet."""


class HeadSettings(Strict):
    """How heads differ. Each ``_sd`` is a standard deviation over heads; zero leaves that ingredient as the template's.

    Defaults are the spread that the literature gives or an experimenter meets: adult head size, a cap's and a
    helmet's placement, skull conductivity by factors of 0.5 to 2, calibration of sensors.
    """

    scale_mean: PositiveFloat = 0.95
    """Size in proportion to the template, which is larger than the average head."""
    scale_sd: NonNegativeFloat = 0.04
    """For each axis by itself."""
    brain_rotation_sd_deg: NonNegativeFloat = 4.0
    """Of the brain and skull against nose and ears, about each axis."""
    electrode_sd_m: NonNegativeFloat = 0.004
    """Of each electrode along the scalp, in each of two directions."""
    digitisation_sd_m: NonNegativeFloat = 0.001
    """Between where an electrode is and where the recording says it is, in each direction."""
    helmet_shift_sd_m: NonNegativeFloat = 0.005
    """Along each axis. A helmet that would touch the head gives way."""
    helmet_rotation_sd_deg: NonNegativeFloat = 4.0
    skull_log_sd: NonNegativeFloat = 0.3
    """Of the logarithm of the skull's conductivity."""
    eeg_gain_sd: NonNegativeFloat = 0.05
    meg_gain_sd: NonNegativeFloat = 0.02
    ico: int = Field(2, ge=2, le=4)
    """Grade of the boundary meshes. Against grade 3, grade 2 takes less than half the time; lead fields differ by 16 %
    in norm, topographies correlate by 0.998."""


TEMPLATE = HeadSettings(
    scale_mean=1.0,
    scale_sd=0.0,
    brain_rotation_sd_deg=0.0,
    electrode_sd_m=0.0,
    digitisation_sd_m=0.0,
    helmet_shift_sd_m=0.0,
    helmet_rotation_sd_deg=0.0,
    skull_log_sd=0.0,
    eeg_gain_sd=0.0,
    meg_gain_sd=0.0,
)
"""Settings under which nothing varies: every seed gives the template."""


@dataclass(frozen=True)
class Head:
    """A head and what its recordings show of each dipole.

    Attributes:
        settings, seed: what it was drawn by.
        model: its geometry and conductivity. Dipoles lie at ``coarse_vertices()``, along the normals.
        eeg: ``(70, n_dipoles)`` in V per A·m, the gains applied, then average referenced.
        meg: ``(306, n_dipoles)`` in T or T/m per A·m, the gains applied.
        eeg_gain: ``(70,)``, each about 1.
        meg_gain: ``(306,)``, each about 1.
        electrodes: ``(70, 3)`` in metres, head frame, as digitised: near where they are.
        scale: ``(3,)``, the size along each axis in proportion to the template.
        pushed_m: how far the helmet had to give way to the head.
    """

    settings: HeadSettings
    seed: int
    model: HeadModel
    eeg: Floats
    meg: Floats
    eeg_gain: Floats
    meg_gain: Floats
    electrodes: Floats
    scale: Floats
    pushed_m: float

    @property
    def dev_head_t(self) -> Floats:
        """``(4, 4)``, the helmet's pose in the head frame, as measured: exact."""
        return self.model.dev_head_t


def draw_head(settings: HeadSettings, seed: int) -> Head:
    """The head of this seed. Each ingredient has a stream of random numbers of its own.

    It takes some seconds: boundary elements are solved anew.
    """
    model, scale = _draw_anatomy(settings, seed)
    model, pushed_m = _place_helmet(model, settings, seed)
    lead = lead_fields(model)
    eeg_gain = 1.0 + settings.eeg_gain_sd * stream(seed, "EEG gain").standard_normal(len(lead.eeg))
    meg_gain = 1.0 + settings.meg_gain_sd * stream(seed, "MEG gain").standard_normal(len(lead.meg))
    eeg = eeg_gain[:, np.newaxis] * lead.eeg
    to_head = np.linalg.inv(head_to_mri(model)["trans"])
    error = settings.digitisation_sd_m * stream(seed, "digitisation").standard_normal((len(CAP), 3))
    return Head(
        settings=settings,
        seed=seed,
        model=model,
        eeg=eeg - eeg.mean(axis=0),
        meg=meg_gain[:, np.newaxis] * lead.meg,
        eeg_gain=eeg_gain,
        meg_gain=meg_gain,
        electrodes=apply_trans(to_head, model.electrodes) + error,
        scale=scale,
        pushed_m=pushed_m,
    )


@cache
def template_head(ico: int) -> Head:
    """The template itself, its dipoles at ``coarse_vertices()``."""
    return draw_head(TEMPLATE.model_copy(update={"ico": ico}), 0)


def _draw_anatomy(settings: HeadSettings, seed: int) -> tuple[HeadModel, Floats]:
    base = template()
    inner = base.shells["inner_skull"]
    centre = (inner.max(axis=0) + inner.min(axis=0)) / 2
    scale = settings.scale_mean + settings.scale_sd * stream(seed, "scale").standard_normal(3)
    scale = scale.clip(0.75, _LARGEST)  # a normal distribution has no end
    rotation = _rotation(settings.brain_rotation_sd_deg, seed, "brain rotation")

    def sized(points: Floats) -> Floats:
        return np.asarray(centre + scale * (points - centre), np.float64)

    def turned(points: Floats) -> Floats:
        return np.asarray(centre + (points - centre) @ rotation.T, np.float64)

    coarse = coarse_vertices()
    normals = base.cortex.normals[coarse] / scale
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shells = {name: sized(points) for name, points in base.shells.items()}
    skull = np.exp(settings.skull_log_sd * float(stream(seed, "skull").standard_normal()))
    brain_conductivity, skull_conductivity, scalp_conductivity = base.conductivity
    return replace(
        base,
        cortex=Cortex(sized(base.cortex.positions[coarse]), normals, np.zeros((0, 3), np.int64)),
        shells=shells,
        electrodes=_on_scalp(
            sized(turned(base.electrodes)),
            shells["outer_skin"],
            _height(base.electrodes, base.shells["outer_skin"]),
            settings.electrode_sd_m * stream(seed, "electrodes").standard_normal((len(CAP), 3)),
        ),
        fiducials=sized(turned(base.fiducials)),
        conductivity=(brain_conductivity, skull_conductivity * skull, scalp_conductivity),
        ico=settings.ico,
    ), scale


def _on_scalp(points: Floats, scalp: Floats, height: Floats, shift: Floats) -> Floats:
    """The points, shifted along the scalp, at these heights above it.

    Height is kept since the shell passes beneath or above some of the template's electrodes already.
    """
    vertex, normal = _nearest(points, scalp)
    points = points + shift - (shift * normal).sum(axis=1, keepdims=True) * normal
    vertex, normal = _nearest(points, scalp)
    excess = ((points - vertex) * normal).sum(axis=1) - height
    return np.asarray(points - excess[:, np.newaxis] * normal, np.float64)


def _height(points: Floats, scalp: Floats) -> Floats:
    vertex, normal = _nearest(points, scalp)
    return np.asarray(((points - vertex) * normal).sum(axis=1), np.float64)


def _nearest(points: Floats, scalp: Floats) -> tuple[Floats, Floats]:
    """The scalp's vertex nearest to each point, and the normal there."""
    nearest = cKDTree(scalp).query(points)[1]
    return scalp[nearest], vertex_normals(scalp, shell_faces())[nearest]


def _place_helmet(model: HeadModel, settings: HeadSettings, seed: int) -> tuple[HeadModel, float]:
    """Move the helmet at random, then where the head pushes it until its wall clears the head."""
    to_head = np.linalg.inv(head_to_mri(model)["trans"])
    scalp = apply_trans(to_head, model.shells["outer_skin"])
    normals = vertex_normals(scalp, shell_faces())
    tree = cKDTree(scalp)
    coils = np.unique([channel["loc"][:3] for channel in helmet()["chs"]], axis=0)

    pivot = scalp.mean(axis=0)
    shift = settings.helmet_shift_sd_m * stream(seed, "helmet shift").standard_normal(3)
    move = np.eye(4)
    move[:3, :3] = _rotation(settings.helmet_rotation_sd_deg, seed, "helmet rotation")
    move[:3, 3] = pivot - move[:3, :3] @ pivot + shift
    pose = move @ model.dev_head_t

    free = pose[:3, 3].copy()
    while True:
        places = apply_trans(pose, coils)
        nearest = np.asarray(tree.query(places)[1])
        gap = ((places - scalp[nearest]) * normals[nearest]).sum(axis=1)
        tightest = gap.argmin()
        if gap[tightest] >= WALL_M - _TOLERANCE_M:
            return replace(model, dev_head_t=pose), float(np.linalg.norm(pose[:3, 3] - free))
        # Away from the head, and always up, never down again, or a head between two walls would never come free.
        push = (WALL_M - gap[tightest]) * normals[nearest[tightest]]
        pose[:3, 3] += (push[0], push[1], max(push[2], 0.0) + _TOLERANCE_M / 2)


def _rotation(sd_deg: float, seed: int, ingredient: str) -> Floats:
    vector = sd_deg * stream(seed, ingredient).standard_normal(3)
    return np.asarray(Rotation.from_rotvec(vector, degrees=True).as_matrix(), np.float64)
