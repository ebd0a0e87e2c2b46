"""A headset: a real LSL outlet that sends what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pylsl
from factories import CAP, eeg_like
from numpy.typing import NDArray

from cortexcast_server.lsl_metadata import OutletChannel, make_info

CHUNK_S = 0.02


class Headset:
    """An EEG outlet in microvolts, by default 19 electrodes at 250 Hz.

    Args:
        names: the channels' labels.
        unit: as declared.
        data: ``(n_channels, n_samples)`` as sent, repeated; by default noise of 20 µV.
    """

    def __init__(
        self,
        name: str = "headset",
        *,
        rate_hz: float = 250.0,
        names: tuple[str, ...] = CAP,
        source_id: str = "headset-1",
        unit: str = "microvolts",
        data: NDArray[np.float32] | None = None,
    ) -> None:
        self.rate_hz = rate_hz
        self.data = 1e6 * eeg_like(len(names), int(10 * rate_hz)) if data is None else data
        self.sent = 0
        info = make_info(name, "EEG", rate_hz, source_id, [OutletChannel(label, "EEG", unit) for label in names])
        self._outlet = pylsl.StreamOutlet(info)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._origin = pylsl.local_clock()

    def start(self) -> None:
        """Stream in real time."""
        self._origin = pylsl.local_clock()
        self._thread.start()

    def stop(self) -> None:
        """Send no more; the outlet stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def push(self, n: int, skip_s: float = 0.0) -> None:
        """Send the next samples now, their stamps even; ``skip_s`` of time is missing before them."""
        self._origin += skip_s
        rows = np.arange(self.sent, self.sent + n) % self.data.shape[1]
        self.sent += n
        last = self._origin + (self.sent - 1) / self.rate_hz
        self._outlet.push_chunk(np.ascontiguousarray(self.data[:, rows].T, np.float32), last)

    def wait_for_consumer(self) -> None:
        """Wait until somebody listens."""
        assert self._outlet.wait_for_consumers(20)

    def _run(self) -> None:
        while not self._stop.wait(CHUNK_S):
            due = int((pylsl.local_clock() - self._origin) * self.rate_hz)
            if due > self.sent:
                self.push(due - self.sent)

    def unplug(self) -> None:
        """Be gone."""
        self.stop()
        del self._outlet


@contextmanager
def plugged_in(name: str = "headset", **options: Any) -> Iterator[Headset]:
    """A headset that sends what it is told to, until the block ends."""
    headset = Headset(name, **options)
    try:
        yield headset
    finally:
        headset.unplug()


@contextmanager
def streaming(name: str = "headset", **options: Any) -> Iterator[Headset]:
    """A headset that streams until the block ends."""
    with plugged_in(name, **options) as headset:
        headset.start()
        yield headset
