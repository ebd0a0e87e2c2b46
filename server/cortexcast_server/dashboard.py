"""The dashboard's files over HTTP."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from cortexcast_web import SITE

_HEADERS = {
    # Looked at again at each visit, so that a newer daemon never meets an older page.
    "Cache-Control": "no-cache",
    # A page of ours asks nobody else. NiiVue makes its textures and workers of data and blobs.
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' data: blob:; img-src 'self' data: blob:; worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


class _Files(StaticFiles):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # of any path but /ws
            await send({"type": "websocket.close"})
            return
        await super().__call__(scope, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_dashboard(app: FastAPI) -> None:
    """Serve the page at ``/``, and what it loads; after all other routes, which are asked first."""
    app.mount("/", _Files(directory=SITE, html=True), name="dashboard")
