"""Replay a recording through LSL as if it were a headset: an EEG outlet, and a marker outlet for its annotations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import numpy as np
import pylsl
from numpy.typing import NDArray

from cortexcast_server.lsl_metadata import make_marker_info, replay_markers
from cortexcast_server.playhead import Onset, Piece, Playhead
from cortexcast_server.recording import ReadAhead, Recording, RecordingError

_BUFFERED_S = 60  # for a consumer that does not keep up; liblsl's default of 360 is half a gigabyte of a large montage
_LINGER_S = 1.0
_LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class PlayerStatus:
    """Where a replay stands.

    ``source_id`` is that of the stream that it sends, as a session names it. ``samples_sent`` counts on through loops
    and seeks; ``error`` says why it ended early.
    """

    name: str
    source_id: str
    file: str
    state: Literal["playing", "paused", "ended"]
    position_s: float
    duration_s: float
    speed: float
    loop: bool
    loops: int
    samples_sent: int
    error: str | None


class Player:
    """Replay a recording on a thread of its own. Every method may be called from any thread.

    The stamps and the markers of loops and seeks are described in ``playhead``. At the end the outlets stay until their
    consumers have gone, or for a second.

    Args:
        recording: what to replay.
        speed: seconds of signal a second.
        start_s: where to begin.
        loop: begin again at the end.
        wait_for_consumer_s: how long to hold the first sample back for somebody who takes it. A consumer that wants
            every marker connects to the marker stream first.

    Raises:
        PlaybackError: ``start_s`` is outside the recording, or the speed not one from 0.001 to 10000.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        start_s: float = 0.0,
        loop: bool = False,
        wait_for_consumer_s: float = 0.0,
    ) -> None:
        self.recording = recording
        onsets = [Onset(annotation.onset_s, annotation.label) for annotation in recording.annotations]
        self._playhead = Playhead(
            recording.rate_hz, recording.n_samples, onsets, speed=speed, start_s=start_s, loop=loop
        )
        self._wait_s = wait_for_consumer_s
        self._wants_to_play = True
        self._waiting = True
        self._stopping = False
        self._error: str | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Announce the streams and play."""
        name, info = self.recording.name, self.recording.stream_info()
        outlets = (
            pylsl.StreamOutlet(info, max_buffered=_BUFFERED_S),
            pylsl.StreamOutlet(make_marker_info(f"{name} markers", replay_markers(info.source_id()))),
        )
        self._thread = threading.Thread(target=self._run, args=outlets, name=f"replay of {name}", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Send nothing until ``resume``: receivers see a gap."""
        with self._changed:
            self._wants_to_play = False
            self._playhead.pause(pylsl.local_clock())
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._wants_to_play = True
            if not self._waiting:
                self._playhead.resume(pylsl.local_clock())
            self._changed.notify_all()

    def seek(self, position_s: float) -> None:
        """Go on from another place, in seconds since the recording's first sample.

        Raises:
            PlaybackError: it is outside the recording, or the replay has ended.
        """
        with self._changed:
            self._playhead.seek(position_s)
            self._changed.notify_all()

    def set_speed(self, speed: float) -> None:
        """Go on at another speed, in seconds of signal a second; signal and stamps go on without a jump.

        Raises:
            PlaybackError: it is not one from 0.001 to 10000, or the replay has ended.
        """
        with self._changed:
            self._playhead.set_speed(speed, pylsl.local_clock())
            self._changed.notify_all()

    def stop(self) -> None:
        """End now and close the streams."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.wait()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the replay has ended and its streams are closed; False if that took longer than ``timeout_s``."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def status(self) -> PlayerStatus:
        """Where it stands now."""
        with self._changed:
            playhead = self._playhead
            ended = playhead.ended or self._stopping or self._error is not None
            return PlayerStatus(
                name=self.recording.name,
                source_id=self.recording.source_id,
                file=str(self.recording.path),
                state="ended" if ended else "playing" if self._wants_to_play else "paused",
                position_s=playhead.position_s,
                duration_s=self.recording.duration_s,
                speed=playhead.speed,
                loop=playhead.loop,
                loops=playhead.loops,
                samples_sent=playhead.sent,
                error=self._error,
            )

    def samples_at(self, stamps: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which sample of the recording was sent with each stamp; see ``Playhead.samples_at``."""
        with self._changed:
            return self._playhead.samples_at(stamps)

    def _run(self, samples: pylsl.StreamOutlet, markers: pylsl.StreamOutlet) -> None:
        self._hold(until=samples.have_consumers, at_most_s=self._wait_s)
        with self._changed:
            self._waiting = False
            if self._wants_to_play:
                self._playhead.resume(pylsl.local_clock())
        reader = ReadAhead(self.recording.read, self.recording)
        try:
            while (piece := self._next_piece()) is not None:
                samples.push_chunk(reader.read(piece.start, piece.stop), piece.last_time)
                for marker in piece.markers:
                    markers.push_sample([marker.label], marker.time)
        except RecordingError as error:
            self._error = str(error)
        self._hold(until=lambda: not (samples.have_consumers() or markers.have_consumers()), at_most_s=_LINGER_S)

    def _next_piece(self) -> Piece | None:
        with self._changed:
            while not (self._stopping or self._playhead.ended):
                now = pylsl.local_clock()
                piece = self._playhead.due(now)
                if piece is not None:
                    return piece
                deadline = self._playhead.deadline()
                self._changed.wait(None if deadline is None else max(0.0, deadline - now))
        return None

    def _hold(self, *, until: Callable[[], bool], at_most_s: float) -> None:
        deadline = pylsl.local_clock() + at_most_s
        with self._changed:
            while not (self._stopping or until()) and pylsl.local_clock() < deadline:
                self._changed.wait(_LOOK_S)
