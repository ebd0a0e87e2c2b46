"""What is made of the measurements: percentiles, the floor, targets, the comparison of two runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATIO_TARGET = 1.5
TAIL_TARGET_MS = 5.0
READY_TARGET_S = 3.0
IMPORT_TARGET_S = 0.3
HOP_TARGET_MS = 2.0
BESIDE_TARGET = 1.1
"""How much longer the path of MEG may take while other products are served too."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of ``n`` latencies."""

    p50_ms: float
    p99_ms: float
    n: int


def latency(seconds: NDArray[np.float64]) -> Latency:
    """Percentiles of latencies given in seconds."""
    p50, p99 = np.percentile(1e3 * seconds, [50, 99])
    return Latency(float(p50), float(p99), len(seconds))


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a measured value."""

    name: str
    value: float
    bound: float
    unit: str

    @property
    def met(self) -> bool:
        """The value is within its bound."""
        return self.value <= self.bound


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        lsl_eeg: the floor, each alone: the headset's stream over LSL, from push to pull,
        lsl_meg: the MEG outlet's stream over LSL,
        inference: one hop of the model,
        websocket: a MEG frame's bytes over WebSocket.
        composed: the parts in one process: from the push of the sample to the decoded frame, without engine and hub.
        path_websocket: from the push of the EEG sample that completes a hop to its MEG frame, decoded by a client,
        path_lsl: to the last of its samples, pulled from the MEG outlet.
        other_hops: one hop of each model of another product, by name.
        path_beside: as ``path_websocket``, while these are served too; None where there are none.
        frames_lost: by the client, of all.
        cpu_s_per_s: processor time of the daemon per second of signal, with one client and one reader of the outlet.
        stalled_mib: growth of the daemon's resident memory while a second client never read,
        stalled_frames_lost: and frames that the first client lost meanwhile.
        ready_s: from the start of `cortexcast serve` to /readyz.
        import_s: ``import cortexcast_client``.
    """

    lsl_eeg: Latency
    lsl_meg: Latency
    inference: Latency
    websocket: Latency
    composed: Latency
    path_websocket: Latency
    path_lsl: Latency
    other_hops: Mapping[str, Latency]
    path_beside: Latency | None
    frames_lost: int
    cpu_s_per_s: float
    stalled_mib: float
    stalled_frames_lost: int
    ready_s: float
    import_s: float

    @property
    def floor_websocket_ms(self) -> float:
        """What LSL in, the model and WebSocket out take at the least: the sum of their p50."""
        return self.lsl_eeg.p50_ms + self.inference.p50_ms + self.websocket.p50_ms

    @property
    def floor_lsl_ms(self) -> float:
        """What LSL in, the model and LSL out take at the least: the sum of their p50."""
        return self.lsl_eeg.p50_ms + self.inference.p50_ms + self.lsl_meg.p50_ms

    @property
    def path_to_composed(self) -> float:
        """The p50 of the path to a client as a multiple of that of the parts in one process."""
        return self.path_websocket.p50_ms / self.composed.p50_ms

    def targets(self) -> tuple[Target, ...]:
        """The bounds, and how the run stands to them."""
        to_client, to_outlet = self.path_websocket, self.path_lsl
        return (
            Target("to the client: p50 / floor", to_client.p50_ms / self.floor_websocket_ms, RATIO_TARGET, "×"),
            Target("to the client: p99 - floor p50", to_client.p99_ms - self.floor_websocket_ms, TAIL_TARGET_MS, "ms"),
            Target("to the outlet: p50 / floor", to_outlet.p50_ms / self.floor_lsl_ms, RATIO_TARGET, "×"),
            Target("to the outlet: p99 - floor p50", to_outlet.p99_ms - self.floor_lsl_ms, TAIL_TARGET_MS, "ms"),
            *self._beside(),
            Target("serve to /readyz", self.ready_s, READY_TARGET_S, "s"),
            Target("import cortexcast_client", self.import_s, IMPORT_TARGET_S, "s"),
            Target("frames lost", self.frames_lost, 0, ""),
            Target("frames lost beside a stalled client", self.stalled_frames_lost, 0, ""),
        )

    def _beside(self) -> Iterator[Target]:
        if self.path_beside is not None:
            ratio = self.path_beside.p50_ms / self.path_websocket.p50_ms
            yield Target("beside other products: p50 / alone", ratio, BESIDE_TARGET, "×")
        for name, hop in self.other_hops.items():
            yield Target(f"one hop of {name}: p50", hop.p50_ms, HOP_TARGET_MS, "ms")

    def as_json(self) -> dict[str, Any]:
        """Everything measured and what follows from it, as a JSON object."""
        derived = {name: getattr(self, name) for name in ("floor_websocket_ms", "floor_lsl_ms", "path_to_composed")}
        return {**asdict(self), **derived, "targets": [{**asdict(t), "met": t.met} for t in self.targets()]}


def as_text(results: Results) -> str:
    """The run as a table for people."""
    rows = {
        "floor   LSL, the headset's stream": results.lsl_eeg,
        "floor   LSL, the MEG outlet's stream": results.lsl_meg,
        "floor   ONNX Runtime, one hop": results.inference,
        "floor   WebSocket, a MEG frame's bytes": results.websocket,
        "parts   EEG push to client, in one process": results.composed,
        "path    EEG push to client": results.path_websocket,
        "path    EEG push to pull from MEG outlet": results.path_lsl,
        **{f"beside  one hop of {name}": hop for name, hop in results.other_hops.items()},
    }
    if results.path_beside is not None:
        rows["beside  EEG push to client"] = results.path_beside
    lines = [f"{'':42}{'p50':>9}{'p99':>9}{'n':>7}"]
    lines += [f"{name:42}{row.p50_ms:6.2f} ms{row.p99_ms:6.2f} ms{row.n:7}" for name, row in rows.items()]
    lines += [
        "",
        f"floor: LSL + ONNX Runtime + WebSocket {results.floor_websocket_ms:.2f} ms, "
        f"LSL + ONNX Runtime + LSL {results.floor_lsl_ms:.2f} ms",
        f"path to the client / parts in one process: {results.path_to_composed:.2f} × (p50)",
        f"daemon: {results.cpu_s_per_s:.3f} s of processor a second of signal; "
        f"a client that never reads costs {results.stalled_mib:+.1f} MiB",
        "",
        f"{'target':42}{'measured':>12}{'bound':>12}",
    ]
    for target in results.targets():
        verdict = "met" if target.met else "MISSED"
        lines.append(
            f"{target.name:42}{_quantity(target.value, target):>12}{_quantity(target.bound, target):>12}  {verdict}"
        )
    return "\n".join(lines)


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, float]:
    """Each measured value of a run divided by another run's, by name; of what both have and where it is a number."""
    values, earlier = dict(_values(now)), dict(_values(before))
    return {name: value / earlier[name] for name, value in values.items() if earlier.get(name)}


def _values(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", number) for inner, number in _values(value) if inner != "n")
        elif isinstance(value, int | float):
            yield name, float(value)


def _quantity(value: float, target: Target) -> str:
    return f"{value:g} {target.unit}".rstrip() if value == round(value) else f"{value:.2f} {target.unit}"
