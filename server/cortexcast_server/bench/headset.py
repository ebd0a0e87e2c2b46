"""The headset of the benchmark, and which of its samples completes which frame. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from cortexcast_client.wire import Frame
from cortexcast_models.manifest import Manifest
from cortexcast_models.montage import standard_positions
from cortexcast_server.engine import MEG, Engine
from cortexcast_server.signal import Channel, Chunk, Signal

N_CHANNELS = 70
RATE_HZ = 1000.0
CHUNK = 10
"""Samples that the headset hands over at once: a block every 10 ms, as drivers of amplifiers at this rate do."""

_MICROVOLTS = 20.0
_LOOP_S = 10.0


@dataclass(frozen=True)
class Stream:
    """What a sender sends: float32 ``(n_channels, n_samples)`` in the declared unit, over and over."""

    name: str
    type: str
    source_id: str
    channels: tuple[str, ...]
    unit: str
    rate_hz: float
    chunk: int
    data: NDArray[np.float32]

    def samples(self, start: int, n: int) -> NDArray[np.float32]:
        """Samples ``(n, n_channels)``, from the first one sent on."""
        columns = np.arange(start, start + n) % self.data.shape[1]
        return np.ascontiguousarray(self.data[:, columns].T)

    def pushed(self, sample: NDArray[np.int_]) -> NDArray[np.int_]:
        """With which chunk these samples are pushed."""
        return sample // self.chunk


def headset(manifest: Manifest, source_id: str) -> Stream:
    """A headset of 70 electrodes that has the model's own, as far as they go, and sends noise of 20 µV."""
    own = {electrode.name.upper(): electrode.name for electrode in manifest.montage}
    others = {name: name for name in standard_positions() if name not in own}
    data = np.random.default_rng(0).normal(scale=_MICROVOLTS, size=(N_CHANNELS, round(_LOOP_S * RATE_HZ)))
    channels = (*own.values(), *others.values())[:N_CHANNELS]
    return Stream("bench", "EEG", source_id, channels, "microvolts", RATE_HZ, CHUNK, data.astype(np.float32))


def signal_of(stream: Stream) -> Signal:
    """The stream's contract, as the daemon reads it."""
    return Signal(stream.name, stream.rate_hz, tuple(Channel(name, unit=stream.unit) for name in stream.channels))


def step_through(engine: Engine, stream: Stream, n_frames: int) -> tuple[list[Frame], NDArray[np.int_]]:
    """Push a stream in microvolts into a fresh engine, sample by sample, until it has given so many MEG frames.

    What the engine computes when depends on the sample count alone, so a live session behaves alike.

    Returns:
        The frames, their times counted from the first sample, and for each the index of the sample that it waited for.
    """
    frames: list[Frame] = []
    completed_by: list[int] = []
    for sample in count():
        if len(frames) == n_frames:
            break
        volts = (1e-6 * stream.samples(sample, 1).astype(np.float64)).astype(np.float32).T
        time = sample / stream.rate_hz
        for frame in engine.push(Chunk(volts, np.array([time]), time)):
            if frame.product == MEG:
                frames.append(frame)
                completed_by.append(sample)
    return frames, np.array(completed_by)
