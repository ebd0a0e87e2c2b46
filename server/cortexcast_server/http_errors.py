"""HTTP errors in one form, ``{"error": {"code", "message"}}``, for every application that we serve."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

Codes = dict[type[Exception], tuple[int, str]]
"""Status and code of each exception whose message is for the user."""

Answers = dict[int | str, dict[str, Any]]
"""Answers as FastAPI takes their description, by status."""


class ErrorInfo(BaseModel):
    """What a request did wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    code: str
    """For programs."""

    message: str
    """What was wrong and what to do, for people."""


class ErrorAnswer(BaseModel):
    """The one form of every error."""

    error: ErrorInfo


ANY_ERRORS: Answers = {
    403: {"model": ErrorAnswer, "description": "`other_origin`: the request comes from a page of another origin"},
    "default": {"model": ErrorAnswer, "description": "any other error"},
}
"""What every route may answer."""


def error_answers(codes: Codes, *kinds: type[Exception], has_body: bool = False) -> Answers:
    """How a route declares its errors.

    Args:
        codes: as in ``add_error_handlers``.
        kinds: those that the route may raise.
        has_body: the route takes a body, which may be wrong too.
    """
    meanings: dict[int, list[str]] = {}
    for kind in kinds:
        status, code = codes[kind]
        first_line = (kind.__doc__ or "").partition("\n")[0]
        meanings.setdefault(status, []).append(f"`{code}`: {first_line}")
    if has_body:
        meanings.setdefault(422, []).append("`bad_request`: The body is not what the route takes.")
    return {status: {"model": ErrorAnswer, "description": "\n\n".join(each)} for status, each in meanings.items()}


def add_error_handlers(app: FastAPI, codes: Codes) -> None:
    """Answer these exceptions, requests that do not validate, and unknown paths."""

    def reply(status: int, code: str, message: str) -> JSONResponse:
        return JSONResponse(ErrorAnswer(error=ErrorInfo(code=code, message=message)).model_dump(), status)

    async def known(_: Request, error: Exception) -> JSONResponse:
        status, code = next(codes[kind] for kind in type(error).__mro__ if kind in codes)
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
