"""Where in a scan each place of the MNI152 template lies.

With an anatomical scan: BOLD to it as a rigid body, and it to the template by an affine map, then a smooth warp.
Without: the mean volume to the template by an affine map. Registration is dipy's, which takes all voxels and draws no
random numbers, so that a scan gives the same result every time; antspyx is as accurate but not for current numpy.

A skull need not be stripped: only what lies in the template's brain, or in BOLD's, is compared.

Sources: of mutual information Mattes et al., *IEEE Transactions on Medical Imaging* 22 (2003); of the warp Avants et
al., *Medical Image Analysis* 12 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from dipy.align import VerbosityLevels
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
from dipy.align.metrics import CCMetric
from dipy.align.transforms import AffineTransform3D, RigidTransform3D
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.brain_template import template, template_brain
from cortexcast_training.eegfmri.resampling import moved, places, sample_linear, within

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_AFFINE_STEPS, _AFFINE_SIGMAS, _AFFINE_FACTORS = (60, 30), (1.0, 0.0), (2, 1)
_WARP_STEPS = (50, 25, 10)
_BRIGHTEST_PERCENT = 99.5
"""Fat and vessels above would leave few bins to the brain."""

LEAST_OVERLAP = 0.6
"""Dice coefficient of BOLD's brain and the template's below which nothing was found."""


class RegistrationError(Exception):
    """A scan does not fit the template. The message says how far off it is, and what to do."""


class NormalisationSettings(Strict):
    """How scans are brought to the template."""

    voxel_mm: PositiveInt = 3
    """Of the volumes in MNI space."""
    affine_mm: int = Field(4, ge=2, le=6)
    """Of the template's voxels that the affine map is found with."""
    warp: bool = True
    """The anatomical scan not only affinely: brains are folded differently."""
    warp_mm: int = Field(3, ge=1, le=4)
    """Of the template's voxels that the warp is found with."""


@dataclass(frozen=True)
class Registration:
    """What registration found.

    Attributes:
        points: ``(3, n_voxels)`` in mm: where in the scanner, in the first volume, each voxel of the template lies.
        in_anatomy: likewise in the anatomical scan; None without one.
        affine: ``(4, 4)``, of MNI coordinates to the anatomical scan's, or to BOLD's without one.
        bold_to_anatomy: ``(4, 4)``; None without an anatomical scan.
        warp_mm: how far the warp moves the brain, root mean square; zero without one.
        overlap: Dice coefficient of BOLD's brain and the template's, within what was scanned.
    """

    points: Floats
    in_anatomy: Floats | None
    affine: Floats
    bold_to_anatomy: Floats | None
    warp_mm: float
    overlap: float


def normalise(
    mean: Nifti1Image, brain: Mask, anatomy: Nifti1Image | None, settings: NormalisationSettings
) -> Registration:
    """Where each voxel of the template lies.

    Args:
        mean: the mean of all volumes, moved back to the first.
        brain: ``(x, y, z)``, where it is in ``mean``.
        anatomy: with the skull or without.
        settings: how.

    Raises:
        RegistrationError: BOLD's brain and the template's do not overlap.
    """
    grid = template(settings.voxel_mm)
    to_template = places(grid.shape, np.asarray(grid.affine))
    coarse = template(settings.affine_mm)
    around = np.asarray(scipy.ndimage.binary_dilation(template_brain(settings.affine_mm)))
    warp_mm = 0.0
    if anatomy is None:
        in_anatomy, bold_to_anatomy = None, None
        affine = _align(coarse, around, mean, AffineTransform3D())
        points = moved(affine, to_template)
    else:
        bold_to_anatomy = _align(mean, brain, anatomy, RigidTransform3D())
        affine = _align(coarse, around, anatomy, AffineTransform3D())
        warped = to_template
        if settings.warp:
            warped = to_template + _warp(affine, anatomy, settings.warp_mm, to_template)
            at_brain = (warped - to_template)[:, template_brain(settings.voxel_mm).ravel()]
            warp_mm = float(np.sqrt((at_brain**2).sum(axis=0).mean()))
        in_anatomy = moved(affine, warped)
        points = moved(np.asarray(np.linalg.inv(bold_to_anatomy), np.float64), in_anatomy)
    overlap = _overlap(mean, brain, points, template_brain(settings.voxel_mm).ravel())
    if overlap < LEAST_OVERLAP:
        raise RegistrationError(
            f"BOLD's brain and the template's overlap by {overlap:.2f} (Dice coefficient) and must by {LEAST_OVERLAP}: "
            "look at how both scans lie, with the wrong orientation in a header they are found turned or mirrored"
        )
    return Registration(points, in_anatomy, affine, bold_to_anatomy, warp_mm, overlap)


