"""Bundles to break: the small model of ``factories`` as a folder, with one thing wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from factories import CAP, WEIGHTS, fmri_fields, manifest_fields, onnx_linear
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image

from cortexcast_models.bundle import MANIFEST_FILE, pack_golden, write_bundle


def write_small_bundle(
    folder: Path,
    *,
    graph: bytes | None = None,
    golden_scale: float = 1.0,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """A valid bundle, but for what the arguments say; ``change`` edits the manifest after it was written."""
    fields = manifest_fields()
    del fields["files"]
    eeg = np.random.default_rng(1).normal(scale=1e-5, size=(len(CAP), 8)).astype(np.float32)
    golden = pack_golden({"eeg": eeg, "meg": np.float32(golden_scale) * (WEIGHTS @ eeg)})
    write_bundle(folder, fields, {"model.onnx": graph or onnx_linear(WEIGHTS, 8), "golden.npz": golden})
    if change is not None:
        path = folder / MANIFEST_FILE
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))
    return folder


def _parcels(channels: list[dict[str, Any]]) -> Nifti1Image:
    """Where each parcel lies: the voxels of 5 mm that are nearest to its centre, within 8 mm."""
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = -10, -100, 0
    shape = 12, 8, 8
    places = apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    centres = 1000 * np.array([channel["location"] for channel in channels])
    distance = np.linalg.norm(places[:, np.newaxis] - centres, axis=2)
    labels = np.where(distance.min(axis=1) <= 8, distance.argmin(axis=1) + 1, 0)
    return Nifti1Image(labels.reshape(shape).astype(np.int16), affine)


def write_small_fmri_bundle(folder: Path) -> Path:
    """A valid bundle of fMRI beside the small one of MEG."""
    fields = fmri_fields()
    del fields["files"]
    eeg = np.random.default_rng(1).normal(scale=1e-5, size=(len(CAP), 8)).astype(np.float32)
    files = {
        "model.onnx": onnx_linear(WEIGHTS, 8, mean=True),
        "golden.npz": pack_golden({"eeg": eeg, "meg": WEIGHTS @ eeg.mean(axis=1, keepdims=True)}),
        "parcels.nii.gz": gzip.compress(_parcels(fields["channels"]).to_bytes()),
    }
    write_bundle(folder, fields, files)
    return folder
