"""A bundle run over a prepared recording hop by hop, as the server runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cortexcast_models.bundle import Arrays, Bundle, BundleError, check_golden
from cortexcast_training.results import Streaming
from cortexcast_training.windows import Prepared

Singles = NDArray[np.float32]

_FIRST_RUNS = 20
"""ONNX Runtime allocates its memory in the first."""


@dataclass(frozen=True)
class Estimates:
    """What a method makes of a recording.

    Attributes:
        meg: ``(n, n_sensors)`` in T and T/m.
        std: ``(n_hops, n_sensors)``, of the error; None where the method gives none.
        novelty: ``(n_hops,)``, above one where the EEG is unlike the training data; None likewise.
    """

    meg: Singles
    std: Singles | None = None
    novelty: Singles | None = None


Method = Callable[[Prepared], Estimates]
"""Estimates MEG from the EEG of a prepared recording."""


class StreamedModel:
    """A bundle's graph in ONNX Runtime on one thread.

    The recording begins at rest, as a stream does: what lies before it, and the graph's state, is zero. What follows
    it, the look-ahead's last hops lack; their estimate is zero.

    Args:
        bundle: of MEG.

    Raises:
        BundleError: the graph cannot be run.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(bundle.model_path, options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes have no common public root
            raise BundleError(f"{bundle.model_path} is not a graph that ONNX Runtime reads: {error}") from None
        inputs, outputs = self.manifest.inputs, self.manifest.outputs
        self._eeg = next(tensor for tensor in inputs if tensor.role == "eeg")
        self._outputs = {tensor.role: tensor.name for tensor in outputs if tensor.role != "state"}
        fed_by = {tensor.state_of: tensor.name for tensor in outputs if tensor.role == "state"}
        self._states = {tensor: fed_by[tensor.state_of] for tensor in inputs if tensor.role == "state"}

    def __reduce__(self) -> tuple[type[StreamedModel], tuple[Bundle]]:
        """Another process reads the graph anew."""
        return StreamedModel, (self.bundle,)

    def __call__(self, recording: Prepared) -> Estimates:
        """Estimate all hops of a recording at the model's rate.

        Raises:
            BundleError: the model's hop, rate or electrodes are not the recording's.
        """
        manifest = self.manifest
        self._check(recording)
        hop, lookahead, n_hops = manifest.hop, manifest.lookahead // manifest.hop, len(recording.good)
        padded = np.pad(recording.eeg, ((manifest.window - hop, 0), (0, 0))).T.astype(np.float32)
        given: dict[str, list[Singles]] = {role: [] for role in self._outputs}
        state = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in self._states}
        for first in range(n_hops):
            window = np.ascontiguousarray(padded[:, first * hop : first * hop + manifest.window])
            outputs = self.infer({self._eeg.name: window.reshape(self._eeg.shape), **state})
            state = {tensor.name: outputs[fed_by] for tensor, fed_by in self._states.items()}
            for role, name in self._outputs.items():
                given[role].append(outputs[name])
        meg = np.stack([each.reshape(-1, hop).T for each in given["estimate"]])
        std = np.stack([each.reshape(-1) for each in given["std"]]) if "std" in given else None
        novelty = np.concatenate([each.reshape(1) for each in given["novelty"]]) if "novelty" in given else None
        return Estimates(
            meg=_earlier(meg, lookahead).reshape(-1, meg.shape[2]),
            std=None if std is None else _earlier(std, lookahead),
            novelty=novelty,
        )

    def infer(self, inputs: Arrays) -> Arrays:
        """Run the graph once: arrays by name in, arrays by name out."""
        names = [tensor.name for tensor in self.manifest.outputs]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def parity(self) -> float:
        """The greatest deviation from what the net gave when it was exported, as a share of an output's RMS.

        Raises:
            BundleError: it is more than the manifest allows.
        """
        return max(check_golden(self.bundle, self.infer).values())

    def seconds(self, n: int = 2000) -> NDArray[np.float64]:
        """How long each of ``n`` runs of the graph takes on this machine, after some that do not count.

        It is the thread's own time: what else the machine does counts for nothing.
        """
        golden = self.bundle.golden()
        inputs = {tensor.name: golden[tensor.name] for tensor in self.manifest.inputs}
        ends = [time.thread_time()]
        for _ in range(_FIRST_RUNS + n):
            self.infer(inputs)
            ends.append(time.thread_time())
        return np.diff(ends)[_FIRST_RUNS:]

    def streaming(self) -> Streaming:
        """How the graph runs on this machine.

        Raises:
            BundleError: it deviates by more than the manifest allows.
        """
        milliseconds = 1e3 * self.seconds()
        return Streaming(
            windows_per_s=float(1e3 / milliseconds.mean()),
            p50_ms=float(np.percentile(milliseconds, 50)),
            p99_ms=float(np.percentile(milliseconds, 99)),
            parity=self.parity(),
        )

    def _check(self, recording: Prepared) -> None:
        manifest = self.manifest
        kinds = {
            "samples a second": (manifest.preprocessing.resample.rate_hz, recording.rate_hz),
            "samples a hop": (manifest.hop, recording.hop),
            "electrodes": (len(manifest.montage), recording.eeg.shape[1]),
        }
        for what, (ours, theirs) in kinds.items():
            if ours != theirs:
                raise BundleError(f"{manifest.name} wants {ours:g} {what}, the prepared recording has {theirs:g}")


def _earlier(hops: Singles, n: int) -> Singles:
    """What was estimated ``n`` hops later, of each hop; zero of the last ones."""
    return np.concatenate([hops[n:], np.zeros_like(hops[: min(n, len(hops))])])
