"""Read a scan of BOLD and what its sidecar says of it, and refuse what would come out wrong without a word.

Formats: NIfTI-1 and NIfTI-2; the Brain Imaging Data Structure (Gorgolewski et al., *Scientific Data* 3 (2016)).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from cortexcast_training import bids_files
from cortexcast_training.recording import RecordingError

Floats = NDArray[np.float64]

_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_LONGEST_TR_S = 30.0
_AGREE = 0.01
"""Of two statements of one length, in proportion."""


class BoldError(Exception):
    """A scan cannot be used. The message says what is wrong with it, and what to do."""


@dataclass(frozen=True)
class BoldScan:
    """A scan of BOLD.

    Attributes:
        volumes: float32, ``(x, y, z, n_volumes)``; its affine maps voxels to the scanner's mm.
        tr_s: from volume to volume.
        slice_times: ``(n_slices,)`` in s after the beginning of each volume; None: not known.
        slice_axis: along which slices lie.
    """

    volumes: Nifti1Image
    tr_s: float
    slice_times: Floats | None
    slice_axis: int = 2


def read_bold(path: Path) -> BoldScan:
    """The scan in ``*_bold.nii`` or ``*_bold.nii.gz``, and what the sidecars that apply to it say.

    Raises:
        BoldError: a file is missing, damaged or no scan, or ``bold_scan`` refuses what is in it.
    """
    image = read_nifti(path)
    try:
        return bold_scan(image, sidecar_fields(path))
    except BoldError as error:
        raise BoldError(f"{path}: {error}") from None


def read_anatomy(path: Path) -> Nifti1Image:
    """The anatomical scan in ``*_T1w.nii.gz``, with the skull or without.

    Raises:
        BoldError: the file is missing or damaged, has no orientation, or holds no volume.
    """
    image = read_nifti(path)
    try:
        return _anatomy(image)
    except BoldError as error:
        raise BoldError(f"{path}: {error}") from None


def bold_scan(image: Nifti1Image, fields: dict[str, Any]) -> BoldScan:
    """A scan as it was recorded.

    Args:
        image: 4-D.
        fields: of its sidecar: ``RepetitionTime`` in s, which may be in the header instead; ``SliceTiming`` in s and
            ``SliceEncodingDirection`` where slices were recorded one after the other.

    Raises:
        BoldError: orientation is missing or contradicts itself, voxels are no numbers, a volume is empty, there are not
            two volumes, or TR or slice times are missing or cannot be.
    """
    check_orientation(image)
    if len(image.shape) != 4:
        raise BoldError(f"BOLD has 4 dimensions, this has {len(image.shape)}: give the whole run in one file")
    n_volumes = image.shape[3]
    if n_volumes < 2:
        raise BoldError("there is a single volume, which tells of no change: give the whole run, not its reference")
    values = _numbers(image)
    if empty := [number for number in range(n_volumes) if np.ptp(values[..., number]) == 0]:
        raise BoldError(
            f"{len(empty)} of {n_volumes} volumes are empty, the first is number {empty[0] + 1}: "
            "cut the run, and its markers, where the scanner stopped"
        )
    tr_s = _tr_s(image, fields)
    times, axis = _slices(image.shape[:3], tr_s, fields)
    return BoldScan(Nifti1Image(values, image.affine), tr_s, times, axis)


def read_nifti(path: Path) -> Nifti1Image:
    """An image whose data can be read.

    Raises:
        BoldError: there is none, it is damaged, or of another format.
    """
    try:
        image = nibabel.load(path)
        np.asanyarray(image.dataobj)
    except FileNotFoundError:
        raise BoldError(f"there is no {path}") from None
    except (ImageFileError, HeaderDataError) as error:
        raise BoldError(f"{path} is no NIfTI: {error}") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BoldError(f"{path} is damaged, fetch it anew: {error}") from None
    if not isinstance(image, Nifti1Image):
        raise BoldError(f"{path} is no NIfTI, whose header tells left from right: convert the DICOM files anew")
    return image


def sidecar_fields(path: Path) -> dict[str, Any]:
    """See ``bids_files.sidecar_fields``.

    Raises:
        BoldError: a sidecar is no JSON.
    """
    try:
        return bids_files.sidecar_fields(path)
    except RecordingError as error:
        raise BoldError(str(error)) from None


def check_orientation(image: Nifti1Image) -> None:
    """Make sure that the header says where each voxel lies, and says it once.

    Raises:
        BoldError: it does not.
    """
    header, affine = image.header, np.asarray(image.affine, np.float64)
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not has_sform and not has_qform:
        raise BoldError(
            "the header has no orientation (sform_code and qform_code are 0), so left cannot be told from right: "
            "convert the DICOM files anew, with dcm2niix"
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise BoldError("the header's affine cannot be inverted: convert the DICOM files anew, with dcm2niix")
    sizes, stated = nibabel.affines.voxel_sizes(affine), np.array(header.get_zooms()[:3], np.float64)
    if not np.allclose(sizes, stated, rtol=_AGREE):
        raise BoldError(
            f"voxels measure {_mm(stated)} by pixdim and {_mm(sizes)} by the affine: "
            "correct the header of whatever program wrote it last"
        )
    if has_sform and has_qform:
        by_sform, by_qform = ("".join(nibabel.aff2axcodes(each)) for each in (header.get_sform(), header.get_qform()))
        if by_sform != by_qform:
            raise BoldError(
                f"axes point to {by_sform} by sform and to {by_qform} by qform: convert the DICOM files anew, or set "
                "the wrong one's code to 0"
            )


def _anatomy(image: Nifti1Image) -> Nifti1Image:
    check_orientation(image)
    values = _numbers(image)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise BoldError(f"an anatomical scan has 3 dimensions, this has {values.ndim}: give one volume")
    if np.ptp(values) == 0:
        raise BoldError("every voxel is the same: export it anew")
    return Nifti1Image(values, image.affine)


def _numbers(image: Nifti1Image) -> NDArray[np.float32]:
    if image.get_data_dtype().kind not in "iuf":
        raise BoldError(f"voxels are {image.get_data_dtype()}, not numbers: export the magnitude")
    values = np.asarray(image.dataobj, np.float32)
    if n := int(np.count_nonzero(~np.isfinite(values))):
        raise BoldError(f"{n} of {values.size} voxels are no numbers (NaN or infinite): give the scan as recorded")
    return values


def _tr_s(image: Nifti1Image, fields: dict[str, Any]) -> float:
    unit = image.header.get_xyzt_units()[1]
    in_header = float(image.header.get_zooms()[3]) * _SECONDS.get(unit, 1.0)
    stated = fields.get("RepetitionTime")
    if stated is not None and (not isinstance(stated, int | float) or not stated > 0):
        raise BoldError(f"RepetitionTime in the sidecar is {stated!r}: it must be in s")
    tr_s = float(stated) if stated is not None else in_header
    if not tr_s > 0:
        raise BoldError("neither the sidecar nor the header has a TR: put RepetitionTime, in s, into the sidecar")
    if tr_s > _LONGEST_TR_S:
        raise BoldError(f"a TR of {tr_s:g} s cannot be, was it in ms? Correct it in the sidecar or the header")
    if in_header > 0 and abs(in_header - tr_s) > _AGREE * tr_s:
        raise BoldError(
            f"the TR is {tr_s:g} s by the sidecar and {in_header:g} s by the header: correct the one that is wrong"
        )
    return tr_s


def _slices(shape: tuple[int, ...], tr_s: float, fields: dict[str, Any]) -> tuple[Floats | None, int]:
    direction = fields.get("SliceEncodingDirection", "k")
    if direction not in ("i", "j", "k", "i-", "j-", "k-"):
        raise BoldError(f"SliceEncodingDirection in the sidecar is {direction!r}: it must be i, j, k, i-, j- or k-")
    axis = "ijk".index(direction[0])
    stated = fields.get("SliceTiming")
    if stated is None:
        return None, axis
    try:
        times = np.array(stated, np.float64)
    except (TypeError, ValueError):
        times = np.empty(0)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all():
        raise BoldError("SliceTiming in the sidecar must be a list of seconds, one for each slice")
    if len(times) != shape[axis]:
        raise BoldError(
            f"SliceTiming has {len(times)} times and the volumes {shape[axis]} slices along {direction[0]}: slices "
            "were cut off or added, or SliceEncodingDirection is another"
        )
    if times.min() < 0 or times.max() >= tr_s:
        raise BoldError(
            f"SliceTiming runs from {times.min():g} to {times.max():g} s, outside a TR of {tr_s:g} s: is it in ms?"
        )
    return (times[::-1].copy() if direction.endswith("-") else times), axis


def _mm(sizes: Floats) -> str:
    return " × ".join(f"{size:.3g}" for size in sizes) + " mm"
