"""Markers: every marker stream of the network, passed on as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pylsl

from cortexcast_server.lsl_source import MarkerSource, SourceLostError, marker_streams

_POLL_S = 0.01
_LOOK_AGAIN_S = 2.0

Hear = Callable[[str, str, str, float], None]
"""Called with stream name, source_id, label and time in this machine's LSL clock, on the relay's thread."""


class MarkerRelay:
    """Listen to all marker streams there are and to those that come.

    Args:
        hear: called for each marker.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._sources: dict[str, tuple[str, MarkerSource]] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, name="markers", daemon=True),
            threading.Thread(target=self._keep_looking, name="marker streams", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def look(self) -> None:
        """Connect to the marker streams that are there now and were not before."""
        for info in marker_streams():
            with self._lock:
                if info.uid() in self._seen:
                    continue
                self._seen.add(info.uid())
            try:
                source = MarkerSource(info)
            except (pylsl.util.TimeoutError, pylsl.util.LostError):
                continue  # it went as it came
            with self._lock:
                self._sources[info.uid()] = (info.source_id(), source)

    def stop(self) -> None:
        """End the threads and disconnect."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_LOOK_AGAIN_S)
        for _, source in self._sources.values():
            source.close()

    def _keep_looking(self) -> None:
        while not self._stop.wait(_LOOK_AGAIN_S):
            self.look()

    def _poll(self) -> None:
        while not self._stop.wait(_POLL_S):
            with self._lock:
                sources = list(self._sources.items())
            for uid, (source_id, source) in sources:
                try:
                    for label, time in source.read():
                        self._hear(source.name, source_id, label, time)
                except SourceLostError:
                    with self._lock:
                        del self._sources[uid]
