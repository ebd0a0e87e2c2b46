"""The HTTP face: REST under /api/v1, health checks, and the WebSocket at /ws."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cortexcast_models.bundle import Bundle, read_bundle, shipped_bundles
from cortexcast_server import asyncapi
from cortexcast_server.daemon import Daemon, UnknownSessionError
from cortexcast_server.dashboard import add_dashboard
from cortexcast_server.http_errors import ANY_ERRORS, add_error_handlers, error_answers
from cortexcast_server.lsl_streams import Query, resolve
from cortexcast_server.origin import refuse_other_origins
from cortexcast_server.playhead import PlaybackError
from cortexcast_server.protocol import Product, SessionState, Status
from cortexcast_server.recording import RecordingError
from cortexcast_server.replay_api import REPLAY_ERRORS, replay_router
from cortexcast_server.session import Session
from cortexcast_server.signal import SignalError
from cortexcast_server.websocket import serve_client


class UnknownModelError(Exception):
    """There is no model of fMRI of that name."""


_ERRORS = {
    **REPLAY_ERRORS,
    UnknownModelError: (404, "unknown_model"),
    UnknownSessionError: (404, "unknown_session"),
    SignalError: (422, "unusable_stream"),
}


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


class ModelSummary(BaseModel):
    """A bundle."""

    name: str
    version: str
    digest: str
    product: str
    trained_on: str
    description: str
    in_use: bool


class Health(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """Whether the daemon can serve."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ready: bool

    sessions: dict[str, SessionState]
    """The state of each, by its id."""


_SessionId = Annotated[str, Path(description="the session's, as its opening answered")]
_KNOWN = error_answers(_ERRORS, UnknownSessionError)
_PARCELS: dict[str, Any] = {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}


def create_app(daemon: Daemon) -> FastAPI:
    """The application of a daemon."""
    app = FastAPI(
        title="cortexcast",
        description="Sessions, replays and models. `/asyncapi.json` describes the WebSocket at `/ws`.",
        version=version("cortexcast"),
        docs_url="/api/docs",
        redoc_url=None,
        responses=ANY_ERRORS,
    )
    add_error_handlers(app, _ERRORS)
    refuse_other_origins(app, daemon.settings.origins)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> Health:
        """The process answers."""
        return Health(status="ok")

    @app.get(
        "/readyz",
        tags=["health"],
        responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "the daemon stops"}},
    )
    async def readyz() -> JSONResponse:
        """The models are loaded and warm, as they are before the first request, and the daemon is not stopping."""
        ready = not daemon.stopping.is_set()
        sessions = {session.id: session.state for session in daemon.sessions}
        return JSONResponse(Readiness(ready=ready, sessions=sessions).model_dump(), 200 if ready else 503)

    @app.get("/asyncapi.json", tags=["descriptions"])
    async def describe_websocket(request: Request) -> dict[str, Any]:
        """The WebSocket protocol `cortexcast.v1`, as an AsyncAPI document."""
        return asyncapi.document(app.version, request.url.netloc, encrypted=request.url.scheme == "https")

    @app.get("/api/v1/sessions", tags=["sessions"])
    async def list_sessions() -> list[SessionInfo]:
        """The sessions, oldest first."""
        return [_session_info(session) for session in daemon.sessions]

    @app.post(
        "/api/v1/sessions",
        tags=["sessions"],
        status_code=201,
        responses=error_answers(_ERRORS, SignalError, has_body=True),
    )
    async def open_session(request: SessionRequest) -> SessionInfo:
        """Find a stream and serve it."""
        query = Query(request.name, request.type, request.source_id, request.predicate)
        return _session_info(await daemon.open_session(query, request.unit, request.wait_s))

    @app.post(
        "/api/v1/demo",
        tags=["sessions"],
        status_code=201,
        responses={
            200: {"model": SessionInfo, "description": "the session that is there already"},
            **error_answers(_ERRORS, SignalError, RecordingError, PlaybackError),
        },
    )
    async def open_demo(response: Response) -> SessionInfo:
        """Serve a simulated headset, whose recording is replayed in a loop."""
        session, is_new = await daemon.open_demo()
        if not is_new:
            response.status_code = 200
        return _session_info(session)

    @app.get("/api/v1/sessions/{session_id}", tags=["sessions"], responses=_KNOWN)
    async def show_session(session_id: _SessionId) -> SessionInfo:
        """One session."""
        return _session_info(daemon.session(session_id))

    @app.delete("/api/v1/sessions/{session_id}", tags=["sessions"], status_code=204, responses=_KNOWN)
    async def close_session(session_id: _SessionId) -> None:
        """Stop a session."""
        await daemon.close_session(session_id)

    @app.get("/api/v1/streams", tags=["streams"])
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

    @app.get("/api/v1/models", tags=["models"])
    async def list_models() -> list[ModelSummary]:
        """The shipped bundles, and those in use."""
        in_use = {model.bundle.digest for model in daemon.models}
        return [
            ModelSummary(
                **{field: getattr(bundle.manifest, field) for field in ("name", "version", "product", "trained_on")},
                description=bundle.manifest.description,
                digest=bundle.digest,
                in_use=bundle.digest in in_use,
            )
            for bundle in _bundles(daemon)
        ]

    @app.get(
        "/api/v1/models/{name}/parcels.nii.gz",
        tags=["models"],
        response_class=FileResponse,
        responses={200: _PARCELS, **error_answers(_ERRORS, UnknownModelError)},
    )
    async def show_parcels(name: Annotated[str, Path(description="the model's")]) -> FileResponse:
        """A NIfTI in MNI space: at each voxel the number of its channel of fMRI, from one on, or zero."""
        for bundle in _bundles(daemon):
            if bundle.manifest.name == name and bundle.manifest.parcels_file is not None:
                return FileResponse(bundle.directory / bundle.manifest.parcels_file, media_type="application/gzip")
        known = [bundle.manifest.name for bundle in _bundles(daemon) if bundle.manifest.parcels_file is not None]
        raise UnknownModelError(f"no model of fMRI is called {name!r}: there are {', '.join(known) or 'none'}")

    app.include_router(replay_router(daemon.replays))

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await serve_client(socket, daemon)

    add_dashboard(app)
    return app


def _bundles(daemon: Daemon) -> list[Bundle]:
    """Those in use, then the shipped ones."""
    in_use = {model.bundle.digest: model.bundle for model in daemon.models}
    shipped = {bundle.digest: bundle for bundle in map(read_bundle, shipped_bundles())}
    return list({**in_use, **shipped}.values())


def _session_info(session: Session) -> SessionInfo:
    return SessionInfo(
        id=session.id,
        stream=session.signal.name,
        source_id=session.source_id,
        products=session.products,
        status=session.status(),
    )
