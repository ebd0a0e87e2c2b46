"""Markers: every marker stream of the network, passed on as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cortexcast_server.lsl_source import MarkerSource, NoAnswerError
from cortexcast_server.lsl_streams import marker_streams

_POLL_S = 0.01
_LOOK_AGAIN_S = 1.0
_STOP_S = 1.0

Hear = Callable[[str, str, str, float], None]
"""Called with stream name, source_id, label and time in this machine's LSL clock, on the relay's thread."""


class MarkerRelay:
    """Listen to all marker streams there are and to those that come.

    Args:
        hear: called for each marker.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._sources: dict[str, MarkerSource] = {}
        self._looking = threading.Lock()  # so that nobody takes a stream for connected that another thread connects
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, name="markers", daemon=True),
            threading.Thread(target=self._keep_looking, name="marker streams", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def look(self) -> None:
        """Connect to the marker streams that are there now and were not before."""
        with self._looking:
            streams = marker_streams()
            there = {info.uid() for info in streams}
            kept = {uid: source for uid, source in self._sources.items() if uid in there or not source.lost}
            for info in streams:
                if info.uid() in kept or self._stop.is_set():
                    continue
                try:
                    source = MarkerSource(info, lambda: not self._stop.is_set())
                except NoAnswerError:
                    continue  # it went as it came
                kept[info.uid()] = source
            self._sources = kept  # replaced as a whole, since the other thread walks through it

    def wait_for(self, source_id: str, timeout_s: float) -> None:
        """Look until a stream is connected, so that none of its markers is missed; at most for so long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self._stop.is_set():
            self.look()
            if any(source.source_id == source_id for source in self._sources.values()):
                return
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End the threads and disconnect."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_STOP_S)
        for source in self._sources.values():
            source.close()

    def _keep_looking(self) -> None:
        while not self._stop.wait(_LOOK_AGAIN_S):
            self.look()

    def _poll(self) -> None:
        while not self._stop.wait(_POLL_S):
            for source in self._sources.values():
                for label, when in source.read():
                    self._hear(source.name, source.source_id, label, when)
