"""What the API docs say that answers look like; the answers themselves are made elsewhere and tested against these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from frontend.records import Failure, State
from runtime.diagnosis import Diagnosis


class AudioAnswer(BaseModel):
    """What was received."""

    sha256: str
    bytes: int
    content_type: str


class Result(BaseModel):
    """One of a call's results."""

    at: str = Field(description="RFC 3339, UTC")
    diagnosis: Diagnosis


class CallAnswer(BaseModel):
    """A call's record."""

    call_id: str
    state: State
    received_at: str = Field(description="RFC 3339, UTC")
    updated_at: str = Field(description="RFC 3339, UTC")
    attempts: int
    failure: Failure | None
    audio: AudioAnswer
    diagnosis: Diagnosis | None = Field(
        description="What was answered; it stays when other releases score the call again"
    )
    history: list[Result] | None = Field(
        default=None, description="Every result, oldest first; only once the call was scored again"
    )


class PageAnswer(BaseModel):
    """Calls, newest first; `next` continues the listing as `after`."""

    items: list[CallAnswer]
    next: str | None


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses answer with a problem."""
    return {
        status: {
            "description": "Problem",
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
        for status in statuses
    }
