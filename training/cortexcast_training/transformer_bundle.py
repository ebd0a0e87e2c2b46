"""A trained net as a bundle: the ONNX graph of one hop, its golden tensors, its manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cortexcast_models.bundle import Bundle, pack_golden, write_bundle
from cortexcast_models.manifest import Preprocessing
from cortexcast_training.adaptation import covariances, fade
from cortexcast_training.manifest_fields import GOLDEN, MODEL, About, about_fields, channels, montage, state, tensor
from cortexcast_training.net import Net
from cortexcast_training.novelty import Novelty
from cortexcast_training.onnx_export import export_graph
from cortexcast_training.scaling import Units

_MEMORY, _MEMORY_NEXT = "memory", "memory_next"
_VISITED, _VISITED_NEXT = "visited", "visited_next"
_OUTPUTS = ("meg", "meg_std", "novelty", _MEMORY_NEXT, _VISITED_NEXT)


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
        ExportError: that deviation is more than allowed.
        BundleError: ``directory`` holds something that is not a bundle.
    """
    eeg = torch.from_numpy(golden_eeg)
    with torch.no_grad():
        memory = covariances(hop.net.tokens(eeg[None] / hop.eeg_unit)[0]).sum(dim=0)
    given = {"eeg": eeg, _MEMORY: memory, _VISITED: torch.ones(hop.net.shape.n_experts)}
    graph = export_graph(hop, given, _OUTPUTS)
    files = {**beside(graph.onnx), MODEL: graph.onnx, GOLDEN: pack_golden(graph.golden)}
    return write_bundle(directory, _fields(hop, preprocessing, about), files), graph.deviation


def _fields(hop: Hop, preprocessing: Preprocessing, about: About) -> dict[str, Any]:
    shape = hop.net.shape
    window = shape.n_tokens * shape.token
    electrodes, sensors = montage(), channels()
    memory, visited = {"electrode": len(electrodes), "other": len(electrodes)}, {"state": shape.n_experts}
    return {
        **about_fields(about),
        "product": "meg",
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
    }
