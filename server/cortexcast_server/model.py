"""A bundle's graph stepped hop by hop: its window of EEG and its recurrent state. Pure; inference is a function."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.bundle import Infer
from cortexcast_models.manifest import Manifest

Float32 = NDArray[np.float32]


class Estimate(NamedTuple):
    """What a bundle makes of a hop.

    Attributes:
        data: ``(n_outputs, n_estimates)``.
        std: standard deviation of each output's error, ``(n_outputs,)``; None where the bundle does not know.
        novelty: how far the window is from the training data, above 1 unusually far; None likewise.
    """

    data: Float32
    std: Float32 | None
    novelty: float | None


class Model:
    """Step a bundle's graph.

    Args:
        manifest: the bundle's.
        infer: runs the graph.
    """

    def __init__(self, manifest: Manifest, infer: Infer) -> None:
        self._manifest = manifest
        self._infer = infer
        self._eeg = next(tensor for tensor in manifest.inputs if tensor.role == "eeg")
        self._estimate = next(tensor for tensor in manifest.outputs if tensor.role == "estimate")
        self._std = next((tensor for tensor in manifest.outputs if tensor.role == "std"), None)
        self._novelty = next((tensor for tensor in manifest.outputs if tensor.role == "novelty"), None)
        outputs = {tensor.state_of: tensor.name for tensor in manifest.outputs if tensor.role == "state"}
        states = [tensor for tensor in manifest.inputs if tensor.role == "state"]
        self._fed_by = {tensor.name: outputs[tensor.state_of] for tensor in states}
        self._state = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in states}
        self._forgotten = [tensor.name for tensor in states if not tensor.survives_gaps]
        self._window = np.zeros((len(manifest.montage), manifest.window), np.float32)
        self._n_seen = self._n_signal = 0

    def reset(self) -> None:
        """Begin anew after a gap: the window and the states are zero, which is a filtered signal at rest.

        States that survive gaps stay.
        """
        self._n_seen = 0
        self._silence()

    @property
    def warm(self) -> bool:
        """The window, and what the states hold of the time before it, is nothing but signal."""
        return self._n_signal >= self._manifest.window + self._manifest.memory

    def step(self, eeg: Float32) -> Estimate | None:
        """Take the next hop of EEG and give the estimate of what lies ``lookahead`` before its end.

        Args:
            eeg: ``(n_montage, hop)`` in volts.

        Returns:
            The estimate; None while that lies before the first hop seen.
        """
        hop = self._manifest.hop
        self._window = np.concatenate([self._window[:, hop:], eeg], axis=1)
        self._n_seen += hop
        self._n_signal += hop
        given = self._infer({self._eeg.name: self._window.reshape(self._eeg.shape), **self._state})
        self._state = {name: given[output] for name, output in self._fed_by.items()}
        if not self._due():
            return None
        return Estimate(
            data=given[self._estimate.name].reshape(len(self._manifest.channels), self._manifest.n_estimates),
            std=None if self._std is None else given[self._std.name].reshape(-1),
            novelty=None if self._novelty is None else float(given[self._novelty.name].item()),
        )

    def skip(self) -> bool:
        """Take a hop without signal: a gap, but for how far it is. Tells whether an estimate would be due."""
        self._n_seen += self._manifest.hop
        self._silence()
        return self._due()

    def _silence(self) -> None:
        self._window = np.zeros_like(self._window)
        self._n_signal = 0
        for name in self._forgotten:
            self._state[name] = np.zeros_like(self._state[name])

    def _due(self) -> bool:
        return self._n_seen >= self._manifest.hop + self._manifest.lookahead
