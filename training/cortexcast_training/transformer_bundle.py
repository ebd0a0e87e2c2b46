"""A trained net as a bundle: the ONNX graph of one hop, its golden tensors, its manifest."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_models.bundle import Bundle, pack_golden, write_bundle
from cortexcast_models.manifest import Metric, Preprocessing
from cortexcast_training.adaptation import covariances, fade
from cortexcast_training.manifest_fields import channels, montage, state, tensor
from cortexcast_training.net import Net
from cortexcast_training.novelty import Novelty
from cortexcast_training.scaling import Units

MODEL, GOLDEN = "model.onnx", "golden.npz"
OPSET = 20
TOLERANCE = 1e-4
"""The greatest deviation of ONNX Runtime from torch, as a share of an output's RMS."""

_MEMORY, _MEMORY_NEXT = "memory", "memory_next"
_VISITED, _VISITED_NEXT = "visited", "visited_next"
_OUTPUTS = ("meg", "meg_std", "novelty", _MEMORY_NEXT, _VISITED_NEXT)


class ExportError(Exception):
    """The graph does not compute what the net does."""


class Hop(nn.Module):
    """What the server runs once a hop: a window of EEG in volts in, the estimate of one hop in T and T/m out."""

    eeg_unit: Tensor
    meg_unit: Tensor

    def __init__(self, net: Net, novelty: Novelty, units: Units) -> None:
        super().__init__()
        self.net = net
        self.novelty = novelty
        self.register_buffer("eeg_unit", torch.tensor(units.eeg))
        self.register_buffer("meg_unit", torch.from_numpy(units.meg).float())

    def forward(self, eeg: Tensor, memory: Tensor, visited: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Estimate the token that lies the look-ahead before the window's end.

        Args:
            eeg: ``(n_electrodes, n_samples)``.
            memory: ``(n_electrodes, n_electrodes)``, what the EEG before has shown of the wearer; zero at first.
            visited: ``(n_experts,)``, how many tokens before were in each state; likewise.

        Returns:
            The MEG ``(n_sensors, token)``, its standard deviation ``(n_sensors,)``, the novelty ``(1,)``, the memory
            with the newest token in it, and what is visited with this token.
        """
        scaled = eeg / self.eeg_unit
        memory = self.net.adaptation.remember(memory, scaled[:, -self.net.shape.token :])
        scaled = scaled.unsqueeze(0)
        context = self.net.adaptation.context(memory)
        parts, hidden = self.net.streamed(scaled, context)
        meg, variance = self.net.estimate(parts)
        visited = fade(visited) + parts.weights[0, 0]
        novelty = self.novelty(hidden[:, 0], context, visited.unsqueeze(0))
        return meg[0, 0] * self.meg_unit[:, None], variance[0, 0].sqrt() * self.meg_unit, novelty, memory, visited


@dataclass(frozen=True)
class About:
    """What a bundle says of itself, beside its numbers."""

    name: str
    version: str
    description: str
    trained_on: str
    data: Sequence[str]
    train_subjects: Sequence[str]
    held_out_subjects: Sequence[str]
    built_by: str
    licence: str
    intended_use: str
    metrics: Sequence[Metric] = ()


def export(
    directory: Path,
    hop: Hop,
    preprocessing: Preprocessing,
    golden_eeg: NDArray[np.float32],
    about: About,
    beside: Callable[[bytes], Mapping[str, bytes]] = lambda _: {},
) -> tuple[Bundle, float]:
    """Write the bundle.

    Args:
        directory: the new bundle's folder.
        hop: the graph.
        preprocessing: of the EEG that the net was trained on.
        golden_eeg: ``(n_electrodes, n_samples)`` in volts, a window.
        about: what the manifest says.
        beside: of the graph, what else shall lie in the bundle, by name.

    Returns:
        The bundle, and the greatest deviation of ONNX Runtime from torch, as a share of an output's RMS.

    Raises:
        ExportError: that deviation is more than ``TOLERANCE``.
        BundleError: ``directory`` holds something that is not a bundle.
    """
    hop.eval()
    with torch.no_grad():
        eeg = torch.from_numpy(golden_eeg)
        given = {
            "eeg": eeg,
            _MEMORY: covariances(hop.net.tokens(eeg[None] / hop.eeg_unit)[0]).sum(dim=0),
            _VISITED: torch.ones(hop.net.shape.n_experts),
        }
        expected = dict(zip(_OUTPUTS, (output.numpy() for output in hop(**given)), strict=True))
    graph = _graph(hop, given)
    golden = {name: tensor.numpy() for name, tensor in given.items()}
    deviation = _parity(graph, golden, expected)
    files = {**beside(graph), MODEL: graph, GOLDEN: pack_golden({**golden, **expected})}
    return write_bundle(directory, _fields(hop, preprocessing, about), files), deviation


def _graph(hop: Hop, given: Mapping[str, Tensor]) -> bytes:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / MODEL
        torch.onnx.export(
            hop,
            tuple(given.values()),
            path,
            input_names=list(given),
            output_names=list(_OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=True,
            verbose=False,
        )
        return _without_origin(onnx.load(path))


def _without_origin(model: onnx.ModelProto) -> bytes:
    """The graph without what the exporter notes of each part: the lines of source that made it, with their paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself: that torchvision is absent, and what it uses that is deprecated."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _parity(
    graph: bytes, golden: Mapping[str, NDArray[np.float32]], expected: Mapping[str, NDArray[np.float32]]
) -> float:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    given = session.run(list(expected), dict(golden))
    worst = 0.0
    for (name, array), output in zip(expected.items(), given, strict=True):
        deviation = float(np.abs(output - array).max() / np.sqrt(np.mean(array.astype(np.float64) ** 2)))
        if not deviation <= TOLERANCE:
            raise ExportError(f"output {name!r} of the graph deviates from torch by {deviation:.2g} of its RMS")
        worst = max(worst, deviation)
    return worst


def _fields(hop: Hop, preprocessing: Preprocessing, about: About) -> dict[str, Any]:
    shape = hop.net.shape
    window = shape.n_tokens * shape.token
    electrodes, sensors = montage(), channels()
    memory, visited = {"electrode": len(electrodes), "other": len(electrodes)}, {"state": shape.n_experts}
    return {
        "manifest_version": 1,
        "name": about.name,
        "version": about.version,
        "description": about.description,
        "product": "meg",
        "trained_on": about.trained_on,
        "model_file": MODEL,
        "window": window,
        "hop": shape.token,
        "lookahead": shape.lookahead * shape.token,
        "montage": electrodes,
        "preprocessing": preprocessing.model_dump(mode="json"),
        "inputs": [
            tensor("eeg", "eeg", {"channel": len(electrodes), "time": window}),
            state(_MEMORY, _MEMORY, memory),
            state(_VISITED, _VISITED, visited),
        ],
        "outputs": [
            tensor("meg", "estimate", {"channel": len(sensors), "time": shape.token}),
            tensor("meg_std", "std", {"channel": len(sensors)}),
            tensor("novelty", "novelty", {"score": 1}),
            state(_MEMORY_NEXT, _MEMORY, memory),
            state(_VISITED_NEXT, _VISITED, visited),
        ],
        "channels": sensors,
        "golden": {"file": GOLDEN, "tolerance": TOLERANCE},
        "metrics": [metric.model_dump(mode="json", exclude_none=True) for metric in about.metrics],
        "training": {
            "data": list(about.data),
            "train_subjects": list(about.train_subjects),
            "held_out_subjects": list(about.held_out_subjects),
        },
        "built_by": about.built_by,
        "licence": about.licence,
        "intended_use": about.intended_use,
    }
