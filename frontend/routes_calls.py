"""`/v1`: calls, their audio and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Security
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from frontend import operations
from frontend.accept_language import headers_of, language_of
from frontend.admission import Admission
from frontend.answers import call_document, call_response
from frontend.audit import audit
from frontend.authenticate import api_key_header, require_key
from frontend.byte_range import parse_range
from frontend.calls import Calls, Outcome
from frontend.deadline import Deadline
from frontend.errors import CallNotFound
from frontend.operations import CallId, PageSize, PageToken, SegmentNumber, StateFilter, StatusFilter
from frontend.page_token import page_token, sort_key_of
from frontend.records import State, checked_call_id
from frontend.serving_model import ServingModel
from frontend.upload import read_upload
from frontend.workers import Workers
from runtime.config import Limits

RETRY_AFTER_S = "2"

router = APIRouter(prefix="/v1", dependencies=[Depends(require_key), Security(api_key_header)])


@router.post("/diagnoses", status_code=201, **operations.POST_DIAGNOSIS)
async def post_diagnosis(request: Request) -> JSONResponse:
    """Stores a recording, records the call, and diagnoses it."""
    calls, limits = _calls(request), _limits(request)
    _serving_model(request).known()
    upload = await read_upload(request, limits.max_body_bytes, idle_s=limits.request_deadline_s)
    request.state.ticket.body_is_read()  # of `admission.AdmissionGate`, which this route is behind
    request.state.call_id = upload.call_id
    # From here on: how long the body took was the sender's doing.
    deadline = _deadline(request)
    return _answer(
        request, await calls.submit(upload.call_id, upload.audio, upload.content_type, deadline, new=upload.new_id)
    )


@router.post("/calls/{call_id}/diagnosis", status_code=201, **operations.POST_STORED_DIAGNOSIS)
async def post_stored_diagnosis(call_id: CallId, request: Request) -> JSONResponse:
    """Diagnoses a call whose audio already lies in the store."""
    calls, deadline = _calls(request), _deadline(request)
    _serving_model(request).known()
    with _admission(request).admitted():
        outcome = await calls.diagnose_stored(checked_call_id(call_id), deadline)
    return _answer(request, outcome)


@router.get("/calls", **operations.LIST_CALLS)
async def list_calls(
    request: Request,
    limit: PageSize = 50,
    after: PageToken = None,
    state: StateFilter = None,
    status: StatusFilter = None,
) -> JSONResponse:
    """Calls, newest first."""
    page = await _calls(request).page(limit, sort_key_of(after), state, status, _deadline(request))
    language = language_of(request)
    items = [call_document(record, language) for record in page.items]
    return JSONResponse({"items": items, "next": page_token(page.next)}, headers=headers_of(language))


@router.get("/calls/{call_id}", **operations.GET_CALL)
async def get_call(call_id: CallId, request: Request) -> JSONResponse:
    """A call's record."""
    record = await _calls(request).read(checked_call_id(call_id), _deadline(request))
    return call_response(request, record)


@router.delete("/calls/{call_id}", status_code=204, **operations.DELETE_CALL)
async def delete_call(call_id: CallId, request: Request) -> Response:
    """Erases audio and record; safe to repeat."""
    await _calls(request).erase(checked_call_id(call_id), _deadline(request))
    audit("erase", request.state.key_name, call_id)
    return Response(status_code=204)


@router.get("/calls/{call_id}/audio", response_class=Response, **operations.GET_AUDIO)
async def get_audio(call_id: CallId, request: Request) -> Response:
    """The audio as it was received; ranges work."""
    record, data = await _calls(request).read_audio(checked_call_id(call_id), _deadline(request))
    audit("read audio", request.state.key_name, call_id)
    return _ranged(request, data, record.audio.content_type)


@router.get("/calls/{call_id}/audio.wav", response_class=Response, **operations.GET_WAV)
async def get_wav(call_id: CallId, request: Request) -> Response:
    """The channel that was diagnosed, as WAV for any browser (16 bits, 16 kHz at most); ranges work."""
    calls, deadline = _calls(request), _deadline(request)
    with _admission(request).admitted():
        record, data = await calls.read_diagnosed(checked_call_id(call_id), deadline)
        audit("read audio", request.state.key_name, call_id)
        work = _workers(request).to_wav(data, record.diagnosis or {}, deadline)
        return _ranged(request, await _unless_gone(request, work), "audio/wav")


@router.get("/calls/{call_id}/figure.png", response_class=Response, **operations.GET_FIGURE)
async def get_figure(call_id: CallId, request: Request) -> Response:
    """The waveform with every candidate, its score and its number (`segments` from 0); coughs as colour spectrograms."""
    calls, deadline = _calls(request), _deadline(request)
    with _admission(request).admitted():
        record, data = await calls.read_diagnosed(checked_call_id(call_id), deadline)
        audit("read figure", request.state.key_name, call_id)
        language = language_of(request)
        drawing = _workers(request).draw_figure(data, record.diagnosis or {}, language.value, deadline)
        return _png(await _unless_gone(request, drawing), headers_of(language))


@router.get("/calls/{call_id}/segments/{n}.png", response_class=Response, **operations.GET_SEGMENT)
async def get_segment(call_id: CallId, n: SegmentNumber, request: Request) -> Response:
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
            raise CallNotFound(
                "The diagnosis has {count} segments, counted from 0: ask for one of them.", count=count
            ) from None


@router.get("/model", **operations.GET_MODEL)
async def get_model(request: Request) -> JSONResponse:
    """The model that is serving, its labels, thresholds and digests."""
    return JSONResponse(_serving_model(request).known().to_dict())


def _answer(request: Request, outcome: Outcome) -> JSONResponse:
    record = outcome.record
    headers = {"Location": f"/v1/calls/{record.call_id}"}
    if record.state is State.RECEIVED:
        return call_response(request, record, 202, {**headers, "Retry-After": RETRY_AFTER_S})
    return call_response(request, record, 201 if outcome.created else 200, headers)


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


def _ranged(request: Request, data: bytes, media_type: str) -> Response:
    """The whole, or the range that was asked for. Raises: RangeNotSatisfiable."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    span = parse_range(request.headers.get("range"), len(data))
    if span is None:
        return Response(data, media_type=media_type, headers=headers)
    start, end = span
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, media_type=media_type, headers=headers)


def _png(image: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(image, media_type="image/png", headers={"Cache-Control": "private, no-store", **(headers or {})})


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
