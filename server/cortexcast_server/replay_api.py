"""Replays over HTTP: open a recording, pause it, seek, change its speed and close it.

Whoever can reach the address can replay any recording of the machine: it belongs on the loopback.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from cortexcast_server.http_errors import Codes, error_answers
from cortexcast_server.player import Player, PlayerStatus
from cortexcast_server.playhead import PlaybackError
from cortexcast_server.recording import Recording, RecordingError
from cortexcast_server.replayed_meg import ReplayedMeg, find_sensors


class UnknownReplayError(Exception):
    """No replay of that id."""


class Replays:
    """The replays of a process, by id. Thread-safe."""

    def __init__(self) -> None:
        self._players: dict[str, Player] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        speed: float = 1.0,
        start_s: float = 0.0,
        loop: bool = False,
        wait_for_consumer_s: float = 0.0,
    ) -> str:
        """Replay a file and return the replay's id. The arguments are those of ``Recording`` and ``Player``.

        Raises:
            RecordingError: the file cannot be replayed.
            PlaybackError: not with these arguments, or a replay of that name is playing.
        """
        player = Player(
            Recording(file, name), speed=speed, start_s=start_s, loop=loop, wait_for_consumer_s=wait_for_consumer_s
        )
        stream = player.recording.name
        with self._lock:
            others = [p.recording.name for p in self._players.values() if p.status().state != "ended"]
            if stream in others:
                raise PlaybackError(f"a stream named {stream!r} is being replayed: close it, or give another name")
            player.start()
            replay_id = str(next(self._numbers))
            self._players[replay_id] = player
        return replay_id

    def get(self, replay_id: str) -> Player:
        """The replay of that id; it stays here after its end, until it is closed.

        Raises:
            UnknownReplayError: there is none.
        """
        try:
            return self._players[replay_id]
        except KeyError:
            known = ", ".join(self._players) or "none"
            raise UnknownReplayError(f"no replay {replay_id!r}: there are {known}") from None

    def meg(self, source_id: str, names: Sequence[str]) -> ReplayedMeg | None:
        """The MEG in the file that the stream of this source_id replays.

        Args:
            source_id: of any stream.
            names: of the sensors wanted.

        Returns:
            None where no replay of ours sends that stream, or its file lacks one of the sensors.
        """
        with self._lock:
            player = next((each for each in self._players.values() if each.recording.source_id == source_id), None)
        columns = None if player is None else find_sensors(player.recording, names)
        return None if player is None or columns is None else ReplayedMeg(player, columns)

    def list(self) -> list[tuple[str, Player]]:
        """Ids and replays, oldest first."""
        with self._lock:
            return list(self._players.items())

    def close(self, replay_id: str) -> None:
        """Stop a replay and forget it.

        Raises:
            UnknownReplayError: there is none of that id.
        """
        self.get(replay_id).stop()
        with self._lock:
            self._players.pop(replay_id, None)

    def close_all(self) -> None:
        """Stop every replay and forget it."""
        with self._lock:
            players = list(self._players.values())
            self._players.clear()
        for player in players:
            player.stop()


REPLAY_ERRORS: Codes = {
    RecordingError: (422, "unusable_recording"),
    PlaybackError: (422, "not_possible"),
    UnknownReplayError: (404, "unknown_replay"),
}
"""How the exceptions of these routes are answered."""


class ReplayRequest(BaseModel):
    """What to replay, and how."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    file: Path
    """A recording of the daemon's machine: .fif, .set, .vhdr, .edf, .bdf or .xdf."""

    name: str | None = None
    """The LSL stream's; by default the file's."""

    speed: float = 1.0
    """Seconds of signal a second, from 0.001 to 10000."""

    start: float = 0.0
    """Seconds since the recording's first sample."""

    loop: bool = False
    """Begin again at the end."""


class SeekRequest(BaseModel):
    """Where to go on."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    position_s: float
    """Seconds since the recording's first sample."""


class SpeedRequest(BaseModel):
    """How fast to go on."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    speed: float
    """Seconds of signal a second, from 0.001 to 10000."""


class ReplayInfo(BaseModel):
    """A replay and where it stands."""

    id: str
    status: PlayerStatus


_Id = Annotated[str, fastapi.Path(description="the replay's, as its opening answered")]
_KNOWN = error_answers(REPLAY_ERRORS, UnknownReplayError)
_POSSIBLE = error_answers(REPLAY_ERRORS, UnknownReplayError, PlaybackError, has_body=True)


def replay_router(replays: Replays) -> APIRouter:
    """The routes under ``/api/v1/replays``; the application answers ``REPLAY_ERRORS``."""
    router = APIRouter(prefix="/api/v1/replays", tags=["replays"])

    def info(replay_id: str) -> ReplayInfo:
        return ReplayInfo(id=replay_id, status=replays.get(replay_id).status())

    @router.get("")
    def list_replays() -> list[ReplayInfo]:
        """The replays, oldest first; those that have ended too."""
        return [ReplayInfo(id=replay_id, status=player.status()) for replay_id, player in replays.list()]

    @router.post(
        "", status_code=201, responses=error_answers(REPLAY_ERRORS, RecordingError, PlaybackError, has_body=True)
    )
    def open_replay(request: ReplayRequest) -> ReplayInfo:
        """Replay a file of this machine."""
        return info(
            replays.open(request.file, name=request.name, speed=request.speed, start_s=request.start, loop=request.loop)
        )

    @router.get("/{replay_id}", responses=_KNOWN)
    def show_replay(replay_id: _Id) -> ReplayInfo:
        """One replay."""
        return info(replay_id)

    @router.post("/{replay_id}/pause", responses=_KNOWN)
    def pause(replay_id: _Id) -> ReplayInfo:
        """Send nothing until it is resumed."""
        replays.get(replay_id).pause()
        return info(replay_id)

    @router.post("/{replay_id}/resume", responses=_KNOWN)
    def resume(replay_id: _Id) -> ReplayInfo:
        """Go on."""
        replays.get(replay_id).resume()
        return info(replay_id)

    @router.post("/{replay_id}/seek", responses=_POSSIBLE)
    def seek(replay_id: _Id, request: SeekRequest) -> ReplayInfo:
        """Go on from another place."""
        replays.get(replay_id).seek(request.position_s)
        return info(replay_id)

    @router.post("/{replay_id}/speed", responses=_POSSIBLE)
    def set_speed(replay_id: _Id, request: SpeedRequest) -> ReplayInfo:
        """Go on at another speed; neither the signal nor its stamps jump."""
        replays.get(replay_id).set_speed(request.speed)
        return info(replay_id)

    @router.delete("/{replay_id}", status_code=204, responses=_KNOWN)
    def close_replay(replay_id: _Id) -> None:
        """Stop it and forget it."""
        replays.close(replay_id)

    return router
