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
        data: ``(n_outputs, hop)``.
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
        self._states = {t.name: (outputs[t.state_of], t.shape) for t in manifest.inputs if t.role == "state"}
        self.reset()

    def reset(self) -> None:
        """Forget everything: the window and the state are zero, which is a filtered signal at rest."""
        self._window = np.zeros((len(self._manifest.montage), self._manifest.window), np.float32)
        self._state = {name: np.zeros(shape, np.float32) for name, (_, shape) in self._states.items()}
        self._n_seen = self._n_signal = 0

    @property
    def warm(self) -> bool:
        """The window holds nothing but signal."""
        return self._n_signal >= self._manifest.window

    def step(self, eeg: Float32) -> Estimate | None:
        """Take the next hop of EEG and give the estimate of the hop that lies ``lookahead`` before its end.

        Args:
            eeg: ``(n_montage, hop)`` in volts.

        Returns:
            The estimate; None while that hop lies before the first one seen.
        """
        hop = self._manifest.hop
        self._window = np.concatenate([self._window[:, hop:], eeg], axis=1)
        self._n_seen += hop
        self._n_signal += hop
        given = self._infer({self._eeg.name: self._window.reshape(self._eeg.shape), **self._state})
        self._state = {name: given[output] for name, (output, _) in self._states.items()}
        if not self._due():
            return None
        return Estimate(
            data=given[self._estimate.name].reshape(len(self._manifest.channels), hop),
            std=None if self._std is None else given[self._std.name].reshape(-1),
            novelty=None if self._novelty is None else float(given[self._novelty.name].item()),
        )

    def skip(self) -> bool:
        """Take a hop without signal: forget everything but how far it is; tells whether an estimate would be due."""
        n_seen = self._n_seen + self._manifest.hop
        self.reset()
        self._n_seen = n_seen
        return self._due()

    def _due(self) -> bool:
        return self._n_seen >= self._manifest.hop + self._manifest.lookahead
