"""ONNX Runtime behind a bundle: one thread, no spinning; shapes and golden tensors are checked before use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cortexcast_models.bundle import Arrays, Bundle, BundleError, Infer, check_golden
from cortexcast_models.manifest import Tensor


class Loaded(NamedTuple):
    """A bundle that is ready: ``infer`` runs its graph."""

    bundle: Bundle
    infer: Infer


def model_names(models: Iterable[Loaded]) -> str:
    """In words: name, version and what each was trained on."""
    manifests = (model.bundle.manifest for model in models)
    return ", ".join(f"{each.name} {each.version} ({each.trained_on})" for each in manifests)


def load(bundle: Bundle) -> Infer:
    """A function that runs the bundle's graph, proven on the golden tensors and thereby warm.

    Raises:
        BundleError: the file is not an ONNX graph, its inputs or outputs are not the manifest's, or it computes
            something else than its golden output.
    """
    options = ort.SessionOptions()
    # The default pool takes every core and spins for a second after each call.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(bundle.model_path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own C++ layer, with no common public root
        raise BundleError(f"{bundle.model_path} is not a graph that ONNX Runtime reads: {error}") from None
    manifest = bundle.manifest
    _check(bundle, "input", manifest.inputs, session.get_inputs())
    _check(bundle, "output", manifest.outputs, session.get_outputs())
    infer = _Bound(session, [tensor.name for tensor in manifest.outputs])
    check_golden(bundle, infer)
    return infer


class _Bound:
    def __init__(self, session: ort.InferenceSession, outputs: list[str]) -> None:
        self._session = session
        self._outputs = outputs

    def __call__(self, arrays: Arrays) -> Mapping[str, NDArray[np.float32]]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(arrays)), strict=True))


def _check(bundle: Bundle, kind: str, declared: Sequence[Tensor], found: Sequence[ort.NodeArg]) -> None:
    expected = {tensor.name: (list(tensor.shape), f"tensor({tensor.dtype.removesuffix('32')})") for tensor in declared}
    actual = {node.name: (node.shape, node.type) for node in found}
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise BundleError(
                f"{bundle.model_path}: {kind} {name!r} is {_words(actual.get(name))} in the graph but "
                f"{_words(expected.get(name))} in the manifest: export the bundle again"
            )


def _words(tensor: tuple[list[int], str] | None) -> str:
    return "absent" if tensor is None else f"{tensor[1]} {tensor[0]}"
