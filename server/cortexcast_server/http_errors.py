"""HTTP errors in one form, ``{"error": {"code", "message"}}``, for every application that we serve."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

Codes = dict[type[Exception], tuple[int, str]]
"""Status and code of each exception whose message is for the user."""


def add_error_handlers(app: FastAPI, codes: Codes) -> None:
    """Answer these exceptions, requests that do not validate, and unknown paths."""

    def reply(status: int, code: str, message: str) -> JSONResponse:
        return JSONResponse({"error": {"code": code, "message": message}}, status)

    async def known(_: Request, error: Exception) -> JSONResponse:
        status, code = codes[type(error)]
        return reply(status, code, str(error))

    for kind in codes:
        app.add_exception_handler(kind, known)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return reply(422, "bad_request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return reply(error.status_code, "http", f"{request.method} {request.url.path}: {error.detail}")
