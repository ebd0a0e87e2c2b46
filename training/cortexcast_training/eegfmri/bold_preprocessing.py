"""From a scan of BOLD as recorded to the courses of parcels.

The order, and why: motion is estimated first, on volumes as recorded, since slice timing would mix what was at a voxel
before a movement and after it. Slice timing comes next, while voxels still belong to slices. Then motion and
normalisation are one map, so that volumes are interpolated in space once. The means of tissues are of unsmoothed
volumes: smooth ones would mix grey matter in. Nuisance is regressed out of parcels' means: out of each voxel first
would be the same and take a hundred times as long.

There is no field map here: where the field is distorted, near sinuses and ears, BOLD stays off its place by some mm.
Where that matters, give fMRIPrep's derivatives instead (``fmriprep``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nilearn.image import smooth_img
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.bold_file import BoldError, BoldScan
from cortexcast_training.eegfmri.brain_mask import brain_mask
from cortexcast_training.eegfmri.brain_template import (
    grey_of,
    template,
    template_brain,
    template_fluid,
    template_white,
)
from cortexcast_training.eegfmri.motion_correction import (
    estimate_motion,
    framewise_displacement,
    maps_of,
    mean_of_aligned,
)
from cortexcast_training.eegfmri.normalisation import NormalisationSettings, Registration, normalise
from cortexcast_training.eegfmri.nuisance import NuisanceSettings, regressors
from cortexcast_training.eegfmri.parcel_courses import parcel_courses, parcel_means
from cortexcast_training.eegfmri.resampling import cubic, moved, places, sample, sample_linear, within
from cortexcast_training.eegfmri.slice_timing import correct_slice_timing

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]


class PreprocessingSettings(Strict):
    """How BOLD is preprocessed."""

    slice_timing: bool = True
    slice_time_share: float = Field(0.0, ge=0, le=1)
    """Where in the TR all slices are brought to. At zero the time of a volume is that of its marker in the EEG."""
    motion_correction: bool = True
    normalisation: NormalisationSettings = NormalisationSettings()
    smoothing_mm: NonNegativeFloat = 0.0
    """Full width at half maximum. Parcels need none: it would mix them."""
    nuisance: NuisanceSettings = NuisanceSettings()


@dataclass(frozen=True)
class PreprocessedBold:
    """A run of BOLD.

    Attributes:
        parcels: ``(n_parcels, n_volumes)``, change in percent of the parcel's mean, nuisance taken out; NaN in parcels
            that were not scanned.
        times: ``(n_volumes,)`` in s after the first volume's beginning: when what a volume shows was.
        tr_s: from volume to volume.
        motion: ``(n_volumes, 6)``, as ``motion_correction.estimate_motion`` gives it.
        displacement: ``(n_volumes,)``, framewise, in mm; zero for the first.
        nuisance: ``(n_volumes, n_regressors)``, what was taken out of parcels, drift apart.
        volumes: float32, ``(x, y, z, n_volumes)`` in MNI space, smoothed, in the scanner's numbers, nuisance not taken
            out; zero outside ``brain``.
        brain: ``(x, y, z)``: the brain in MNI space, as far as it was scanned in every volume.
        registration: what was found; None where another program normalised.
        anatomy: the anatomical scan in MNI space; None without one.
    """

    parcels: Floats
    times: Floats
    tr_s: float
    motion: Floats
    displacement: Floats
    nuisance: Floats
    volumes: Nifti1Image
    brain: Mask
    registration: Registration | None
    anatomy: Nifti1Image | None


def preprocess_bold(scan: BoldScan, anatomy: Nifti1Image | None, settings: PreprocessingSettings) -> PreprocessedBold:
    """A run of BOLD in MNI space, and its parcels. The same scan gives the same result.

    Args:
        scan: of the run.
        anatomy: of the same head; without one the mean volume is brought to the template affinely.
        settings: how.

    Raises:
        BoldError: there is no brain in the scan, or slice timing is asked for and slice times are not known.
        MotionError: a volume shows no brain.
        RegistrationError: it does not fit the template.
        NuisanceError: the run is too short for what shall be taken out.
    """
    late_s = _late_s(scan, settings)
    volumes, affine = np.asarray(scan.volumes.dataobj, np.float32), np.asarray(scan.volumes.affine, np.float64)
    motion = np.zeros((volumes.shape[3], 6))
    if settings.motion_correction:
        motion = estimate_motion(volumes, affine, brain_mask(Nifti1Image(volumes.mean(axis=3), affine)))
    if settings.slice_timing and scan.slice_times is not None:
        volumes = correct_slice_timing(volumes, scan.slice_times, scan.slice_axis, scan.tr_s, late_s)
    maps = maps_of(motion)
    mean = Nifti1Image(mean_of_aligned(volumes, affine, maps), affine)
    brain = brain_mask(mean)
    voxel_mm = settings.normalisation.voxel_mm
    found = normalise(mean, brain, anatomy, settings.normalisation)
    seen = _scanned(brain, affine, maps, found.points, voxel_mm)
    normalised = _normalised(volumes, affine, maps, found.points, seen, voxel_mm)
    taken = regressors(settings.nuisance, motion, *_means(normalised, seen, voxel_mm))
    smooth = smoothed(normalised, seen, settings.smoothing_mm)
    means = parcel_means(smooth, grey_of(smooth) & seen)
    centre = places(brain.shape, affine)[:, brain.ravel()].mean(axis=1)
    return PreprocessedBold(
        parcels=parcel_courses(means, taken, scan.tr_s, settings.nuisance.longest_period_s),
        times=scan.tr_s * np.arange(len(motion), dtype=np.float64) + late_s,
        tr_s=scan.tr_s,
        motion=motion,
        displacement=framewise_displacement(motion, centre),
        nuisance=taken,
        volumes=smooth,
        brain=seen,
        registration=found,
        anatomy=_normalised_anatomy(anatomy, found, voxel_mm),
    )


def smoothed(volumes: Nifti1Image, brain: Mask, width_mm: float) -> Nifti1Image:
    """Volumes under a Gaussian kernel of this full width at half maximum, which does not reach out of the brain."""
    if not width_mm:
        return volumes
    inside = Nifti1Image(brain.astype(np.float32), volumes.affine)
    weights = np.asarray(smooth_img(inside, width_mm).dataobj)
    values = np.asarray(smooth_img(volumes, width_mm).dataobj, np.float32)
    values[brain] /= weights[brain][:, np.newaxis]
    values[~brain] = 0
    return Nifti1Image(values, volumes.affine)


def _late_s(scan: BoldScan, settings: PreprocessingSettings) -> float:
    """How long after its beginning what a volume shows was, on average over slices."""
    if not settings.slice_timing:
        # Without slice times: slices fill the TR.
        return scan.tr_s / 2 if scan.slice_times is None else float(scan.slice_times.mean())
    if scan.slice_times is None:
        raise BoldError("slice times are not known: put SliceTiming into the sidecar, or set slice_timing to false")
    return settings.slice_time_share * scan.tr_s


def _scanned(brain: Mask, affine: Floats, maps: Floats, points: Floats, voxel_mm: int) -> Mask:
    """The template's brain, ``(x, y, z)``, where BOLD shows one, and every volume has it in view."""
    in_template = template_brain(voxel_mm)
    seen = in_template.ravel() & (sample_linear(brain.astype(np.float32), affine, points) > 0.5)
    for to_volume in maps:
        seen[seen] = within(brain.shape, affine, moved(to_volume, points[:, seen]))
    return np.asarray(seen.reshape(in_template.shape))


