"""`/v1`: calls, their audio and figures."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from fastapi import Depends, Request, Security
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from frontend.answers.page_token import sort_key_of
from frontend.api.answering_head import Router
from frontend.api.authenticate import api_key_header, require_key
from frontend.api.call_list import page_of_calls
from frontend.api.held_answers import HeldAnswer
from frontend.api.responses import call_response, png_response, ranged_response, streamed_response
from frontend.api.services_of import deadline_of, services_of
from frontend.api.upload import read_upload
from frontend.calls.stored_audio import file_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallNotFound
from frontend.domain.records import checked_call_id
from frontend.i18n.language import HEADERS, language_of
from frontend.observability.audit import audit
from frontend.observability.tracing import span
from frontend.openapi import operations
from frontend.openapi.operations import CallId, PageSize, PageToken, SegmentNumber, StateFilter, StatusFilter

router = Router(prefix="/v1", dependencies=[Depends(require_key), Security(api_key_header)])


@router.post("/diagnoses", status_code=201, **operations.POST_DIAGNOSIS)
async def post_diagnosis(request: Request) -> JSONResponse:
    """Stores a recording, records the call, and diagnoses it."""
    services = services_of(request)
    services.model.known()
    limits = services.limits
    ticket = request.state.ticket  # of `AdmissionGate`, which this route is behind
    with span("read_body") as reading:
        upload = await read_upload(request, limits, services.admission, ticket)
        reading.set_attribute("http.request.body.size", len(upload.audio.data))
    ticket.reading = False
    request.state.call_id = upload.call_id
    # From here on: how long the body took was the sender's doing.
    deadline = Deadline.after(limits.request_deadline_s)
    outcome = await services.calls.submit(
        upload.call_id,
        upload.audio,
        upload.content_type,
        deadline,
        new=upload.new_id,
        key=request.state.key_name,
    )
    return call_response(request, outcome.record, created=outcome.created)


@router.post("/calls/{call_id}/diagnosis", status_code=201, **operations.POST_STORED_DIAGNOSIS)
async def post_stored_diagnosis(call_id: CallId, request: Request) -> JSONResponse:
    """Diagnoses a call whose audio already lies in the store."""
    services, deadline = services_of(request), deadline_of(request)
    services.model.known()
    key = request.state.key_name
    with services.admission.admitted(key) as ticket:
        hold = partial(services.admission.grow, ticket)
        outcome = await services.calls.diagnose_stored(checked_call_id(call_id), deadline, hold, key=key)
    return call_response(request, outcome.record, created=outcome.created)


@router.get("/calls", **operations.LIST_CALLS)
async def list_calls(
    request: Request,
    limit: PageSize = 50,
    after: PageToken = None,
    state: StateFilter = None,
    status: StatusFilter = None,
) -> Response:
    """Calls, newest first; fewer than `limit` where their records are large."""
    language, services = language_of(request), services_of(request)
    page = await page_of_calls(
        services.calls, limit, sort_key_of(after), state, status, language, deadline_of(request),
        services.stores.troubles.unanswerable,
    )  # fmt: skip
    return HeldAnswer(page, media_type="application/json", headers=HEADERS[language])


@router.get("/calls/{call_id}", **operations.GET_CALL)
async def get_call(call_id: CallId, request: Request) -> JSONResponse:
    """A call's record."""
    record = await services_of(request).calls.read(checked_call_id(call_id), deadline_of(request))
    return call_response(request, record)


@router.delete("/calls/{call_id}", status_code=204, **operations.DELETE_CALL)
async def delete_call(call_id: CallId, request: Request) -> Response:
    """Erases audio and record; safe to repeat."""
    await services_of(request).calls.erase(checked_call_id(call_id), deadline_of(request))
    audit("erase", request.state.key_name, call_id)
    return Response(status_code=204)


@router.get("/calls/{call_id}/audio", response_class=Response, **operations.GET_AUDIO)
async def get_audio(call_id: CallId, request: Request) -> Response:
    """The audio as it was received; ranges work."""
    services, deadline = services_of(request), deadline_of(request)
    record = await services.calls.read(checked_call_id(call_id), deadline)
    return streamed_response(
        request,
        services.calls.piecewise(record),
        record.audio,
        deadline,
        services.limits.request_deadline_s,
        partial(audit, "read audio", request.state.key_name, call_id),
    )


@router.get("/calls/{call_id}/audio.wav", response_class=Response, **operations.GET_WAV)
async def get_wav(call_id: CallId, request: Request) -> Response:
    """The channel that was diagnosed, as WAV for any browser (16 bits, 16 kHz at most); ranges work."""
    services, deadline = services_of(request), deadline_of(request)
    with services.admission.admitted(request.state.key_name) as ticket:
        hold = partial(services.admission.grow, ticket)
        record, data = await services.calls.read_diagnosed(checked_call_id(call_id), deadline, hold)
        audit("read audio", request.state.key_name, call_id)
        work = services.workers.sound(file_of(data, record.audio), record.diagnosis or {}, deadline)
        return ranged_response(request, await _unless_gone(request, work), "audio/wav")


@router.get("/calls/{call_id}/figure.png", response_class=Response, **operations.GET_FIGURE)
async def get_figure(call_id: CallId, request: Request) -> Response:
    """The waveform with every candidate, its score and its number; coughs as colour spectrograms.

    Numbers in the figure are for people and count from 1: number 1 is `segments[0]`.
    """
    services, deadline = services_of(request), deadline_of(request)
    with services.admission.admitted(request.state.key_name) as ticket:
        hold = partial(services.admission.grow, ticket)
        record, data = await services.calls.read_diagnosed(checked_call_id(call_id), deadline, hold)
        audit("read figure", request.state.key_name, call_id)
        language = language_of(request)
        drawing = services.workers.figure(file_of(data, record.audio), record.diagnosis or {}, language.value, deadline)
        return png_response(await _unless_gone(request, drawing), HEADERS[language])


@router.get("/calls/{call_id}/segments/{n}.png", response_class=Response, **operations.GET_SEGMENT)
async def get_segment(call_id: CallId, n: SegmentNumber, request: Request) -> Response:
    """One candidate's colour spectrogram; n counts `segments` from 0, while figures and console count from 1."""
    services, deadline = services_of(request), deadline_of(request)
    with services.admission.admitted(request.state.key_name) as ticket:
        hold = partial(services.admission.grow, ticket)
        if n < 0:  # of no call: told before whether this one has a diagnosis
            known = (await services.calls.read(checked_call_id(call_id), deadline)).diagnosis or {}
            raise CallNotFound("no_such_segment", count=len(known.get("segments", ())))
        record, data = await services.calls.read_diagnosed(checked_call_id(call_id), deadline, hold)
        audit("read segment", request.state.key_name, call_id)
        diagnosis = record.diagnosis or {}
        count = len(diagnosis.get("segments", ()))
        if not 0 <= n < count:
            raise CallNotFound("no_such_segment", count=count)
        drawing = services.workers.segment_figure(file_of(data, record.audio), diagnosis, n, deadline)
        return png_response(await _unless_gone(request, drawing))


@router.get("/model", **operations.GET_MODEL)
async def get_model(request: Request) -> JSONResponse:
    """The model that is serving, its labels, thresholds and digests."""
    return JSONResponse(services_of(request).model.known().to_dict())


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
