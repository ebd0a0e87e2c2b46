"""One run of the benchmark: the start, the floor piece by piece, the whole path."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from cortexcast_client import wire
from cortexcast_models.bundle import Bundle
from cortexcast_models.manifest import Manifest
from cortexcast_server import inference
from cortexcast_server.bench import composed, lsl, path, websocket
from cortexcast_server.bench.figures import Latency, Results, latency
from cortexcast_server.bench.headset import Stream, headset, signal_of, step_through
from cortexcast_server.bench.model import alone, golden_hop
from cortexcast_server.bench.serve import import_s, ready_s
from cortexcast_server.engine import Engine

_SETTLE_S = 1.0
"""The first second of every measurement does not count: connections, caches and the interpreter settle."""

_FLOOR_SHARE, _STALLED_SHARE = 0.5, 0.75
_N_STARTS = 3


def run(bundle: Bundle, others: Sequence[Bundle], seconds: float, say: Callable[[str], None]) -> Results:
    """Measure everything.

    Args:
        bundle: the model of MEG.
        others: of other products, that are served beside it in a second run of the path; none leaves that out.
        seconds: of the whole path; each piece of the floor takes half as long, the stalled client three quarters.
        say: hears what is measured next.

    Raises:
        BenchError: the measurement failed.
    """
    manifest = bundle.manifest
    hop_s = manifest.hop / manifest.rate_hz
    n_settle = round(_SETTLE_S / hop_s)
    n_floor, n_path, n_stalled = (max(1, round(seconds * part / hop_s)) for part in (_FLOOR_SHARE, 1, _STALLED_SHARE))

    def settled(latencies: NDArray[np.float64]) -> Latency:
        return latency(latencies[n_settle:])

    model = str(bundle.directory.resolve())
    say(f"starting the daemon and a client, {_N_STARTS} times each")
    ready = median(ready_s(model) for _ in range(_N_STARTS))
    imported = median(import_s() for _ in range(_N_STARTS))

    infer = inference.load(bundle)
    eeg = headset(manifest, f"cortexcast-bench:{secrets.token_hex(4)}")
    frames, completed_by = step_through(Engine(signal_of(eeg), manifest, infer), eeg, n_settle + n_path + n_stalled)
    n = n_settle + n_floor
    say(f"the floor, 4 × {n * hop_s:.0f} s")
    lsl_eeg = settled(lsl.loopback(eeg, completed_by[:n]))
    lsl_meg = settled(lsl.loopback(_as_outlet(manifest), np.arange(1, n + 1) * manifest.hop - 1))
    onnx = settled(alone(golden_hop(bundle, infer), hop_s, n))
    bare = settled(websocket.loopback(wire.encode(frames[0], 0), hop_s, n))

    say(f"the parts in one process, {n * hop_s:.0f} s")
    together = settled(composed.measure(model, eeg, frames[0], completed_by[:n]))

    say(f"the path, {len(frames) * hop_s:.0f} s, the last {n_stalled * hop_s:.0f} s beside a client that never reads")
    whole = path.measure([model], eeg, frames, completed_by, n_settle + n_path)
    hops, beside = {}, None
    for other in others:
        name, period_s = other.manifest.name, other.manifest.hop / other.manifest.rate_hz
        say(f"one hop of {name}, {seconds * _FLOOR_SHARE:.0f} s")
        n_hops = max(1, round(seconds * _FLOOR_SHARE / period_s))
        hops[name] = latency(alone(golden_hop(other, inference.load(other)), period_s, n_hops))
    if others:
        # The stalled client's part is as short as can be: what counts is over by then.
        n_all = n_settle + n_path + 1
        say(f"the path beside {', '.join(hops)}, {n_all * hop_s:.0f} s")
        models = [model, *(str(other.directory.resolve()) for other in others)]
        again = path.measure(models, _anew(eeg), frames[:n_all], completed_by[:n_all], n_all - 1)
        beside = settled(again.to_client)
    return Results(
        lsl_eeg=lsl_eeg,
        lsl_meg=lsl_meg,
        inference=onnx,
        websocket=bare,
        composed=together,
        path_websocket=settled(whole.to_client),
        path_lsl=settled(whole.to_outlet),
        other_hops=hops,
        path_beside=beside,
        frames_lost=whole.frames_lost,
        cpu_s_per_s=whole.cpu_s / ((n_settle + n_path) * hop_s),
        stalled_mib=whole.stalled_mib,
        stalled_frames_lost=whole.stalled_frames_lost,
        ready_s=ready,
        import_s=imported,
    )


def _anew(eeg: Stream) -> Stream:
    """The same signal as a stream of its own."""
    return replace(eeg, source_id=f"cortexcast-bench:{secrets.token_hex(4)}")


def _as_outlet(manifest: Manifest) -> Stream:
    """What the daemon's MEG outlet sends: a chunk a hop."""
    names = tuple(channel.name for channel in manifest.channels)
    data = np.random.default_rng(0).standard_normal((len(names), manifest.hop)).astype(np.float32)
    source_id = f"cortexcast-bench:{secrets.token_hex(4)}"
    return Stream("bench-meg", "MEG", source_id, names, "", manifest.rate_hz, manifest.hop, data)
