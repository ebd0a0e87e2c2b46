"""The HTTP face: REST under /api/v1, health checks, and the WebSocket at /ws."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from cortexcast_server import asyncapi
from cortexcast_server.daemon import Daemon
from cortexcast_server.dashboard import add_dashboard
from cortexcast_server.http_errors import ANY_ERRORS, add_error_handlers
from cortexcast_server.model_api import MODEL_ERRORS, model_router
from cortexcast_server.origin import refuse_other_origins
from cortexcast_server.protocol import SessionState
from cortexcast_server.replay_api import REPLAY_ERRORS, replay_router
from cortexcast_server.session_api import SESSION_ERRORS, session_router
from cortexcast_server.websocket import serve_client


class Health(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """Whether the daemon can serve."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ready: bool

    sessions: dict[str, SessionState]
    """The state of each, by its id."""


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
    add_error_handlers(app, {**SESSION_ERRORS, **REPLAY_ERRORS, **MODEL_ERRORS})
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

    app.include_router(session_router(daemon))
    app.include_router(replay_router(daemon.replays))
    app.include_router(model_router(daemon))

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await serve_client(socket, daemon)

    add_dashboard(app)
    return app
