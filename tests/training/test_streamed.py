"""A bundle run over a prepared recording gives what the server streams."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from factories import CAP, WEIGHTS, manifest_fields
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from prepared import noise_recording

from cortexcast_models.bundle import Bundle, BundleError, pack_golden, write_bundle
from cortexcast_server.inference import load
from cortexcast_server.model import Model
from cortexcast_training.streamed import StreamedModel

HOP, WINDOW, LOOKAHEAD = 8, 40, 16


def looking_ahead(folder: Path) -> Bundle:
    """A bundle that adds to its token's map the mean of all windows so far, and says how loud that is."""
    begin = WINDOW - LOOKAHEAD - HOP
    constants: dict[str, NDArray[Any]] = {
        "weights": WEIGHTS,
        "begin": np.array([begin], np.int64),
        "end": np.array([begin + HOP], np.int64),
        "axis": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["eeg", "begin", "end", "axis"], ["token"]),
            helper.make_node("MatMul", ["weights", "token"], ["mapped"]),
            helper.make_node("ReduceMean", ["eeg"], ["mean"], axes=[0, 1], keepdims=1),
            helper.make_node("Add", ["sum", "mean"], ["sum_next"]),
            helper.make_node("Add", ["mapped", "sum_next"], ["meg"]),
            helper.make_node("ReduceMax", ["mapped"], ["meg_std"], axes=[1], keepdims=0),
            helper.make_node("ReduceMean", ["eeg"], ["across"], axes=[0], keepdims=0),
            helper.make_node("ReduceMax", ["across"], ["novelty"], axes=[0], keepdims=1),
        ],
        "looking ahead",
        [
            helper.make_tensor_value_info("eeg", TensorProto.FLOAT, [len(CAP), WINDOW]),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("meg", TensorProto.FLOAT, [3, HOP]),
            helper.make_tensor_value_info("meg_std", TensorProto.FLOAT, [3]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("sum_next", TensorProto.FLOAT, [1, 1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    eeg = np.random.default_rng(1).standard_normal((len(CAP), WINDOW)).astype(np.float32)
    mapped = WEIGHTS @ eeg[:, begin : begin + HOP]
    golden = {
        "eeg": eeg,
        "sum": np.full((1, 1), 0.5, np.float32),
        "sum_next": np.full((1, 1), 0.5 + eeg.mean(), np.float32),
        "meg": mapped + 0.5 + eeg.mean(),
        "meg_std": mapped.max(axis=1),
        "novelty": eeg.mean(axis=0).max(keepdims=True),
    }
    fields: dict[str, Any] = manifest_fields(window=WINDOW, hop=HOP, lookahead=LOOKAHEAD)
    del fields["files"]
    state = {"role": "state", "shape": [1, 1], "axes": ["one", "another"], "state_of": "sum"}
    fields["inputs"] = [*fields["inputs"], {**state, "name": "sum"}]
    fields["outputs"] = [
        *fields["outputs"],
        {**state, "name": "sum_next"},
        {"name": "meg_std", "role": "std", "shape": [3], "axes": ["channel"]},
        {"name": "novelty", "role": "novelty", "shape": [1], "axes": ["score"]},
    ]
    fields["outputs"][0]["shape"] = [3, HOP]
    files = {"model.onnx": onnx.ModelProto.SerializeToString(model), "golden.npz": pack_golden(golden)}
    return write_bundle(folder, fields, files)


def test_it_gives_what_the_server_streams(tmp_path: Path) -> None:
    bundle = looking_ahead(tmp_path / "bundle")
    recording = noise_recording(20, n_electrodes=len(CAP), n_sensors=3)
    streamed = StreamedModel(bundle)
    offline = streamed(recording)
    server = Model(bundle.manifest, load(bundle))
    late = LOOKAHEAD // HOP
    for hop in range(20):
        live = server.step(np.ascontiguousarray(recording.eeg[hop * HOP : (hop + 1) * HOP].T))
        if live is None:
            assert hop < late
            continue
        at = hop - late
        np.testing.assert_array_equal(offline.meg[at * HOP : (at + 1) * HOP].T, live[0])
        assert offline.std is not None
        np.testing.assert_array_equal(offline.std[at], live[1])
    assert not offline.meg[-LOOKAHEAD:].any()
    assert offline.novelty is not None
    assert offline.novelty.shape == (20,)


def test_another_process_gives_the_same(tmp_path: Path) -> None:
    streamed = StreamedModel(looking_ahead(tmp_path / "bundle"))
    recording = noise_recording(10, n_electrodes=len(CAP), n_sensors=3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(streamed))(recording).meg, streamed(recording).meg)


def test_the_graph_is_timed_and_compared_with_its_golden_tensors(tmp_path: Path) -> None:
    streamed = StreamedModel(looking_ahead(tmp_path / "bundle"))
    seconds = streamed.seconds(5)
    assert seconds.shape == (5,)
    assert (seconds > 0).all()
    assert 0 <= streamed.parity() < 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_electrodes": 18}, "wants 19 electrodes, the prepared recording has 18"),
        ({"rate_hz": 250.0}, "wants 200 samples a second, the prepared recording has 250"),
    ],
)
def test_another_kind_of_recording_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = StreamedModel(looking_ahead(tmp_path / "bundle"))
    with pytest.raises(BundleError, match=message):
        model(noise_recording(20, **{"n_electrodes": len(CAP), "n_sensors": 3, **changes}))
