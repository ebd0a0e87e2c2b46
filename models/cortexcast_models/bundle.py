"""A bundle: a folder with a manifest, an ONNX graph and golden tensors, each file under its sha256.

The shipped bundles lie in ``bundles/`` beside this file.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cortexcast_models.manifest import Manifest, Tensor

MANIFEST_FILE = "manifest.json"
SHIPPED = Path(__file__).parent / "bundles"
DEFAULTS = {"meg": "meg-transformer", "fmri": "fmri-vae", "stimulus": "stimulus-vae"}
"""The shipped bundle of each product that is run where none is named."""

DEFAULT = DEFAULTS["meg"]

Arrays = Mapping[str, NDArray[np.float32]]
Infer = Callable[[Arrays], Arrays]
"""Runs the graph once: arrays by input name in, arrays by output name out."""


class BundleError(Exception):
    """The bundle is missing, damaged, or not what its manifest says. The message says which and what to do."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest parsed and whose files have the right sha256."""

    directory: Path
    manifest: Manifest
    digest: str
    """sha256 of the manifest, which holds the sha256 of every other file: one name for the whole bundle."""

    @property
    def model_path(self) -> Path:
        """The ONNX graph."""
        return self.directory / self.manifest.model_file

    def golden(self) -> dict[str, NDArray[np.float32]]:
        """The golden tensors by name, inputs and outputs together.

        Raises:
            BundleError: not an .npz, or one that does not hold every tensor as the manifest has it, in finite numbers.
        """
        path = self.directory / self.manifest.golden.file
        try:
            with path.open("rb") as file, np.load(file) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:  # of NumPy, zipfile or zlib, with no common root
            raise BundleError(f"{path} is not an .npz of tensors: export the bundle again") from error
        for tensor in (*self.manifest.inputs, *self.manifest.outputs):
            problem = _problem(tensor, arrays.get(tensor.name))
            if problem is not None:
                raise BundleError(f"{path}: tensor {tensor.name!r} {problem}: export the bundle again")
        return arrays


def shipped_bundles() -> list[str]:
    """The names of the bundles that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST_FILE}"))


def find_bundle(name_or_path: str | Path) -> Path:
    """The folder of a shipped bundle (by name) or of any other (by path).

    Raises:
        BundleError: neither exists.
    """
    for candidate in (SHIPPED / name_or_path, Path(name_or_path)):
        if (candidate / MANIFEST_FILE).is_file():
            return candidate
    names = ", ".join(shipped_bundles()) or "none"
    raise BundleError(
        f"no bundle {str(name_or_path)!r}: give the name of a shipped one ({names}) "
        f"or the path of a folder with a {MANIFEST_FILE}"
    )


def read_bundle(name_or_path: str | Path) -> Bundle:
    """Read a bundle and verify every file's sha256.

    Raises:
        BundleError: no such bundle, a manifest that does not parse, a file missing or altered.
    """
    directory = find_bundle(name_or_path)
    text = (directory / MANIFEST_FILE).read_bytes()
    manifest = parse_manifest(text, source=str(directory / MANIFEST_FILE))
    for name, expected in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise BundleError(f"{path} is missing: the bundle is incomplete, fetch or export it again")
        if _sha256(path.read_bytes()) != expected:
            raise BundleError(
                f"{path} does not have the sha256 of the manifest: it is damaged, fetch or export it again"
            )
    return Bundle(directory, manifest, _sha256(text))


def parse_manifest(text: bytes, *, source: str) -> Manifest:
    """Parse a manifest's JSON.

    Raises:
        BundleError: with the path of each offending key.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {_plain(e['type'], e['msg'])}" for e in error.errors()[:5]
        )
        raise BundleError(f"{source}: {problems}") from None


def write_bundle(directory: Path, fields: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle as a whole or not at all.

    Args:
        directory: the new bundle's folder; an older bundle there is replaced.
        fields: the manifest without ``files``.
        files: the content of every other file by name.

    Raises:
        BundleError: the fields are not a valid manifest, or a file's name is not a plain one.
    """
    hashes = {name: _sha256(content) for name, content in sorted(files.items())}
    text = json.dumps({**fields, "files": hashes}, indent=1, ensure_ascii=False).encode() + b"\n"
    parse_manifest(text, source=str(directory / MANIFEST_FILE))
    if directory.exists() and not (directory / MANIFEST_FILE).is_file() and any(directory.iterdir()):
        raise BundleError(f"{directory} exists and is not a bundle: choose another folder")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as staging:
        fresh = Path(staging) / "new"
        fresh.mkdir()
        for name, content in {**files, MANIFEST_FILE: text}.items():
            (fresh / name).write_bytes(content)
        if directory.exists():
            directory.rename(Path(staging) / "old")
        shutil.move(fresh, directory)
    return read_bundle(directory)


def pack_golden(arrays: Arrays) -> bytes:
    """The .npz of golden tensors; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: np.asarray(array, np.float32) for name, array in arrays.items()})
    return buffer.getvalue()


def check_golden(bundle: Bundle, infer: Infer) -> dict[str, float]:
    """Replay the golden tensors through ``infer``.

    Returns:
        The greatest deviation of each output, as a fraction of that output's RMS.

    Raises:
        BundleError: the golden file does not hold the tensors, an output is zero throughout there, or one deviates by
            more than the manifest's tolerance.
    """
    golden = bundle.golden()
    manifest = bundle.manifest
    given = infer({tensor.name: golden[tensor.name] for tensor in manifest.inputs})
    deviations: dict[str, float] = {}
    for tensor in manifest.outputs:
        expected = golden[tensor.name].astype(np.float64)
        rms = float(np.sqrt(np.mean(expected**2)))
        if not rms:
            raise BundleError(
                f"bundle {manifest.name}: golden output {tensor.name!r} is zero throughout and proves nothing: "
                "export the bundle again with an input that moves it"
            )
        deviation = float(np.abs(given[tensor.name] - expected).max()) / rms
        if not deviation <= manifest.golden.tolerance:
            raise BundleError(
                f"bundle {manifest.name}: output {tensor.name!r} deviates from its golden tensor by {deviation:.3g} of "
                f"its RMS, allowed is {manifest.golden.tolerance:g}: this machine computes it wrongly, do not use it"
            )
        deviations[tensor.name] = deviation
    return deviations


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _problem(tensor: Tensor, array: NDArray[np.generic] | None) -> str | None:
    """Why an array cannot be the golden tensor."""
    if array is None:
        return "is missing"
    if (array.dtype.name, array.shape) != (tensor.dtype, tensor.shape):
        return f"is {array.dtype} {array.shape}, the manifest has {tensor.dtype} {tensor.shape}"
    if not np.isfinite(array).all():
        return "holds values that are not finite"
    return None


def _plain(kind: str, message: str) -> str:
    return "unknown key, remove it or correct its spelling" if kind == "extra_forbidden" else message
