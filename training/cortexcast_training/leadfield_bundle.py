"""The bundle ``meg-leadfield``: the minimum norm map from EEG to MEG as an ONNX graph. Nothing in it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cortexcast_models.bundle import Bundle, pack_golden, write_bundle
from cortexcast_training.leadfield import CAP, LeadFields
from cortexcast_training.manifest_fields import GOLDEN, MODEL, channels, montage, tensor
from cortexcast_training.minimum_norm import RANGE_M, SNR, Estimator, fit, random_fields

NAME = "meg-leadfield"
WINDOW = 8
COMMAND = f"cortexcast export {NAME}"

_OPSET = 17
_IR_VERSION = 8
"""Both old enough for ONNX Runtime 1.20 and fixed, so that a newer ``onnx`` writes the same bytes."""

_WEIGHT_BITS = 13
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Constants = dict[str, Singles]


def export(directory: Path, lead: LeadFields) -> Bundle:
    """Make the bundle of these lead fields and write it. The same lead fields give the same bytes.

    Raises:
        BundleError: ``directory`` holds something that is not a bundle.
    """
    estimator = fit(random_fields(lead))
    constants = _constants(estimator)
    files = {MODEL: _graph(constants), GOLDEN: pack_golden(_golden(constants))}
    return write_bundle(directory, _fields(estimator), files)


def _constants(estimator: Estimator) -> Constants:
    """The graph's weights by name, rounded.

    Another processor's BLAS sums in another order and changes the last bits. Rounded far above those, to 13 bits of
    each row's largest weight, the weights come out the same everywhere. The error, 1e-4 of a row's largest weight,
    is nothing beside that of any head model.
    """
    return {
        "weights": _rounded(estimator.weights),
        "whitener": _rounded(estimator.whitener),
        "unit_std": _rounded(estimator.unit_std[:, np.newaxis])[:, 0],
    }


def _rounded(matrix: Floats) -> Singles:
    exponent = np.floor(np.log2(np.abs(matrix).max(axis=1, keepdims=True)))
    step = 2.0 ** (exponent + 1 - _WEIGHT_BITS)
    return np.asarray(np.round(matrix / step) * step, np.float32)


def _graph(constants: Constants) -> bytes:
    """``meg = W·eeg``; ``meg_std = unit_std · rms(whitener·eeg)``, in volts, teslas and teslas per metre.

    float32 needs no scaling: the smallest number inside is the mean square of the whitened EEG, 1e-10 V² at 10 µV and
    still a normal float at 1e-13 V.
    """
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["weights", "eeg"], ["meg"]),
            helper.make_node("MatMul", ["whitener", "eeg"], ["white"]),
            helper.make_node("Mul", ["white", "white"], ["power"]),
            helper.make_node("ReduceMean", ["power"], ["mean_power"], axes=[0, 1], keepdims=0),
            helper.make_node("Sqrt", ["mean_power"], ["scale"]),
            helper.make_node("Mul", ["unit_std", "scale"], ["meg_std"]),
        ],
        NAME,
        [helper.make_tensor_value_info("eeg", TensorProto.FLOAT, [len(CAP), WINDOW])],
        [
            helper.make_tensor_value_info("meg", TensorProto.FLOAT, [len(constants["weights"]), WINDOW]),
            helper.make_tensor_value_info("meg_std", TensorProto.FLOAT, [len(constants["weights"])]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="cortexcast",
        producer_version="",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _golden(constants: Constants) -> dict[str, Singles]:
    """EEG of 20 µV, uniform, average referenced, and what the rounded weights make of it in double precision."""
    steps = np.random.default_rng(70).integers(-350, 351, (len(CAP), WINDOW))  # of 0.1 µV
    eeg = ((steps - steps.mean(axis=0)) * 1e-7).astype(np.float32)
    exact = eeg.astype(np.float64)
    weights, whitener, unit_std = (constants[k].astype(np.float64) for k in ("weights", "whitener", "unit_std"))
    scale = np.sqrt(np.mean((whitener @ exact) ** 2))
    return {
        "eeg": eeg,
        "meg": (weights @ exact).astype(np.float32),
        "meg_std": (unit_std * scale).astype(np.float32),
    }


def _fields(estimator: Estimator) -> dict[str, Any]:
    sensors = channels()
    return {
        "manifest_version": 1,
        "name": NAME,
        "version": "1.0.0",
        "description": "306-channel MEG by a minimum norm lead-field map, physics only: the baseline",
        "product": "meg",
        "trained_on": "physics",
        "model_file": MODEL,
        "window": WINDOW,
        "hop": WINDOW,
        "lookahead": 0,
        "montage": montage(),
        "preprocessing": {
            "resample": {"kind": "resample", "rate_hz": 200.0, "passband_hz": 45.0, "stopband_db": 60.0},
            "filters": [{"kind": "highpass", "hz": 0.3, "order": 2}],
            "reference": "average",
        },
        "inputs": [tensor("eeg", "eeg", {"channel": len(CAP), "time": WINDOW})],
        "outputs": [
            tensor("meg", "estimate", {"channel": len(sensors), "time": WINDOW}),
            tensor("meg_std", "std", {"channel": len(sensors)}),
        ],
        "channels": sensors,
        "golden": {"file": GOLDEN, "tolerance": 1e-5},
        "metrics": _metrics(estimator, np.array([sensor["type"] == "mag" for sensor in sensors])),
        "built_by": COMMAND,
        "licence": "BSD-3-Clause; computed from FreeSurfer's fsaverage template as MNE-Python and nilearn ship it",
        "intended_use": (
            "A baseline: estimates the part of MEG that EEG predicts, on a template head, for cortical activity "
            f"without known structure, correlated over {RANGE_M * 1e2:g} cm, at an EEG SNR of {SNR:g}. "
            "It holds no more information than the EEG. Not for clinical use."
        ),
    }


def _metrics(estimator: Estimator, is_mag: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """What the prior implies. No recording is involved, which the names say."""
    return [
        {
            "name": f"{sensors} variance explained if the model's own prior were true (computed, not measured)",
            "value": round(estimator.explained_variance(which), 3),
            "command": COMMAND,
        }
        for sensors, which in (("magnetometer", is_mag), ("gradiometer", ~is_mag))
    ]
