"""Runs that fMRIPrep has preprocessed, in the same form as our own.

Of a folder of derivatives three files of each run are read: ``*_space-MNI152*_desc-preproc_bold.nii.gz``,
``*_space-MNI152*_desc-brain_mask.nii.gz`` and ``*_desc-confounds_timeseries.tsv``. fMRIPrep corrects motion and slice
timing and normalises; it takes no nuisance out.

Source: Esteban et al., *Nature Methods* 16 (2019).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bold_file import BoldError, bold_scan, read_nifti, sidecar_fields
from cortexcast_training.eegfmri.bold_preprocessing import PreprocessedBold, smoothed
from cortexcast_training.eegfmri.brain_template import grey_of
from cortexcast_training.eegfmri.motion_correction import framewise_displacement
from cortexcast_training.eegfmri.nuisance import NuisanceSettings, regressors
from cortexcast_training.eegfmri.parcel_courses import parcel_courses, parcel_means

Floats = NDArray[np.float64]

_BOLD = "_desc-preproc_bold.nii.gz"
_MASK = "_desc-brain_mask.nii.gz"
_CONFOUNDS = "_desc-confounds_timeseries.tsv"
_SPACE = "_space-MNI152"

_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_TISSUE = ("white_matter", "csf")
_WHOLE_BRAIN = "global_signal"


def fmriprep_runs(folder: Path) -> list[Path]:
    """The preprocessed runs in MNI space under a folder of derivatives, by name.

    Raises:
        BoldError: there is none.
    """
    if not (found := sorted(folder.rglob(f"*{_SPACE}*{_BOLD}"))):
        raise BoldError(
            f"{folder} has no *{_SPACE}*{_BOLD}: give fMRIPrep's output, run with --output-spaces MNI152NLin2009cAsym"
        )
    return found


def mask_of(bold: Path) -> Path:
    """Where the brain mask of one of ``fmriprep_runs`` lies."""
    return bold.with_name(bold.name.removesuffix(_BOLD) + _MASK)


def confounds_of(bold: Path) -> Path:
    """Likewise its confounds."""
    return bold.with_name(bold.name.split(_SPACE)[0] + _CONFOUNDS)


def read_fmriprep(bold: Path, nuisance: NuisanceSettings, smoothing_mm: float = 0.0) -> PreprocessedBold:
    """A run that fMRIPrep has preprocessed.

    Args:
        bold: one of ``fmriprep_runs``; its mask and confounds lie beside it.
        nuisance: what is taken out.
        smoothing_mm: full width at half maximum.

    Raises:
        BoldError: a file is missing or damaged, or does not belong to the others.
        NuisanceError: the run is too short for what shall be taken out.
    """
    if _SPACE not in bold.name or not bold.name.endswith(_BOLD):
        raise BoldError(f"{bold.name} is not in MNI space, *{_SPACE}*{_BOLD}: parcels lie there")
    fields = sidecar_fields(bold)
    image = read_nifti(bold)
    try:
        # Slices are no longer what they were when they were recorded.
        scan = bold_scan(image, {key: value for key, value in fields.items() if not key.startswith("Slice")})
    except BoldError as error:
        raise BoldError(f"{bold}: {error}") from None
    brain, confounds = _brain(mask_of(bold), scan.volumes), confounds_of(bold)
    n_volumes = scan.volumes.shape[3]
    motion, tissue, whole = (_columns(confounds, names, n_volumes) for names in (_MOTION, _TISSUE, (_WHOLE_BRAIN,)))
    volumes = smoothed(
        Nifti1Image(np.where(brain[..., np.newaxis], scan.volumes.dataobj, 0), image.affine), brain, smoothing_mm
    )
    taken = regressors(nuisance, motion, tissue.T, whole[:, 0])
    return PreprocessedBold(
        parcels=parcel_courses(
            parcel_means(volumes, brain & grey_of(volumes)), taken, scan.tr_s, nuisance.longest_period_s
        ),
        # Its slice timing ends in the middle of the volume, unless it was run otherwise.
        times=scan.tr_s * np.arange(n_volumes, dtype=np.float64) + float(fields.get("StartTime", scan.tr_s / 2)),
        tr_s=scan.tr_s,
        motion=motion,
        displacement=framewise_displacement(motion, np.zeros(3)),
        nuisance=taken,
        volumes=volumes,
        brain=brain,
        registration=None,
        anatomy=None,
    )


def _brain(path: Path, volumes: Nifti1Image) -> NDArray[np.bool_]:
    mask = read_nifti(path)
    if mask.shape != volumes.shape[:3] or not np.allclose(mask.affine, volumes.affine, atol=1e-3):
        raise BoldError(f"{path} and the volumes have different voxels: both must be of one run of fMRIPrep")
    brain = np.asarray(mask.dataobj) > 0
    if not brain.any():
        raise BoldError(f"{path} is empty: fMRIPrep found no brain, look at its report")
    return brain


def _columns(path: Path, names: tuple[str, ...], n_volumes: int) -> Floats:
    """``(n_volumes, n_names)``."""
    try:
        table = pd.read_csv(path, sep="\t", na_values="n/a")
    except FileNotFoundError:
        raise BoldError(f"there is no {path}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BoldError(f"{path} cannot be read: {error}") from None
    if missing := [name for name in names if name not in table.columns]:
        raise BoldError(f"{path} has no column {', '.join(missing)}: give the confounds that fMRIPrep wrote")
    if len(table) != n_volumes:
        raise BoldError(f"{path} has {len(table)} rows and the run {n_volumes} volumes: both must be of one run")
    values = table.loc[:, list(names)].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise BoldError(f"{path} has gaps in {', '.join(names)}: give the confounds that fMRIPrep wrote")
    return values
