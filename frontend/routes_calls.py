"""`/v1`: calls, their audio and figures."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Security
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator
from starlette.requests import ClientDisconnect

from frontend.admission import Admission
from frontend.audit import audit
from frontend.authenticate import api_key_header, require_key
from frontend.byte_range import parse_range
from frontend.calls import Calls, Outcome
from frontend.deadline import Deadline
from frontend.errors import CallNotFound, InvalidRequest
from frontend.records import State, checked_call_id, is_sort_key
from frontend.schemas import CallAnswer, PageAnswer, problems
from frontend.serving_model import ServingModel
from frontend.upload import read_upload
from frontend.workers import Workers
from runtime.config import Limits
from runtime.diagnosis import Status

RETRY_AFTER_S = "2"

router = APIRouter(prefix="/v1", dependencies=[Depends(require_key), Security(api_key_header)])

_EMPTY_IS_ABSENT = BeforeValidator(lambda value: value or None)  # `?after=&state=` is what forms and templates send

_UPLOAD_DOCS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["audio"],
                    "properties": {
                        "audio": {"type": "string", "format": "binary", "description": "The recording"},
                        "call_id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._=-]{0,127}$"},
                    },
                }
            }
        },
    }
}

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": CallAnswer, "description": "The call was known already"},
    201: {"model": CallAnswer, "description": "Diagnosed"},
    202: {
        "model": CallAnswer,
        "description": "Stored; the diagnosis follows: ask `Location` after `Retry-After` seconds",
    },
}


@router.post(
    "/diagnoses",
    status_code=201,
    responses={**_ANSWERS, **problems(401, 408, 409, 410, 413, 415, 422, 503)},
    openapi_extra=_UPLOAD_DOCS,
)
async def post_diagnosis(request: Request) -> JSONResponse:
    """Stores a recording, records the call, and diagnoses it."""
    calls, limits = _calls(request), _limits(request)
    _serving_model(request).known()
    upload = await read_upload(request, limits.max_body_bytes, idle_s=limits.request_deadline_s)
    request.state.ticket.body_is_read()  # of `admission.AdmissionGate`, which this route is behind
    request.state.call_id = upload.call_id
    # From here on: how long the body took was the sender's doing.
    deadline = _deadline(request)
    return _answer(await calls.submit(upload.call_id, upload.audio, upload.content_type, deadline, new=upload.new_id))


@router.post(
    "/calls/{call_id}/diagnosis", status_code=201, responses={**_ANSWERS, **problems(401, 404, 410, 413, 415, 422, 503)}
)
async def post_stored_diagnosis(call_id: str, request: Request) -> JSONResponse:
    """Diagnoses a call whose audio already lies in the store."""
    calls, deadline = _calls(request), _deadline(request)
    _serving_model(request).known()
    with _admission(request).admitted():
        outcome = await calls.diagnose_stored(checked_call_id(call_id), deadline)
    return _answer(outcome)


@router.get("/calls", response_model=None, responses={200: {"model": PageAnswer}, **problems(401, 422, 503)})
async def list_calls(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=512, description="`next` of the page before")] = None,
    state: Annotated[State | None, _EMPTY_IS_ABSENT] = None,
    status: Annotated[Status | None, _EMPTY_IS_ABSENT] = None,
) -> JSONResponse:
    """Calls, newest first."""
    page = await _calls(request).page(limit, _decoded_token(after), state, status, _deadline(request))
    items = [record.to_answer() for record in page.items]
    return JSONResponse({"items": items, "next": _encoded_token(page.next)})


@router.get(
    "/calls/{call_id}", response_model=None, responses={200: {"model": CallAnswer}, **problems(401, 404, 410, 422, 503)}
)
async def get_call(call_id: str, request: Request) -> JSONResponse:
    """A call's record."""
    record = await _calls(request).read(checked_call_id(call_id), _deadline(request))
    return JSONResponse(record.to_answer())


@router.delete("/calls/{call_id}", status_code=204, responses=problems(401, 404, 422, 503))
async def delete_call(call_id: str, request: Request) -> Response:
    """Erases audio and record; safe to repeat."""
    await _calls(request).erase(checked_call_id(call_id), _deadline(request))
    audit("erase", request.state.key_name, call_id)
    return Response(status_code=204)


