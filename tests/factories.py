"""Small real things that many tests need: a manifest, a linear model, a stream's contract."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.bundle import Arrays, parse_manifest
from cortexcast_models.manifest import Manifest
from cortexcast_models.montage import standard_positions
from cortexcast_server.signal import Channel, Chunk, Signal

CAP = (
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "Fz",
    "F4",
    "F8",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "P7",
    "P3",
    "Pz",
    "P4",
    "P8",
    "O1",
    "O2",
)
"""The 19 electrodes of the 10-20 system."""


def manifest_fields(**changes: Any) -> dict[str, Any]:
    """The fields of a valid manifest of a small MEG bundle, without files' content."""
    window, hop = changes.get("window", 8), changes.get("hop", 8)
    montage = [{"name": name, "position": standard_positions()[name.upper()]} for name in CAP]
    channels = [
        {"name": "MEG 0111", "type": "mag", "unit": "T"},
        {"name": "MEG 0112", "type": "grad", "unit": "T/m"},
        {"name": "MEG 0113", "type": "grad", "unit": "T/m"},
    ]
    fields: dict[str, Any] = {
        "manifest_version": 1,
        "name": "small",
        "version": "1.0.0",
        "description": "three sums of nineteen electrodes",
        "product": "meg",
        "trained_on": "physics",
        "files": {"model.onnx": "0" * 64, "golden.npz": "0" * 64},
        "model_file": "model.onnx",
        "window": window,
        "hop": hop,
        "montage": montage,
        "preprocessing": {
            "resample": {"kind": "resample", "rate_hz": 200.0, "passband_hz": 45.0},
            "filters": [{"kind": "highpass", "hz": 0.5, "order": 2}],
        },
        "inputs": [{"name": "eeg", "role": "eeg", "shape": [len(CAP), window], "axes": ["channel", "time"]}],
        "outputs": [{"name": "meg", "role": "estimate", "shape": [3, hop], "axes": ["channel", "time"]}],
        "channels": channels,
        "golden": {"file": "golden.npz", "tolerance": 1e-4},
        "built_by": "the tests",
        "licence": "BSD-3-Clause",
        "intended_use": "tests",
    }
    return {**fields, **changes}


def fmri_fields(**changes: Any) -> dict[str, Any]:
    """The same of a small bundle of fMRI: once a hop the mean over the window, of three parcels."""
    fields: dict[str, Any] = {
        "name": "small-fmri",
        "product": "fmri",
        "files": {"model.onnx": "0" * 64, "golden.npz": "0" * 64, "parcels.nii.gz": "0" * 64},
        "parcels_file": "parcels.nii.gz",
        "outputs": [{"name": "meg", "role": "estimate", "shape": [3, 1], "axes": ["channel", "time"]}],
        "channels": [
            {"name": f"Visual {number}", "type": "bold", "unit": "%", "location": [0.01 * number, -0.08, 0.02]}
            for number in (1, 2, 3)
        ],
    }
    return manifest_fields(**{**fields, **changes})


def make_manifest(**changes: Any) -> Manifest:
    """A manifest of a small MEG bundle."""
    import json

    return parse_manifest(json.dumps(manifest_fields(**changes)).encode(), source="the factory")


WEIGHTS: NDArray[np.float32] = np.random.default_rng(0).normal(size=(3, len(CAP))).astype(np.float32) * np.float32(1e-7)


def linear_infer(manifest: Manifest) -> Any:
    """The small bundle's graph as a function: the hop that lies ``lookahead`` before the window's end, or the mean."""
    stop = manifest.window - manifest.lookahead

    def infer(arrays: Arrays) -> Arrays:
        if manifest.product == "fmri":
            return {"meg": WEIGHTS @ arrays["eeg"].mean(axis=1, keepdims=True)}
        return {"meg": WEIGHTS @ arrays["eeg"][:, stop - manifest.hop : stop]}

    return infer


def onnx_linear(weights: NDArray[np.float32], hop: int, *, mean: bool = False) -> bytes:
    """The small bundle's graph as ONNX: of each sample of its window, or of their mean."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    n_out, n_in = weights.shape
    nodes = [helper.make_node("MatMul", ["weights", "eeg"], ["each" if mean else "meg"])]
    if mean:
        nodes.append(helper.make_node("ReduceMean", ["each"], ["meg"], axes=[1], keepdims=1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("eeg", TensorProto.FLOAT, [n_in, hop])],
        [helper.make_tensor_value_info("meg", TensorProto.FLOAT, [n_out, 1 if mean else hop])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()


def make_signal(rate_hz: float = 250.0, names: tuple[str, ...] = CAP, unit: str = "microvolts") -> Signal:
    """A headset's contract."""
    return Signal("headset", rate_hz, tuple(Channel(name, unit=unit) for name in names))


def eeg_like(n_channels: int, n_samples: int, seed: int = 0, offset_v: float = 0.01) -> NDArray[np.float32]:
    """Noise of 20 µV on an electrode's offset, ``(n_channels, n_samples)`` in volts."""
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-offset_v, offset_v, (n_channels, 1))
    return (offsets + 2e-5 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def chunks(
    data: NDArray[np.float32], times: NDArray[np.float64], sizes: list[int], received: float | None = None
) -> list[Chunk]:
    """The samples cut into chunks of these sizes, the rest as one more."""
    cuts = np.minimum(np.cumsum([0, *sizes]), data.shape[1]).tolist()
    cuts.append(data.shape[1])
    return [
        Chunk(data[:, a:b], times[a:b], float(times[0]) if received is None else received) for a, b in pairwise(cuts)
    ]
