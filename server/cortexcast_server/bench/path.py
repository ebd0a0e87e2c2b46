"""The whole path: headset → `cortexcast serve` → a WebSocket client here and a reader of its MEG outlet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.wire import Frame
from cortexcast_server.bench import lsl
from cortexcast_server.bench.headset import Stream
from cortexcast_server.bench.peer import BenchError, answer, peer
from cortexcast_server.bench.serve import serving
from cortexcast_server.bench.websocket import stalled_subscriber, subscriber
from cortexcast_server.engine import MEG
from cortexcast_server.lsl_metadata import OUTLET_SOURCE


@dataclass(frozen=True)
class Path:
    """What came of one run.

    Attributes:
        to_client: per frame, seconds from the push of the EEG sample that completes it to the decoded frame.
        to_outlet: per frame, seconds to the pull of the last of its samples.
        frames_lost: by the client, before the stalled client came.
        cpu_s: processor time of the daemon, before the stalled client came.
        stalled_mib: how much resident memory the daemon gained beside the stalled client.
        stalled_frames_lost: by the first client, beside the stalled one.
    """

    to_client: NDArray[np.float64]
    to_outlet: NDArray[np.float64]
    frames_lost: int
    cpu_s: float
    stalled_mib: float
    stalled_frames_lost: int


def measure(
    models: Sequence[str], stream: Stream, expected: list[Frame], completed_by: NDArray[np.int_], n_alone: int
) -> Path:
    """Serve a headset and time every frame of MEG.

    Args:
        models: the bundles' folders, that of MEG among them.
        stream: the headset.
        expected: the frames that come of it, and
        completed_by: which sample each of them waits for; both as ``step_through`` gives them.
        n_alone: frames before a second client comes, which never reads and stays to the end.

    Raises:
        BenchError: the daemon stopped, or gave other frames than expected.
    """
    flags = [flag for model in models for flag in ("--model", model)]
    n_chunks = int(stream.pushed(completed_by[-1:])[0]) + 1
    hop = expected[0].data.shape[1]
    with (
        peer(lsl.send, stream, n_chunks) as sender,
        serving(*flags, "--source-id", stream.source_id, "--wait", "10") as daemon,
    ):
        answer(sender)
        outlet = f"{OUTLET_SOURCE}{daemon.wait_for_session()}:{MEG}"
        with peer(lsl.receive, outlet, len(expected) * hop) as receiver, subscriber(daemon.url) as client:
            answer(receiver)
            sender.send(None)
            cpu_s = daemon.cpu_s()
            frames, arrivals = client.take(n_alone)
            cpu_s = daemon.cpu_s() - cpu_s
            rss_mib = daemon.rss_mib()
            with stalled_subscriber(daemon.url):
                later, _ = client.take(len(expected))
                rss_mib = daemon.rss_mib() - rss_mib
            pulled: lsl.Arrivals = answer(receiver)
            pushes: lsl.Pushes = answer(sender)

    _check(frames + later, expected, pushes.origin, stream.rate_hz)
    missing = set(range(len(expected))) - {frame.sequence for frame in frames + later}
    missing_alone = missing & set(range(n_alone))
    pushed = pushes.times[stream.pushed(completed_by)]
    last_samples = np.arange(1, n_alone + 1) * hop - 1
    return Path(
        to_client=arrivals - pushed[[frame.sequence for frame in frames]],
        to_outlet=pulled.of(last_samples) - pushed[:n_alone],
        frames_lost=len(missing_alone),
        cpu_s=cpu_s,
        stalled_mib=rss_mib,
        stalled_frames_lost=len(missing - missing_alone),
    )


def _check(frames: list[Frame], expected: list[Frame], origin: float, rate_hz: float) -> None:
    """Frames are timed by their sequence number, which is right only if the session began with the first sample."""
    for frame in frames:
        off = frame.t0 - origin - expected[frame.sequence].t0
        if abs(off) > 0.5 / rate_hz:
            raise BenchError(
                f"frame {frame.sequence} begins {1e3 * off:+.1f} ms from where it should: the session did not take the "
                "headset's stream from its first sample on, without a gap"
            )