@router.get(
    "/calls/{call_id}/audio",
    response_class=Response,
    responses={
        200: {"content": {"audio/*": {}}},
        206: {"content": {"audio/*": {}}},
        **problems(401, 404, 410, 416, 422, 503),
    },
)
async def get_audio(call_id: str, request: Request) -> Response:
    """The audio as it was received; ranges work."""
    record, data = await _calls(request).read_audio(checked_call_id(call_id), _deadline(request))
    audit("read audio", request.state.key_name, call_id)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    span = parse_range(request.headers.get("range"), len(data))
    if span is None:
        return Response(data, media_type=record.audio.content_type, headers=headers)
    start, end = span
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type=record.audio.content_type, headers=headers)


@router.get(
    "/calls/{call_id}/figure.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **problems(401, 404, 409, 410, 422, 503)},
)
async def get_figure(call_id: str, request: Request) -> Response:
    """The waveform with every candidate, its score and its number (`segments` from 0); coughs as colour spectrograms."""
    calls, deadline = _calls(request), _deadline(request)
    with _admission(request).admitted():
        record, data = await calls.read_diagnosed(checked_call_id(call_id), deadline)
        audit("read figure", request.state.key_name, call_id)
        drawing = _workers(request).draw_figure(data, record.diagnosis or {}, deadline)
        return _png(await _unless_gone(request, drawing))


@router.get(
    "/calls/{call_id}/segments/{n}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **problems(401, 404, 409, 410, 422, 503)},
)
async def get_segment(call_id: str, n: int, request: Request) -> Response:
    """One candidate's colour spectrogram; n counts `segments` from 0."""
    calls, deadline = _calls(request), _deadline(request)
    with _admission(request).admitted():
        record, data = await calls.read_diagnosed(checked_call_id(call_id), deadline)
        audit("read segment", request.state.key_name, call_id)
        try:
            drawing = _workers(request).draw_segment(data, record.diagnosis or {}, n, deadline)
            return _png(await _unless_gone(request, drawing))
        except IndexError:
            count = len((record.diagnosis or {}).get("segments", ()))
            raise CallNotFound(f"The diagnosis has {count} segments, counted from 0: ask for one of them.") from None


@router.get("/model", response_model=None, responses=problems(401, 503))
async def get_model(request: Request) -> JSONResponse:
    """The model that is serving, its labels, thresholds and digests."""
    return JSONResponse(_serving_model(request).known().to_dict())


def _answer(outcome: Outcome) -> JSONResponse:
    record = outcome.record
    if record.state is State.RECEIVED:
        headers = {"Location": f"/v1/calls/{record.call_id}", "Retry-After": RETRY_AFTER_S}
        return JSONResponse(record.to_answer(), 202, headers=headers)
    headers = {"Location": f"/v1/calls/{record.call_id}"}
    return JSONResponse(record.to_answer(), 201 if outcome.created else 200, headers=headers)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, bytes]) -> bytes:
    """What the work brings; it ends when the client goes away. Raises: ClientDisconnect."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_leaving(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _png(image: bytes) -> Response:
    return Response(image, media_type="image/png", headers={"Cache-Control": "private, no-store"})


def _encoded_token(sort_key: str | None) -> str | None:
    return base64.urlsafe_b64encode(sort_key.encode()).decode() if sort_key is not None else None


def _decoded_token(token: str | None) -> str | None:
    """Raises: InvalidRequest."""
    if not token:
        return None
    try:
        sort_key = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        sort_key = ""
    if not is_sort_key(sort_key):
        raise InvalidRequest("`after` is not a token of this listing: send the `next` of the page before.")
    return sort_key


def _calls(request: Request) -> Calls:
    calls: Calls = request.app.state.calls
    return calls


def _admission(request: Request) -> Admission:
    admission: Admission = request.app.state.admission
    return admission


def _workers(request: Request) -> Workers:
    workers: Workers = request.app.state.workers
    return workers


def _serving_model(request: Request) -> ServingModel:
    model: ServingModel = request.app.state.serving_model
    return model


def _deadline(request: Request) -> Deadline:
    return Deadline.after(_limits(request).request_deadline_s)


def _limits(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits
