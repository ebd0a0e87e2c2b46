"""The daemon: sessions, hub, markers and replays under one roof, on one event loop.

The hub is touched on the loop alone; the threads of sessions and markers hand over by ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from cortexcast_client.wire import Frame
from cortexcast_models.bundle import BundleError, read_bundle
from cortexcast_server import inference
from cortexcast_server.engine import MEG
from cortexcast_server.hub import Hub
from cortexcast_server.inference import Loaded
from cortexcast_server.lsl_metadata import REPLAY_SOURCE, replay_markers
from cortexcast_server.lsl_source import LslSource, NoAnswerError
from cortexcast_server.lsl_streams import Query, find, unix_clock_offset
from cortexcast_server.markers import MarkerRelay
from cortexcast_server.protocol import Bye, Marker, Product, Status
from cortexcast_server.recording import RecordingError
from cortexcast_server.replay_api import Replays
from cortexcast_server.replayed_meg import ReplayedMeg
from cortexcast_server.session import Session
from cortexcast_server.settings import Settings
from cortexcast_server.signal import SignalError
from cortexcast_server.simulated_recording import simulate

_JOIN_S = 1.0
_MARKERS_S = 3.0

_DEMO_FILE = "simulated_headset_raw.fif"
_DEMO_WAIT_S = 10.0

_MOST_EARLY_MARKERS = 100


class UnknownSessionError(Exception):
    """No session of that id."""


class Daemon:
    """Everything that lives as long as the process. Make it on the event loop that serves it.

    Args:
        settings: see ``settings.py``.

    Raises:
        BundleError: a model cannot be used, or two of them give the same product.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = load_models(settings.models)
        self.hub = Hub(settings.limits)
        self.replays = Replays()
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, Session] = {}
        # No id is used twice, by this daemon or its next life: a client resumes by session and sequence number.
        self._run_id = secrets.token_hex(2)
        self._numbers = count(1)
        self._early_markers: list[tuple[str, str, str, float]] = []
        self._markers = MarkerRelay(self._marker)
        self.stopping = asyncio.Event()
        self._failures: dict[str, asyncio.Future[SignalError]] = {}
        self._demo_lock = asyncio.Lock()
        self._demo_folder: tempfile.TemporaryDirectory[str] | None = None
        self._demo_session = ""

    @property
    def sessions(self) -> list[Session]:
        """The sessions, oldest first."""
        return list(self._sessions.values())

    def session(self, session_id: str) -> Session:
        """The session of that id.

        Raises:
            UnknownSessionError: there is none.
        """
        try:
            return self._sessions[session_id]
        except KeyError:
            known = ", ".join(self._sessions) or "none"
            raise UnknownSessionError(f"no session {session_id!r}: there are {known}") from None

    async def failure(self, session: Session) -> SignalError:
        """Wait until a session has failed; gives its error."""
        return await asyncio.shield(self._failures[session.id])

    def replay(self, file: Path, *, loop: bool) -> Query:
        """Replay a recording through LSL, from its first sample as soon as somebody listens; gives the way to find it.

        Raises:
            RecordingError: the file cannot be replayed.
        """
        replay_id = self.replays.open(file, loop=loop, wait_for_consumer_s=math.inf)
        return Query(source_id=self.replays.get(replay_id).recording.source_id)

    async def open_session(self, query: Query, unit: str | None, wait_s: float) -> Session:
        """Find a stream, connect and serve it.

        Raises:
            SignalError: no stream matches, several do, or the one that does cannot be used.
        """

        def connect() -> LslSource:
            return self._connect(query, unit, wait_s)

        source = await asyncio.to_thread(connect)
        session = Session(
            self._new_id(source.signal.name),
            source,
            self.models,
            self.hub.next_index,
            self,
            self._replayed_meg,
            with_outlets=self.settings.outlets,
            unit=unit,
        )
        self._sessions[session.id] = session
        self._failures[session.id] = self._loop.create_future()
        early, self._early_markers = self._early_markers, []
        for marker in early:
            self._hear_marker(*marker)
        session.start()
        return session

    async def open_demo(self) -> tuple[Session, bool]:
        """Serve a simulated headset, whose recording is replayed in a loop; what of that is there already is kept.

        Returns:
            The session, and whether it is new.

        Raises:
            RecordingError: the recording cannot be written.
            PlaybackError: another recording of its name is being replayed.
            SignalError: one of the models cannot use it, or the daemon stops.
        """
        async with self._demo_lock:
            if self.stopping.is_set():
                raise SignalError("the daemon is stopping: start it again")
            query = await asyncio.to_thread(self._replay_demo)
            session = self._sessions.get(self._demo_session)
            if session is not None and session.state not in ("failed", "ended"):
                return session, False  # where its recording was closed, it finds it again
            session = await self.open_session(query, None, _DEMO_WAIT_S)
            self._demo_session = session.id
            return session, True

    def _replay_demo(self) -> Query:
        file = self._demo_file()
        for _, player in self.replays.list():
            if player.recording.path == file and player.status().state != "ended":
                return Query(source_id=player.recording.source_id)
        return self.replay(file, loop=True)

    def _demo_file(self) -> Path:
        """Simulated when it is first needed; gone with the daemon."""
        try:
            if self._demo_folder is None:
                self._demo_folder = tempfile.TemporaryDirectory(prefix="cortexcast-demo-")
            file = Path(self._demo_folder.name, _DEMO_FILE)
            if not file.exists():
                partial = file.with_name(f"partial_{_DEMO_FILE}")
                simulate(partial)
                partial.rename(file)
        except OSError as error:
            raise RecordingError(
                f"the simulated recording cannot be written: {error}. Make room in {tempfile.gettempdir()}, or set "
                "TMPDIR to another folder"
            ) from None
        return file

    def _replayed_meg(self, source_id: str) -> ReplayedMeg | None:
        for manifest in (model.bundle.manifest for model in self.models):
            if manifest.product == MEG:
                return self.replays.meg(source_id, [channel.name for channel in manifest.channels])
        return None

    def _connect(self, query: Query, unit: str | None, wait_s: float) -> LslSource:
        deadline = time.monotonic() + wait_s
        gone: set[str] = set()

        def go_on() -> bool:
            return not self.stopping.is_set()

        while True:
            info = find(query, deadline - time.monotonic(), but_not=gone, go_on=go_on)
            # Markers before the EEG: a recording that waits for its reader must not lose those of its first second.
            if info.source_id().startswith(REPLAY_SOURCE):
                self._markers.wait_for(replay_markers(info.source_id()), _MARKERS_S)
            else:
                self._markers.look()
            try:
                return LslSource(info, unit, go_on)
            except NoAnswerError:
                # A stream that has gone is announced for a while; another of the same name may be there already.
                gone.add(info.uid())
                if time.monotonic() > deadline or not go_on():
                    raise

    async def close_session(self, session_id: str) -> None:
        """Stop a session.

        Raises:
            UnknownSessionError: there is none of that id.
        """
        session = self.session(session_id)
        del self._sessions[session_id], self._failures[session_id]
        session.stop()
        await asyncio.to_thread(session.join, _JOIN_S)
        self.hub.close(session_id)

    async def stop(self, reason: str) -> None:
        """Say goodbye to every client and end every thread."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self.hub.tell_all(Bye(reason=reason))
        for session in self.sessions:
            session.stop()
        async with self._demo_lock:  # a recording that is being simulated would be replayed for nobody
            await asyncio.to_thread(self._join)

    def _join(self) -> None:
        """End the readers before the replays that they read: a reader would take their end for a loss."""
        for session in self.sessions:
            session.join(_JOIN_S)
        self._markers.stop()
        self.replays.close_all()
        if self._demo_folder is not None:
            self._demo_folder.cleanup()

    def _new_id(self, stream: str) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", stream.lower()).strip("-") or "stream"
        return f"{slug}-{self._run_id}-{next(self._numbers)}"

    # The listener of the sessions, called on their threads.

    def opened(self, products: tuple[Product, ...]) -> None:
        """See ``session.Listener``."""
        self._on_loop(self.hub.open, products)

    def frames(self, session: str, frames: list[Frame]) -> None:
        """See ``session.Listener``."""
        self._on_loop(self.hub.publish, session, frames)

    def status(self, status: Status) -> None:
        """See ``session.Listener``."""
        self._on_loop(self._hear_status, status)

    def _hear_status(self, status: Status) -> None:
        self.hub.tell(status.session, status)
        failure = self._failures.get(status.session)
        if status.error and failure and not failure.done():
            failure.set_result(SignalError(status.error))

    def _marker(self, stream: str, source_id: str, label: str, when: float) -> None:
        """Hear of a marker, on the relay's thread."""
        self._on_loop(self._hear_marker, stream, source_id, label, when)

    def _hear_marker(self, stream: str, source_id: str, label: str, when: float) -> None:
        """A replay's own marker goes to that replay, any other to every session."""
        takers = [session for session in self.sessions if session.takes_markers_of(source_id)]
        if not takers and source_id.startswith(REPLAY_SOURCE):
            # A replay begins once its stream is connected: the session is about to be there.
            self._early_markers = [*self._early_markers[1 - _MOST_EARLY_MARKERS :], (stream, source_id, label, when)]
        for session in takers:
            marker = Marker(
                session=session.id,
                stream=stream,
                label=label,
                time=when + session.restamp_s(when),
                clock_offset=unix_clock_offset(),
            )
            self.hub.tell(session.id, marker)

    def _on_loop(self, function: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop closed between our check and the call: the process is ending, and nobody listens any more.
            if not self._loop.is_closed():
                raise


def load_models(names: Sequence[str]) -> tuple[Loaded, ...]:
    """The bundles of these names or folders, ready to run.

    Raises:
        BundleError: one cannot be used, or two give the same product.
    """
    bundles = [read_bundle(name) for name in names]
    for number, bundle in enumerate(bundles):
        for other in bundles[:number]:
            if other.manifest.product == bundle.manifest.product:
                raise BundleError(
                    f"{other.manifest.name} and {bundle.manifest.name} both give {bundle.manifest.product}: serve one "
                    "of them"
                )
    return tuple(Loaded(bundle, inference.load(bundle)) for bundle in bundles)
