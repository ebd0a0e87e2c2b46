"""A trained model in a file: what export, evaluation and calibration begin with.

Beside a graph the file holds only the weights that the graph does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from cortexcast_models.bundle import Bundle
from cortexcast_models.manifest import Preprocessing
from cortexcast_training.adaptation import HeadStatistics
from cortexcast_training.checkpoint import load_state, pack_state, save_state
from cortexcast_training.manifest_fields import MODEL, About
from cortexcast_training.net import Analysis, Net, NetShape
from cortexcast_training.novelty import Novelty
from cortexcast_training.scaling import Units
from cortexcast_training.transformer_bundle import Hop, export
from cortexcast_training.wiener import Taps

FILE = "trained.pt"

_SMALL = 64
"""Bytes that are not worth a reference."""


@dataclass(frozen=True)
class Trained:
    """A model.

    Attributes:
        hop: the net with its units and its novelty, ready for export.
        train_subjects, validation_subjects: their names.
        golden_eeg: ``(n_electrodes, n_samples)`` in V, a window of a validation subject.
        simulated: whether any of the recordings that it was trained on was.
    """

    hop: Hop
    train_subjects: tuple[str, ...]
    validation_subjects: tuple[str, ...]
    golden_eeg: NDArray[np.float32]
    simulated: bool

    @property
    def units(self) -> Units:
        """Of the training data."""
        return Units(float(self.hop.eeg_unit), self.hop.meg_unit.double().numpy())


def save_trained(folder: Path, trained: Trained) -> None:
    """Write the model, as a whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    save_state(folder / FILE, _state(trained))


def export_trained(
    directory: Path, trained: Trained, preprocessing: Preprocessing, about: About
) -> tuple[Bundle, float]:
    """Write a model as a bundle that holds the model itself too, so that it can be calibrated; see ``export``."""
    return export(
        directory,
        trained.hop,
        preprocessing,
        trained.golden_eeg,
        about,
        lambda graph: {FILE: _pack(trained, graph)},
    )


def _pack(trained: Trained, graph: bytes) -> bytes:
    """What lies in a bundle, beside its graph."""
    held = {_content(array): name for name, array in _weights(onnx.load_model_from_string(graph)).items()}
    state = _state(trained)
    own, in_graph = {}, {}
    for name, tensor in state["state"].items():
        array = tensor.numpy()
        # The exporter turns the matrices of linear layers.
        same, turned = held.get(_content(array)), held.get(_content(array.T))
        if array.nbytes > _SMALL and (there := same or turned):
            in_graph[name] = there, same is None
        else:
            own[name] = tensor
    return pack_state({**state, "state": own, "in_graph": in_graph})


def load_trained(folder: Path) -> Trained:
    """Read a model: of a run, or of a bundle.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    saved = load_state(folder / FILE)
    if in_graph := saved.get("in_graph"):
        held = _weights(onnx.load(folder / MODEL))
        for name, (of_graph, turned) in in_graph.items():
            array = held[of_graph].T if turned else held[of_graph]
            saved["state"][name] = torch.from_numpy(array.copy())
    shape, taps = NetShape(**saved["shape"]), Taps(**saved["taps"])
    empty = Analysis(
        basis=np.zeros((shape.n_sensors, shape.n_components), np.float32),
        wiener=np.zeros((shape.n_components, shape.n_electrodes, taps.n), np.float32),
        taps=taps,
        noise=np.ones(shape.n_sensors, np.float32),
        filters=np.zeros((shape.n_filters, shape.n_electrodes), np.float32),
        experts=np.zeros((shape.n_experts, shape.n_components, shape.n_electrodes), np.float32),
        heads=HeadStatistics(
            mean=np.zeros((shape.n_electrodes, shape.n_electrodes), np.float32),
            directions=np.zeros((shape.n_features + 1, shape.n_electrodes, shape.n_electrodes), np.float32),
            strengths=np.zeros((shape.n_modes, shape.n_features), np.float32),
            eeg_modes=np.zeros((shape.n_modes, shape.n_electrodes, shape.n_electrodes), np.float32),
            field_modes=np.zeros((shape.n_modes, shape.n_components, shape.n_components), np.float32),
        ),
    )
    novelty = Novelty(shape, len(saved["state"]["novelty.usual"]))
    hop = Hop(Net(shape, empty), novelty, Units(1.0, np.ones(shape.n_sensors)))
    hop.load_state_dict(saved["state"])
    return Trained(
        hop.eval(),
        tuple(saved["train_subjects"]),
        tuple(saved["validation_subjects"]),
        saved["golden_eeg"].numpy(),
        saved["simulated"],
    )


def _weights(graph: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {each.name: numpy_helper.to_array(each) for each in graph.graph.initializer}


def _content(array: NDArray[np.generic]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, array.tobytes()


def _state(trained: Trained) -> dict[str, Any]:
    net = trained.hop.net
    return {
        "shape": asdict(net.shape),
        "taps": asdict(net.taps),
        "state": trained.hop.state_dict(),
        "train_subjects": list(trained.train_subjects),
        "validation_subjects": list(trained.validation_subjects),
        "golden_eeg": torch.from_numpy(trained.golden_eeg),
        "simulated": trained.simulated,
    }
