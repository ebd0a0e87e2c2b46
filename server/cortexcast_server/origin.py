"""Who may ask from within a browser: our own page, and those that the settings name.

Any page may send requests to this machine's loopback, and names itself in ``Origin``; other clients name nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware


def is_welcome(headers: Headers, others: Collection[str] = ()) -> bool:
    """Whether a request comes from no page, from one that we served, or from one of these ``others``."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host") or origin in others


def refuse_other_origins(app: FastAPI, others: Collection[str] = ()) -> None:
    """Answer the requests of pages that are not welcome with 403; WebSockets ask ``is_welcome`` themselves."""

    @app.middleware("http")
    async def refuse(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if is_welcome(request.headers, others):
            return await call_next(request)
        message = "a page of another origin may not control this daemon: name it in the setting origins"
        return JSONResponse({"error": {"code": "other_origin", "message": message}}, 403)

    if others:
        # A browser lets a page read what another origin answers only where the answer says so.
        app.add_middleware(CORSMiddleware, allow_origins=list(others), allow_methods=["*"], allow_headers=["*"])
