"""The pure modules of the dashboard, by Node's own test runner."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from needed import WEB, node
from numpy.typing import DTypeLike

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    done = subprocess.run([node(), "--test", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


READ_LABELS = f"""
import {{ readFileSync }} from "node:fs";
import {{ readLabels }} from "{(WEB / "site" / "nifti.js").as_uri()}";
const bytes = Uint8Array.from(readFileSync(process.argv[1])).buffer;
readLabels(bytes).then(
  ({{ shape, affine, labels }}) => console.log(JSON.stringify({{ shape, affine, labels: [...labels] }})),
  (error) => console.log(JSON.stringify({{ error: error.message }})),
);
"""


def read_labels(file: Path) -> dict[str, Any]:
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", READ_LABELS, str(file)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_labels_of_a_nifti_are_read_as_nibabel_wrote_them(tmp_path: Path, kind: DTypeLike, suffix: str) -> None:
    labels = np.random.default_rng(0).integers(0, 200, (4, 5, 3)).astype(kind)
    affine = np.array([[-4.0, 0, 0, 98], [0, 4, 0, -134], [0, 0, 4, -72], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / f"labels{suffix}")
    read = read_labels(tmp_path / f"labels{suffix}")
    assert read["shape"] == [4, 5, 3]
    np.testing.assert_array_equal(read["labels"], labels.ravel(order="F"))
    np.testing.assert_allclose(read["affine"], affine[:3].ravel())


def test_what_is_no_nifti_is_told(tmp_path: Path) -> None:
    file = tmp_path / "other.nii.gz"
    file.write_bytes(gzip.compress(bytes(1000)))
    assert "no NIfTI-1 of labels" in str(read_labels(file)["error"])
