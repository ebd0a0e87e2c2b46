"""A scan of BOLD: volumes of a brain that moves, slice after slice, with drift, pulse, breathing and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.spatial.transform import Rotation

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.anatomy import Anatomy, grid, tissue
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ
from cortexcast_training.eegfmri.parcel_bold import ParcelBold
from cortexcast_training.eegfmri.resampling import moved

Floats = NDArray[np.float64]

_BRIGHTNESS = 1000.0
"""Of grey matter, in the numbers of the file."""

_MOVES_OVER_VOLUMES = 8
_BREATH_HZ = 0.28


class ScanSettings(Strict):
    """How BOLD is scanned."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field((52, 62, 38), strict=False)
    voxel_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field((3.6, 3.6, 4.0), strict=False)
    shift_mm: NonNegativeFloat = 0.3
    """Standard deviation of the head's movement along each axis,"""
    turn_deg: NonNegativeFloat = 0.3
    """and about each axis."""
    drift_percent: NonNegativeFloat = 1.0
    """Of the scanner's slow drift, over the run."""
    pulse_percent: NonNegativeFloat = 0.3
    breath_percent: NonNegativeFloat = 0.3
    noise_percent: NonNegativeFloat = 1.0
    """Of each voxel by itself."""


@dataclass(frozen=True)
class Scan:
    """A scan and its truth.

    Attributes:
        volumes: int16, ``(x, y, z, n_volumes)``.
        slice_times: ``(n_slices,)`` in s after the beginning of each volume.
        motion: ``(n_volumes, 6)``: how the head has moved since the first volume, along each axis in mm, then about
            each axis through the scanner's middle in rad, as a rotation vector.
    """

    volumes: Nifti1Image
    slice_times: Floats
    motion: Floats


def interleaved(n_slices: int, tr_s: float) -> Floats:
    """When each slice is excited: every other one from the first on, then those between."""
    order = [*range(0, n_slices, 2), *range(1, n_slices, 2)]
    times = np.empty(n_slices)
    times[order] = np.arange(n_slices) * tr_s / n_slices
    return times


def draw_scan(
    settings: ScanSettings, anatomy: Anatomy, parcels: ParcelBold, tr_s: float, heartbeats: Floats, seed: int
) -> Scan:
    """The scan of a run.

    Args:
        settings: how it is scanned.
        anatomy: the subject's.
        parcels: what their BOLD does.
        tr_s: from volume to volume.
        heartbeats: the R peaks in s.
        seed: of the run.
    """
    n_volumes, shape = len(parcels.times), settings.shape
    brightness, labels, to_mni = tissue()
    slice_times = interleaved(shape[2], tr_s)
    motion = _motion(settings, n_volumes, seed)
    affine = grid(shape, settings.voxel_mm)
    to_template = np.linalg.inv(anatomy.from_mni @ to_mni)
    voxels = np.indices(shape, np.float64).reshape(3, -1)
    slices = voxels[2].astype(np.int64)
    noise = parcels.signal - parcels.neural
    rng = stream(seed, "scan")
    volumes = np.empty((*shape, n_volumes), np.int16)
    for number, begin_s in enumerate(parcels.times):
        # Where in the template lies what is at each voxel now?
        at = moved(to_template @ np.linalg.inv(rigid(motion[number])) @ affine, voxels)
        bright = scipy.ndimage.map_coordinates(brightness, at, order=1)
        parcel = scipy.ndimage.map_coordinates(labels, at, order=0)
        times = begin_s + slice_times
        of_parcels = _at_times(parcels.course, times) + noise[:, number, np.newaxis]
        percent = np.concatenate([np.zeros((1, shape[2])), of_parcels])[parcel, slices]
        percent += settings.drift_percent * (number / max(1, n_volumes - 1) - 0.5)
        body = settings.pulse_percent * _pulse(heartbeats, times) + settings.breath_percent * _breath(times)
        percent += body[slices]
        percent += settings.noise_percent * rng.standard_normal(len(percent))
        volumes[..., number] = np.round(_BRIGHTNESS * bright * (1 + percent / 100)).reshape(shape)
    image = Nifti1Image(volumes, affine)
    image.header.set_zooms((*settings.voxel_mm, tr_s))
    image.header.set_xyzt_units("mm", "sec")
    return Scan(image, slice_times, motion)


def rigid(motion: Floats) -> Floats:
    """Six numbers of ``Scan.motion`` as a map of mm to mm, ``(4, 4)``."""
    by = np.eye(4)
    by[:3, :3] = Rotation.from_rotvec(motion[3:]).as_matrix()
    by[:3, 3] = motion[:3]
    return by


def _motion(settings: ScanSettings, n_volumes: int, seed: int) -> Floats:
    steps = stream(seed, "motion").standard_normal((n_volumes, 6))
    smooth = scipy.ndimage.gaussian_filter1d(np.cumsum(steps, axis=0), _MOVES_OVER_VOLUMES, axis=0, mode="nearest")
    spread = smooth.std(axis=0)
    size = np.r_[np.full(3, settings.shift_mm), np.full(3, np.radians(settings.turn_deg))]
    motion = smooth * np.divide(size, spread, out=np.zeros(6), where=spread > 0)
    return np.asarray(motion - motion[0], np.float64)


def _at_times(course: Floats, times: Floats) -> Floats:
    """Interpolated, ``(n_parcels, n_times)``."""
    position = np.clip(times * ACTIVITY_HZ, 0, course.shape[1] - 1)
    before = np.minimum(position.astype(np.int64), course.shape[1] - 2)
    share = position - before
    return np.asarray((1 - share) * course[:, before] + share * course[:, before + 1], np.float64)


def _pulse(heartbeats: Floats, times: Floats) -> Floats:
    """Over the heart's cycle."""
    cycle = np.interp(times, heartbeats, np.arange(len(heartbeats)))
    return np.asarray(np.cos(2 * np.pi * cycle), np.float64)


def _breath(times: Floats) -> Floats:
    return np.asarray(np.cos(2 * np.pi * _BREATH_HZ * times), np.float64)
