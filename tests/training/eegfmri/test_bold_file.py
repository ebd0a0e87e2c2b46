"""Scans are read as they are, and each fault that would spoil the result without a word is told by name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.testing import data_path

from cortexcast_training.eegfmri.bold_file import (
    BoldError,
    bold_scan,
    read_anatomy,
    read_bold,
    read_nifti,
    sidecar_fields,
)

SHAPE = (5, 6, 4, 8)
AFFINE = np.diag([-3.0, 3.0, 3.5, 1.0])
FIELDS = {"RepetitionTime": 2.1, "SliceTiming": [0.0, 1.05, 0.5, 1.6]}


def image(shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE, tr_s: float = 2.1) -> Nifti1Image:
    values = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)
    made = Nifti1Image(values, affine)
    made.header.set_xyzt_units("mm", "sec")
    if len(shape) == 4:
        made.header.set_zooms((*made.header.get_zooms()[:3], tr_s))
    return made


def with_header(change: Callable[[Nifti1Header], None]) -> Nifti1Image:
    """An image in whose file somebody has changed the header alone."""
    made = image()
    made.set_qform(AFFINE, 1)
    raw = bytearray(made.to_bytes())
    header = Nifti1Image.from_bytes(bytes(raw)).header
    change(header)
    raw[: len(header.binaryblock)] = header.binaryblock
    return Nifti1Image.from_bytes(bytes(raw))


@given(st.sampled_from(["k", "k-", "i", "i-", "j", "j-"]), st.integers(0, 9))
def test_slices_are_where_the_sidecar_says(direction: str, seed: int) -> None:
    axis = "ijk".index(direction[0])
    times = np.random.default_rng(seed).permutation(SHAPE[axis]) * 2.1 / SHAPE[axis]
    scan = bold_scan(
        image(), {"RepetitionTime": 2.1, "SliceTiming": times.tolist(), "SliceEncodingDirection": direction}
    )
    assert scan.slice_axis == axis
    assert scan.slice_times is not None
    assert np.array_equal(scan.slice_times, times[::-1] if direction.endswith("-") else times)


def test_a_scan_is_as_in_its_files(tmp_path: Path) -> None:
    """Here with the sidecar of the whole data set, and one of the run that says more."""
    folder = tmp_path / "sub-01" / "func"
    folder.mkdir(parents=True)
    made = image()
    nibabel.save(made, folder / "sub-01_task-film_run-1_bold.nii.gz")
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "task-film_bold.json").write_text(json.dumps(FIELDS | {"RepetitionTime": 99.0}))
    (tmp_path / "task-rest_bold.json").write_text(json.dumps({"SliceTiming": [0.0]}))
    (folder / "sub-01_task-film_run-1_bold.json").write_text(json.dumps({"RepetitionTime": 2.1}))
    scan = read_bold(folder / "sub-01_task-film_run-1_bold.nii.gz")
    assert np.array_equal(scan.volumes.dataobj, made.dataobj)
    assert np.array_equal(scan.volumes.affine, AFFINE)
    assert scan.tr_s == 2.1
    assert scan.slice_times is not None
    assert scan.slice_times.tolist() == FIELDS["SliceTiming"]


def test_the_tr_may_be_in_the_header_alone() -> None:
    scan = bold_scan(image(), {})
    assert scan.tr_s == pytest.approx(2.1)
    assert scan.slice_times is None
    milliseconds = image(tr_s=2100.0)
    milliseconds.header.set_xyzt_units("mm", "msec")
    assert bold_scan(milliseconds, {}).tr_s == pytest.approx(2.1)


def no_codes(header: Nifti1Header) -> None:
    header["sform_code"] = header["qform_code"] = 0


def flat(header: Nifti1Header) -> None:
    header["srow_z"] = 0


def stretched(header: Nifti1Header) -> None:
    header["srow_x"] *= 2


def mirrored(header: Nifti1Header) -> None:
    header["srow_x"] *= -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_codes, r"no orientation \(sform_code and qform_code are 0\)"),
        (flat, "affine cannot be inverted"),
        (stretched, r"voxels measure 3 × 3 × 3.5 mm by pixdim and 6 × 3 × 3.5 mm by the affine"),
        (mirrored, "axes point to RAS by sform and to LAS by qform"),
    ],
)
def test_an_orientation_that_is_missing_or_wrong_is_told(change: Callable[[Nifti1Header], None], message: str) -> None:
    with pytest.raises(BoldError, match=message):
        bold_scan(with_header(change), FIELDS)


@given(st.sampled_from(["LAS", "RAS", "LPS", "RPI", "ASR", "PIR"]), st.floats(-30, 30))
def test_every_right_orientation_is_taken(axes: str, turned_deg: float) -> None:
    """Left-handed and oblique ones too: the affine says it all."""
    turn = np.eye(4)
    cos, sin = np.cos(np.radians(turned_deg)), np.sin(np.radians(turned_deg))
    turn[1:3, 1:3] = [[cos, -sin], [sin, cos]]
    flip = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(tuple(axes)), SHAPE[:3])
    affine = turn @ np.diag([3.0, 3.0, 3.5, 1.0]) @ np.linalg.inv(flip)
    made = image(affine=affine)
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    assert np.allclose(bold_scan(made, {"RepetitionTime": 2.1}).volumes.affine, affine)


@pytest.mark.parametrize(
    ("made", "fields", "message"),
    [
        (image(SHAPE[:3]), FIELDS, "BOLD has 4 dimensions, this has 3: give the whole run"),
        (image((*SHAPE, 2)), FIELDS, "BOLD has 4 dimensions, this has 5"),
        (image((*SHAPE[:3], 1)), FIELDS, "there is a single volume"),
        (image(tr_s=0), {}, "neither the sidecar nor the header has a TR"),
        (image(tr_s=2.0), FIELDS, r"the TR is 2\.1 s by the sidecar and 2 s by the header"),
        (image(tr_s=0), {"RepetitionTime": 2100}, "a TR of 2100 s cannot be, was it in ms"),
        (image(), {"RepetitionTime": "2.1"}, r"RepetitionTime in the sidecar is '2\.1'"),
        (
            image(),
            FIELDS | {"SliceTiming": [0.0, 1.0, 0.5]},
            "SliceTiming has 3 times and the volumes 4 slices along k",
        ),
        (
            image(),
            FIELDS | {"SliceTiming": [0, 500, 1000, 1500]},
            "from 0 to 1500 s, outside a TR of 2.1 s: is it in ms",
        ),
        (image(), FIELDS | {"SliceTiming": "interleaved"}, "must be a list of seconds"),
        (image(), FIELDS | {"SliceEncodingDirection": "z"}, "SliceEncodingDirection in the sidecar is 'z'"),
    ],
)
def test_a_scan_that_cannot_be_used_is_told(made: Nifti1Image, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BoldError, match=message) as error:
        bold_scan(made, fields)
    assert "\n" not in str(error.value)


def test_voxels_that_are_no_numbers_and_volumes_without_a_brain_are_told() -> None:
    values = np.asarray(image().dataobj, np.float32).copy()
    values[1, 2, 3, 4] = np.nan
    values[0, 0, 0, 0] = np.inf
    with pytest.raises(BoldError, match=r"2 of 960 voxels are no numbers \(NaN or infinite\)"):
        bold_scan(Nifti1Image(values, AFFINE), FIELDS)
    values = np.asarray(image().dataobj, np.float32).copy()
    values[..., -2:] = 0
    with pytest.raises(BoldError, match="2 of 8 volumes are empty, the first is number 7"):
        bold_scan(Nifti1Image(values, AFFINE), {"RepetitionTime": 2.1})
    with pytest.raises(BoldError, match="voxels are complex64, not numbers"):
        bold_scan(Nifti1Image(values.astype(np.complex64), AFFINE), {"RepetitionTime": 2.1})


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_bold.nii.gz"
    with pytest.raises(BoldError, match=r"there is no .*sub-01_bold\.nii\.gz"):
        read_bold(path)
    path.write_bytes(gzip.compress(b"text"))
    with pytest.raises(BoldError, match="is no NIfTI"):
        read_bold(path)
    nibabel.save(image(), path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(BoldError, match="is damaged, fetch it anew"):
        read_bold(path)
    nibabel.save(image(), path)
    path.with_name("sub-01_bold.json").write_text("{")
    with pytest.raises(BoldError, match=r"sub-01_bold\.json cannot be read"):
        sidecar_fields(path)
    path.with_name("sub-01_bold.json").write_text('{"RepetitionTime": 3}')
    with pytest.raises(BoldError, match=r"sub-01_bold\.nii\.gz: the TR is 3 s by the sidecar"):
        read_bold(path)


def test_an_anatomical_scan_is_one_volume(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_T1w.nii"
    nibabel.save(image((*SHAPE[:3], 1)), path)
    assert read_anatomy(path).shape == SHAPE[:3]
    nibabel.save(image(), path)
    with pytest.raises(BoldError, match=r"sub-01_T1w\.nii: an anatomical scan has 3 dimensions, this has 4"):
        read_anatomy(path)
    nibabel.save(Nifti1Image(np.zeros(SHAPE[:3], np.int16), AFFINE), path)
    with pytest.raises(BoldError, match="every voxel is the same"):
        read_anatomy(path)


def test_a_real_header_that_has_its_tr_in_milliseconds_but_says_seconds_is_told() -> None:
    made = read_nifti(Path(data_path, "example4d.nii.gz"))
    with pytest.raises(BoldError, match="a TR of 2000 s cannot be, was it in ms"):
        bold_scan(made, {})
    with pytest.raises(BoldError, match="the TR is 2 s by the sidecar and 2000 s by the header"):
        bold_scan(made, {"RepetitionTime": 2.0})


def test_real_slice_times_are_taken(real_data: Path) -> None:
    folder = real_data / "bids/natview/sub-01/ses-01/func"
    fields = sidecar_fields(folder / "sub-01_ses-01_task-dme_run-01_bold.nii.gz")
    scan = bold_scan(image((3, 3, 38, 2)), fields)
    assert scan.tr_s == 2.1
    assert scan.slice_times is not None
    assert np.sort(scan.slice_times)[[0, -1]].tolist() == [0.0, 2.0525]


@pytest.mark.parametrize("run", ["run001", "run002", "run003", "run004"])
def test_a_real_scan_is_read(real_data: Path, run: str) -> None:
    scan = read_bold(real_data / "bold" / run / "bold_25mm.nii.gz")
    assert scan.volumes.shape == (6, 10, 10, 121)
    assert scan.tr_s == 2.5
    assert scan.slice_times is None
