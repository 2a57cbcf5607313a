"""Responses of the call routes: a call document, a PNG, or audio with byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from frontend.answers.call_document import call_document
from frontend.domain.errors import RangeNotSatisfiable
from frontend.domain.records import CallRecord, State
from frontend.i18n.language import HEADERS, language_of

RETRY_AFTER_S = "2"
_PRIVATE = {"Cache-Control": "private, no-store"}


def call_response(request: Request, record: CallRecord, *, created: bool | None = None) -> JSONResponse:
    """Answer one call, in the language of the request. created: whether a POST has created it; None for a GET."""
    language = language_of(request)
    status, headers = 200, HEADERS[language]
    if created is not None:
        headers = {**headers, "Location": f"/v1/calls/{record.call_id}"}
        if record.state is State.RECEIVED:
            status, headers["Retry-After"] = 202, RETRY_AFTER_S
        elif created:
            status = 201
    return JSONResponse(call_document(record, language), status, headers)


def png_response(image: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Answer an image that no cache may keep."""
    return Response(image, media_type="image/png", headers={**_PRIVATE, **(headers or {})})


def ranged_response(request: Request, data: bytes, media_type: str) -> Response:
    """Answer the whole body, or the range in the request's header. Raises: RangeNotSatisfiable."""
    headers = {"Accept-Ranges": "bytes", **_PRIVATE}
    # A range is defined for GET only; with any other method it is ignored (RFC 9110, section 14.2).
    span = parse_range(request.headers.get("range"), len(data)) if request.method == "GET" else None
    if span is None:
        return Response(data, media_type=media_type, headers=headers)
    start, end = span
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type=media_type, headers=headers)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """`bytes=a-b` -> half-open (start, end), or None for the whole body.

    Several ranges, other units and malformed headers are answered with the whole body, as the RFC allows.
    Raises: RangeNotSatisfiable.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return start, end
