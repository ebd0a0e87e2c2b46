"""LSL from one process to another: the sender, the receiver, and how long each sample was under way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import pylsl
from numpy.typing import NDArray

from cortexcast_server.bench.headset import Stream
from cortexcast_server.bench.peer import BenchError, answer, peer, wait_for_end
from cortexcast_server.lsl_metadata import OutletChannel, make_info

_FIND_S = 10.0
_SILENCE_S = 5.0
_MAX_PULL = 4096


@dataclass(frozen=True)
class Pushes:
    """When each chunk was pushed, and the stamp of the first sample; seconds of the LSL clock."""

    times: NDArray[np.float64]
    origin: float


@dataclass(frozen=True)
class Arrivals:
    """After each pull: how many samples had arrived, and when."""

    counts: NDArray[np.int_]
    times: NDArray[np.float64]

    def of(self, samples: NDArray[np.int_]) -> NDArray[np.float64]:
        """When these samples arrived, by index from the first one sent."""
        return self.times[np.searchsorted(self.counts, samples, side="right")]


def send(pipe: Connection, stream: Stream, n_chunks: int) -> None:
    """A sender, in real time: says when it can be found, sends once told to, and answers with its ``Pushes``."""
    channels = [OutletChannel(name, stream.type, stream.unit) for name in stream.channels]
    outlet = pylsl.StreamOutlet(make_info(stream.name, stream.type, stream.rate_hz, stream.source_id, channels))
    pipe.send(None)
    pipe.recv()
    if not outlet.wait_for_consumers(_FIND_S):
        raise BenchError(f"nobody listens to stream {stream.name!r}")
    times = np.empty(n_chunks)
    origin = pylsl.local_clock()
    for chunk in range(n_chunks):
        last = origin + ((chunk + 1) * stream.chunk - 1) / stream.rate_hz
        time.sleep(max(0.0, last - pylsl.local_clock()))
        # Only now: right after a push, the path that is measured needs the cores.
        samples = stream.samples(chunk * stream.chunk, stream.chunk)
        times[chunk] = pylsl.local_clock()
        outlet.push_chunk(samples, last)
    pipe.send(Pushes(times, origin))
    wait_for_end(pipe)


def listen(source_id: str) -> pylsl.StreamInlet:
    """An inlet as the daemon's, which receives from here on.

    Raises:
        BenchError: no such stream.
    """
    found = pylsl.resolve_bypred(f"source_id='{source_id}'", 1, _FIND_S)
    if not found:
        raise BenchError(f"no LSL stream of source_id {source_id!r}: run 'cortexcast doctor'")
    inlet = pylsl.StreamInlet(found[0], recover=False)
    inlet.open_stream(_FIND_S)
    return inlet


def totals(inlet: pylsl.StreamInlet, n_samples: int) -> Iterator[int]:
    """Pull as the daemon does until ``n_samples`` have arrived; after each pull, how many there are so far.

    Raises:
        BenchError: they did not arrive.
    """
    total = 0
    while total < n_samples:
        _, stamps = inlet.pull_chunk(_SILENCE_S, _MAX_PULL, min_samples=1, as_numpy=True)
        if not len(stamps):
            raise BenchError(f"{n_samples - total} of {n_samples} samples of {inlet.info().name()!r} did not arrive")
        total += len(stamps)
        yield total


def receive(pipe: Connection, source_id: str, n_samples: int) -> None:
    """A receiver: says when it listens, reads, and answers with its ``Arrivals``."""
    inlet = listen(source_id)
    pipe.send(None)
    counts: list[int] = []
    times: list[float] = []
    for total in totals(inlet, n_samples):
        times.append(pylsl.local_clock())
        counts.append(total)
    pipe.send(Arrivals(np.array(counts), np.array(times)))
    wait_for_end(pipe)


def loopback(stream: Stream, samples: NDArray[np.int_]) -> NDArray[np.float64]:
    """From the push of each of these samples, in ascending order, to the return of the pull that had it, in seconds."""
    n_chunks = int(stream.pushed(samples[-1:])[0]) + 1
    n_samples = n_chunks * stream.chunk
    with (
        peer(send, stream, n_chunks) as sender,
        peer(receive, stream.source_id, n_samples) as receiver,
    ):
        answer(sender)
        answer(receiver)
        sender.send(None)
        arrivals: Arrivals = answer(receiver, n_samples / stream.rate_hz + 2 * _SILENCE_S)
        pushes: Pushes = answer(sender)
    return arrivals.of(samples) - pushes.times[stream.pushed(samples)]
