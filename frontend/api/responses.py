"""Responses of the call routes: a call document, a PNG, or audio with byte ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from fastapi import Request
from fastapi.responses import Response

from frontend.answers.call_document import call_document
from frontend.api.held_answers import HeldAnswer, HeldJson, StreamedAudio
from frontend.calls.stored_audio import PiecewiseAudio
from frontend.domain.deadline import Deadline
from frontend.domain.errors import RangeNotSatisfiable
from frontend.domain.records import CallRecord, State, StoredAudio
from frontend.i18n.language import HEADERS, language_of

RETRY_AFTER_S = "2"
_PRIVATE = {"Cache-Control": "private, no-store"}


def call_response(request: Request, record: CallRecord, *, created: bool | None = None) -> HeldJson:
    """Answer one call, in the language of the request. created: whether a POST has created it; None for a GET."""
    language = language_of(request)
    status, headers = 200, HEADERS[language]
    if created is not None:
        headers = {**headers, "Location": f"/v1/calls/{record.call_id}"}
        if record.state is State.RECEIVED:
            status, headers["Retry-After"] = 202, RETRY_AFTER_S
        elif created:
            status = 201
    return HeldJson(call_document(record, language), status, headers)


def png_response(image: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Answer an image that no cache may keep."""
    return HeldAnswer(image, media_type="image/png", headers={**_PRIVATE, **(headers or {})})


def ranged_response(request: Request, data: bytes, media_type: str) -> Response:
    """Answer the whole body, or the range in the request's header. Raises: RangeNotSatisfiable."""
    (start, end), status, headers = _ranged(request, len(data))
    return HeldAnswer(data[start:end], status, headers, media_type)


def streamed_response(
    request: Request,
    audio: PiecewiseAudio,
    stored: StoredAudio,
    deadline: Deadline,
    piece_s: float,
    verified: Callable[[], None],
) -> Response:
    """Answer as `ranged_response`, but read the audio while it is sent. The other arguments: see `StreamedAudio`.

    Raises: RangeNotSatisfiable.
    """
    span, status, headers = _ranged(request, stored.bytes)
    return StreamedAudio(audio, span, deadline, piece_s, verified, status, headers, stored.content_type)


def _ranged(request: Request, size: int) -> tuple[tuple[int, int], int, dict[str, str]]:
    """Return the span, the status and the headers of an answer of `size` bytes in whole."""
    headers = {"Accept-Ranges": "bytes", **_PRIVATE}
    # A range is defined for GET only; with any other method it is ignored (RFC 9110, section 14.2).
    span = parse_range(request.headers.get("range"), size) if request.method == "GET" else None
    if span is None:
        return (0, size), 200, headers
    headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return span, 206, headers


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
