"""Sessions over HTTP: the streams that are there, opening one, the demo's, and closing it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from cortexcast_server.daemon import Daemon, UnknownSessionError
from cortexcast_server.http_errors import Codes, error_answers
from cortexcast_server.lsl_streams import Query, resolve
from cortexcast_server.playhead import PlaybackError
from cortexcast_server.protocol import Product, Status
from cortexcast_server.recording import RecordingError
from cortexcast_server.replay_api import REPLAY_ERRORS
from cortexcast_server.session import Session
from cortexcast_server.signal import SignalError

SESSION_ERRORS: Codes = {
    **REPLAY_ERRORS,  # the demo's recording is replayed
    UnknownSessionError: (404, "unknown_session"),
    SignalError: (422, "unusable_stream"),
}
"""How the exceptions of these routes are answered."""


class SessionRequest(BaseModel):
    """Which stream to serve; the fields are those of the settings."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str = ""
    """The LSL stream of this name."""

    type: str = ""
    """The one of this type."""

    source_id: str = ""
    """The one of this source_id."""

    predicate: str = ""
    """The one that this XPath predicate matches."""

    unit: str | None = None
    """Of the EEG, where the stream declares none or a wrong one."""

    wait_s: float = Field(5.0, ge=0, le=60)
    """How long to wait for it."""


class SessionInfo(BaseModel):
    """A session."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str

    stream: str
    """The name of its LSL stream."""

    source_id: str
    """That of its LSL stream; of a replay, the one in the replay's status."""

    products: tuple[Product, ...]
    status: Status


class StreamInfo(BaseModel):
    """An LSL stream on the network."""

    name: str
    type: str
    source_id: str
    uid: str
    host: str
    n_channels: int
    rate_hz: float


_Id = Annotated[str, Path(description="the session's, as its opening answered")]
_KNOWN = error_answers(SESSION_ERRORS, UnknownSessionError)


def session_router(daemon: Daemon) -> APIRouter:
    """The routes under ``/api/v1`` of sessions and streams; the application answers ``SESSION_ERRORS``."""
    router = APIRouter(prefix="/api/v1")

    @router.get("/sessions", tags=["sessions"])
    async def list_sessions() -> list[SessionInfo]:
        """The sessions, oldest first."""
        return [_info(session) for session in daemon.sessions]

    @router.post(
        "/sessions",
        tags=["sessions"],
        status_code=201,
        responses=error_answers(SESSION_ERRORS, SignalError, has_body=True),
    )
    async def open_session(request: SessionRequest) -> SessionInfo:
        """Find a stream and serve it."""
        query = Query(request.name, request.type, request.source_id, request.predicate)
        return _info(await daemon.open_session(query, request.unit, request.wait_s))

    @router.post(
        "/demo",
        tags=["sessions"],
        status_code=201,
        responses={
            200: {"model": SessionInfo, "description": "the session that is there already"},
            **error_answers(SESSION_ERRORS, SignalError, RecordingError, PlaybackError),
        },
    )
    async def open_demo(response: Response) -> SessionInfo:
        """Serve a simulated headset, whose recording is replayed in a loop."""
        session, is_new = await daemon.open_demo()
        if not is_new:
            response.status_code = 200
        return _info(session)

    @router.get("/sessions/{session_id}", tags=["sessions"], responses=_KNOWN)
    async def show_session(session_id: _Id) -> SessionInfo:
        """One session."""
        return _info(daemon.session(session_id))

    @router.delete("/sessions/{session_id}", tags=["sessions"], status_code=204, responses=_KNOWN)
    async def close_session(session_id: _Id) -> None:
        """Stop a session."""
        await daemon.close_session(session_id)

    @router.get("/streams", tags=["streams"])
    async def list_streams() -> list[StreamInfo]:
        """The LSL streams on the network."""
        return [
            StreamInfo(
                name=info.name(),
                type=info.type(),
                source_id=info.source_id(),
                uid=info.uid(),
                host=info.hostname(),
                n_channels=info.channel_count(),
                rate_hz=info.nominal_srate(),
            )
            for info in await asyncio.to_thread(resolve)
        ]

    return router


def _info(session: Session) -> SessionInfo:
    return SessionInfo(
        id=session.id,
        stream=session.signal.name,
        source_id=session.source_id,
        products=session.products,
        status=session.status(),
    )