def _normalised(
    volumes: Singles, affine: Floats, maps: Floats, points: Floats, seen: Mask, voxel_mm: int
) -> Nifti1Image:
    """Volumes in MNI space, each interpolated once."""
    values = np.zeros((*seen.shape, len(maps)), np.float32)
    where = points[:, seen.ravel()]
    for number, to_volume in enumerate(maps):
        values[seen, number] = sample(cubic(volumes[..., number]), affine, moved(to_volume, where))
    return Nifti1Image(values, template(voxel_mm).affine)


def _means(normalised: Nifti1Image, seen: Mask, voxel_mm: int) -> tuple[Floats, Floats]:
    """Of white matter and fluid, as far as they are seen, ``(n_tissues, n_volumes)``; and of the whole brain."""
    data = np.asarray(normalised.dataobj)
    tissues = (template_white(voxel_mm) & seen, template_fluid(voxel_mm) & seen)
    means = [data[tissue].mean(axis=0, dtype=np.float64) for tissue in tissues if tissue.any()]
    return np.array(means).reshape(-1, data.shape[3]), data[seen].mean(axis=0, dtype=np.float64)


def _normalised_anatomy(anatomy: Nifti1Image | None, found: Registration, voxel_mm: int) -> Nifti1Image | None:
    if anatomy is None or found.in_anatomy is None:
        return None
    grid = template(voxel_mm)
    values = sample_linear(np.asarray(anatomy.dataobj, np.float32), anatomy.affine, found.in_anatomy)
    return Nifti1Image(values.reshape(grid.shape), grid.affine)
