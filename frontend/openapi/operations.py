"""The API docs of each route beyond its signature: arguments of its decorator, as in `@router.get(..., **GET_CALL)`."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator

from frontend.answers.http_errors import HTTP_ERRORS, NOT_FOUND, HttpError
from frontend.answers.problem_document import LOCATED, PROBLEM_TYPE
from frontend.domain.errors import (
    AUDIO_ERRORS_BY_CODE,
    BodyTimeout,
    BodyTooLarge,
    CallConflict,
    CallErased,
    CallNotFound,
    InvalidCallId,
    InvalidRequest,
    MissingAudio,
    NotDiagnosed,
    NotReady,
    Overloaded,
    RangeNotSatisfiable,
    StoreUnavailable,
    Unauthorized,
)
from frontend.domain.records import State
from frontend.openapi.examples import CALL_ID, NEXT
from frontend.openapi.schemas import (
    CALL_ID_SCHEMA,
    MAX_FORM_FIELDS,
    AliveAnswer,
    CallAnswer,
    ModelAnswer,
    PageAnswer,
    ReadyAnswer,
)
from runtime.diagnosis import Status
from runtime.messages.catalogue import say
from runtime.messages.languages import Language
from runtime.prepare import HEADERLESS

Responses = dict[int | str, dict[str, Any]]
_Kinds = tuple[type[Exception], ...]
_EMPTY_IS_ABSENT = BeforeValidator(lambda value: value or None)  # forms and templates send `?after=&state=`

CallId = Annotated[
    str, Path(description="Whose call", examples=[CALL_ID, "hotline-2026-01-15_0042"], json_schema_extra=CALL_ID_SCHEMA)
]
SegmentNumber = Annotated[
    int, Path(description="Counts the diagnosis' `segments` from 0", examples=[0], json_schema_extra={"minimum": 0})
]

PageSize = Annotated[int, Query(ge=1, le=200, description="How many calls at most", examples=[50])]
PageToken = Annotated[
    str | None,
    Query(
        max_length=512,
        description="`next` of the page before",
        examples=[NEXT],
        json_schema_extra={"format": "page-token"},
    ),
]
StateFilter = Annotated[
    State | None, _EMPTY_IS_ABSENT, Query(description="Only calls in this state", examples=[State.DIAGNOSED.value])
]
StatusFilter = Annotated[
    Status | None, _EMPTY_IS_ABSENT, Query(description="Only diagnoses of this status", examples=[Status.OK.value])
]


def _references(kind: str, *names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


# Headers of answers with words.
_SPOKEN = ("Content-Language", "Vary")


def _answer(model: type[BaseModel], description: str, *examples: str, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    """examples, headers: names in the document's components."""
    return {
        "model": model,
        "description": description,
        "headers": _references("headers", *headers),
        "content": {"application/json": {"examples": _references("examples", *examples)}},
    }


def _file(description: str, example: str, *media_types: str, headers: tuple[str, ...]) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}, "examples": _references("examples", example)}
    return {
        "description": description,
        "headers": _references("headers", *headers),
        "content": dict.fromkeys(media_types, binary),
    }


def _problems(*kinds: type[Exception], uploaded: bool = False) -> Responses:
    """Return a route's problem answers.

    uploaded: the request has a body, and `Location` names the call if it was stored nevertheless
    """
    answers = {HTTP_ERRORS[kind] for kind in kinds}
    if CallNotFound in kinds:
        answers.add(NOT_FOUND)  # a slash in the call_id, encoded or not, makes another path
    by_status = sorted(answers, key=lambda answer: (answer.status, answer.code))
    return {
        status: _problem(list(group), uploaded=uploaded)
        for status, group in groupby(by_status, lambda by_statu: by_statu.status)
    }


def _problem(answers: list[HttpError], *, uploaded: bool) -> dict[str, Any]:
    status = answers[0].status
    headers = {
        "Retry-After": status == 503,
        "Content-Range": status == 416,
        "Accept-Encoding": status == 415 and uploaded,
    }
    named = _references("headers", *_SPOKEN, *(name for name, there in headers.items() if there))
    if uploaded and any(item in LOCATED for item in answers):
        named["Location"] = {"$ref": "#/components/headers/LocationOfStored"}
    return {
        "description": "; ".join(say("title", answer.code, Language.ENGLISH) for answer in answers),
        "headers": named,
        "content": {
            PROBLEM_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": _references("examples", *(item.code for item in answers)),
            }
        },
    }


_CALL_ID_OF_ANSWER = {"call_id": "$response.body#/call_id"}
_LINKS = {
    **{
        operation: {"operationId": operation, "parameters": _CALL_ID_OF_ANSWER}
        for operation in ("get_call", "post_stored_diagnosis", "get_audio", "get_wav", "get_figure", "delete_call")
    },
    "get_segment": {"operationId": "get_segment", "parameters": {**_CALL_ID_OF_ANSWER, "n": 0}},
}

# `call_id` has no example here: a request with a used id gets the other call, or a conflict.
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["audio"],
                    "maxProperties": 1 + MAX_FORM_FIELDS,
                    "additionalProperties": {"type": "string"},
                    "properties": {
                        "audio": {
                            "type": "string",
                            "format": "binary",
                            "description": "The recording; `filename` may be left out",
                        },
                        "call_id": {
                            "type": "string",
                            **CALL_ID_SCHEMA,
                            "description": "Yours, so that the request can be sent again; a UUIDv7 where there is none",
                        },
                        "format": {
                            "type": "string",
                            "enum": list(HEADERLESS),
                            "description": "What a recording without a header is; all others say it themselves",
                        },
                    },
                },
            }
        },
    }
}
_RANGE = {
    "parameters": [
        {
            "name": "Range",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "One range of bytes; any other is answered with the whole audio",
            "examples": {"first_bytes": {"value": "bytes=0-4095"}},
        }
    ]
}

_AUDIO_ERRORS: _Kinds = tuple(AUDIO_ERRORS_BY_CODE.values())
_ONE_CALL: _Kinds = (Unauthorized, CallNotFound, InvalidCallId, StoreUnavailable)
_TO_DIAGNOSE: _Kinds = (
    Unauthorized,
    CallErased,
    BodyTooLarge,
    InvalidCallId,
    *_AUDIO_ERRORS,
    Overloaded,
    StoreUnavailable,
)
_TO_DRAW: _Kinds = (*_ONE_CALL, CallErased, NotDiagnosed, Overloaded, NotReady)

_DIAGNOSED: Responses = {
    200: {
        **_answer(
            CallAnswer, "The call was known already", "diagnosed", "scored_again", headers=("Location", *_SPOKEN)
        ),
        "links": _LINKS,
    },
    201: {
        **_answer(CallAnswer, "Diagnosed", "diagnosed", "no_cough", "poor_quality", headers=("Location", *_SPOKEN)),
        "links": _LINKS,
    },
    202: {
        **_answer(
            CallAnswer,
            "Stored; the diagnosis follows: ask `Location` after `Retry-After` seconds",
            "received",
            headers=("Location", "Retry-After", *_SPOKEN),
        ),
        "links": _LINKS,
    },
}
_PRIVATE = ("Cache-Control",)
_SENT = ("audio/*", "video/*", "application/octet-stream")


def _operation(tag: str, summary: str, responses: Responses, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"tags": [tag], "summary": summary, "responses": responses, "openapi_extra": extra}


POST_DIAGNOSIS = _operation(
    "calls",
    "Diagnose a recording",
    {
        **_DIAGNOSED,
        **_problems(*_TO_DIAGNOSE, BodyTimeout, CallConflict, MissingAudio, InvalidRequest, NotReady, uploaded=True),
    },
    _UPLOAD,
)
POST_STORED_DIAGNOSIS = _operation(
    "calls", "Diagnose audio that is stored already", {**_DIAGNOSED, **_problems(*_TO_DIAGNOSE, CallNotFound, NotReady)}
)
LIST_CALLS = _operation(
    "calls",
    "List calls",
    {
        200: _answer(PageAnswer, "A page of calls", "page", "last_page", headers=_SPOKEN),
        **_problems(Unauthorized, InvalidRequest, Overloaded, StoreUnavailable),
    },
)
GET_CALL = _operation(
    "calls",
    "Read a call's record",
    {
        200: _answer(
            CallAnswer, "The record", "diagnosed", "in_english", "received", "failed", "scored_again", headers=_SPOKEN
        ),
        **_problems(*_ONE_CALL, CallErased, Overloaded),
    },
)
DELETE_CALL = _operation(
    "calls", "Erase a call", {204: {"description": "Erased, now or before"}, **_problems(*_ONE_CALL)}
)
GET_AUDIO = _operation(
    "calls",
    "Download a call's audio",
    {
        200: _file("All of it", "recording", *_SENT, headers=("Accept-Ranges", *_PRIVATE)),
        206: _file("The range", "recording", *_SENT, headers=("Content-Range", "Accept-Ranges", *_PRIVATE)),
        **_problems(*_ONE_CALL, CallErased, Overloaded, RangeNotSatisfiable),
    },
    _RANGE,
)
GET_WAV = _operation(
    "calls",
    "Listen to the channel that was diagnosed",
    {
        200: _file("All of it", "recording", "audio/wav", headers=("Accept-Ranges", *_PRIVATE)),
        206: _file("The range", "recording", "audio/wav", headers=("Content-Range", "Accept-Ranges", *_PRIVATE)),
        **_problems(*_TO_DRAW, RangeNotSatisfiable),
    },
    _RANGE,
)
GET_FIGURE = _operation(
    "calls",
    "Draw a call's figure",
    {200: _file("The figure", "image", "image/png", headers=(*_PRIVATE, *_SPOKEN)), **_problems(*_TO_DRAW)},
)
GET_SEGMENT = _operation(
    "calls",
    "Draw one segment's spectrogram",
    {
        200: _file("The spectrogram", "image", "image/png", headers=_PRIVATE),
        **_problems(*_TO_DRAW, InvalidRequest),
    },
)
GET_MODEL = _operation(
    "model",
    "Describe the model that is serving",
    {200: _answer(ModelAnswer, "The model", "model"), **_problems(Unauthorized, NotReady)},
)
HEALTHZ = _operation(
    "probes",
    "Is this process alive?",
    {200: _answer(AliveAnswer, "It is", "alive"), **_problems(NotReady)},
)
READYZ = _operation(
    "probes",
    "Does it take calls in?",
    {200: _answer(ReadyAnswer, "It does", "ready", "degraded"), **_problems(NotReady)},
)
