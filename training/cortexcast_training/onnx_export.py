"""A net as an ONNX graph, checked against torch."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_training.manifest_fields import TOLERANCE

OPSET = 20


class ExportError(Exception):
    """The graph does not compute what the net does."""


@dataclass(frozen=True)
class Graph:
    """An exported net.

    Attributes:
        onnx: the file.
        golden: inputs and outputs by name, as torch computed them.
        deviation: the greatest of ONNX Runtime from torch, as a share of an output's RMS.
    """

    onnx: bytes
    golden: dict[str, NDArray[np.float32]]
    deviation: float


def export_graph(
    net: nn.Module, given: Mapping[str, Tensor], outputs: Sequence[str], *, rows_of_their_own: bool = False
) -> Graph:
    """Export a net whose ``forward`` takes these inputs, in order, and gives a tuple of these outputs.

    Args:
        net: to export.
        given: inputs by name, as an example.
        outputs: names.
        rows_of_their_own: each input may have any number of rows, whatever the others have, instead of the example's.

    Raises:
        ExportError: ONNX Runtime deviates from torch by more than ``TOLERANCE``.
    """
    net.eval()
    with torch.no_grad():
        expected = dict(zip(outputs, (output.numpy() for output in net(**given)), strict=True))
    rows = {name: {0: f"{name}_rows"} for name in given} if rows_of_their_own else None
    graph = _graph(net, given, outputs, rows)
    golden = {name: tensor.numpy() for name, tensor in given.items()}
    return Graph(graph, {**golden, **expected}, _parity(graph, golden, expected))


def _graph(
    net: nn.Module, given: Mapping[str, Tensor], outputs: Sequence[str], sizes: dict[str, dict[int, str]] | None
) -> bytes:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            net,
            tuple(given.values()),
            path,
            input_names=list(given),
            output_names=list(outputs),
            dynamic_shapes=sizes,
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
    """Without what the exporter says of itself: that torchvision is absent, what it leaves, what is deprecated."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
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
