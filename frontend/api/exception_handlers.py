"""Exceptions become problem documents: one handler for the table of errors, and one for each exception of FastAPI."""

from __future__ import annotations

import logging
from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from frontend.answers.http_errors import (
    HTTP_ERRORS,
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    HttpError,
    http_error,
)
from frontend.answers.problem_document import LOCATED, PROBLEM_TYPE, problem_document
from frontend.domain.errors import InvalidRequest, RangeNotSatisfiable, ServiceError
from frontend.i18n.language import HEADERS, language_of
from runtime.errors import UnsupportedMedia
from runtime.messages.catalogue import say, say_error

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_log = logging.getLogger("tosia.problems")


def add_problem_handlers(app: FastAPI) -> None:
    """Add one handler for all errors in the table, and one for each exception of FastAPI itself."""
    for kind in HTTP_ERRORS:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unknown)


def problem_response(
    request: Request, error: HttpError, detail: Exception | str, headers: dict[str, str] | None = None, **values: object
) -> JSONResponse:
    """Answer one error in the caller's language. detail: an error, or the key of a sentence with its values."""
    language = language_of(request)
    sentence = say_error(detail, language) if isinstance(detail, Exception) else say("detail", detail, language, values)
    document = problem_document(error, sentence, getattr(request.state, "request_id", None), language)
    headers = {**(headers or {}), **HEADERS[language]}
    call_id = getattr(request.state, "call_id", None)
    if call_id is not None and error in LOCATED:  # so the caller can read or erase the call
        headers["Location"] = f"/v1/calls/{call_id}"
    return JSONResponse(document, error.status, headers=headers, media_type=PROBLEM_TYPE)


async def _known(request: Request, error: Exception) -> JSONResponse:
    headers: dict[str, str] = {}
    if isinstance(error, ServiceError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, UnsupportedMedia) and error.key == "body_encoded":
        headers["Accept-Encoding"] = "identity"  # only where the coding is what is wrong (RFC 7694, section 3)
    return problem_response(request, http_error(error), error, headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Name the invalid parameters, but not their values: a value may contain anything."""
    places = [str(item["loc"][-1]) for item in error.errors()] if isinstance(error, RequestValidationError) else []
    named = ", ".join(sorted(set(places)))
    return problem_response(request, HTTP_ERRORS[InvalidRequest], "parameters_not_valid", places=named)


async def _http(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    invalid = HTTP_ERRORS[InvalidRequest]
    known = next(
        (item for item in (NOT_FOUND, METHOD_NOT_ALLOWED) if item.status == status), replace(invalid, status=status)
    )
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == METHOD_NOT_ALLOWED.status:
        headers["Allow"] = ", ".join(_methods(request))
    title = say("title", known.code, language_of(request))
    return problem_response(request, known, "see_docs", headers, title=title)


def _methods(request: Request) -> list[str]:
    """Return all methods of the path; the router names only the methods of the first matching route."""
    routes = request.app.router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _gone(request: Request, error: Exception) -> Response:
    """Handle a caller that disconnected, in the middle of its body or before its figure was drawn.

    Nobody reads this answer, but logs and metrics must not count it as our defect.
    """
    return Response(status_code=499)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    """Handle a defect of ours: its trace goes to the log, not to the caller."""
    _log.error("unexpected %s", type(error).__name__)
    return problem_response(request, INTERNAL_ERROR, "report_request_id")