def dice(one: Mask, other: Mask) -> float:
    """What two masks share in proportion to their mean size."""
    both = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / max(1, both)


def _align(
    static: Nifti1Image, mask: Mask, moving: Nifti1Image, wanted: RigidTransform3D | AffineTransform3D
) -> Floats:
    """The map of the static image's mm to the moving one's under which they are alike, within a mask of the first.

    Headers say where scans lie; where that was lost, the middles of both are a better start.
    """
    # What lies outside the mask's box would cost time and tell nothing.
    box = tuple(slice(at.min(), at.max() + 1) for at in np.nonzero(mask))
    inside, mask = static.slicer[box], mask[box].astype(np.int32)
    values, others = (_clipped(each) for each in (inside, moving))
    middles = np.eye(4)
    middles[:3, 3] = _middle(others, moving.affine) - _middle(values * mask, inside.affine)

    def search(transform: RigidTransform3D | AffineTransform3D, start: Floats, levels: int) -> tuple[Floats, float]:
        registration = AffineRegistration(
            metric=MutualInformationMetric(),
            level_iters=list(_AFFINE_STEPS[:levels]),
            sigmas=list(_AFFINE_SIGMAS[:levels]),
            factors=list(_AFFINE_FACTORS[:levels]),
            verbosity=0,
        )
        found, _, cost = registration.optimize(
            values,
            others,
            transform,
            None,
            static_grid2world=inside.affine,
            moving_grid2world=moving.affine,
            starting_affine=start,
            ret_metric=True,
            static_mask=mask,
        )
        return np.asarray(found.affine, np.float64), float(cost)

    coarse = (search(RigidTransform3D(), start, 1) for start in (np.eye(4), middles))
    start, _ = min(coarse, key=lambda found: found[1])
    return search(wanted, start, len(_AFFINE_STEPS))[0]


def _warp(affine: Floats, anatomy: Nifti1Image, voxel_mm: int, points: Floats) -> Floats:
    """How far from each of these places in the template, ``(3, n)`` in mm, its like lies after the affine map."""
    fixed = template(voxel_mm)
    grid = np.asarray(fixed.affine, np.float64)
    where = moved(affine, places(fixed.shape, grid))
    around = scipy.ndimage.binary_dilation(template_brain(voxel_mm))
    brought = sample_linear(_clipped(anatomy).astype(np.float32), anatomy.affine, where).reshape(fixed.shape) * around
    search = SymmetricDiffeomorphicRegistration(CCMetric(3), level_iters=_WARP_STEPS)
    search.verbosity = VerbosityLevels.NONE
    found = search.optimize(
        np.asarray(fixed.dataobj, np.float64),
        brought.astype(np.float64),
        static_grid2world=grid,
        moving_grid2world=grid,
    )
    field = np.asarray(found.get_forward_field(), np.float32)
    return np.stack([sample_linear(field[..., axis], grid, points) for axis in range(3)]).astype(np.float64)


def _overlap(mean: Nifti1Image, brain: Mask, points: Floats, of_template: Mask) -> float:
    seen = within(mean.shape, mean.affine, points)
    of_bold = sample_linear(brain.astype(np.float32), mean.affine, points) > 0.5
    return dice(of_bold[seen], of_template[seen])


def _clipped(image: Nifti1Image) -> Floats:
    values = np.asarray(image.dataobj, np.float64)
    return np.clip(values, 0, np.percentile(values[values > 0], _BRIGHTEST_PERCENT))


def _middle(values: Floats, affine: Floats) -> Floats:
    return moved(affine, np.array(scipy.ndimage.center_of_mass(values))[:, np.newaxis])[:, 0]
