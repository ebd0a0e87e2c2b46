"""Who may ask from within a browser: our own pages alone.

Any page may send requests to this machine's loopback, and names itself in ``Origin``; other clients name nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers


def is_ours(headers: Headers) -> bool:
    """Whether a request comes from no page, or from one that we served."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def refuse_other_origins(app: FastAPI) -> None:
    """Answer the requests of other pages with 403; WebSockets ask ``is_ours`` themselves."""

    @app.middleware("http")
    async def refuse(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if is_ours(request.headers):
            return await call_next(request)
        message = "a page of another origin may not control this daemon"
        return JSONResponse({"error": {"code": "other_origin", "message": message}}, 403)
