"""Problem documents: every error as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from typing import Any

from frontend.answers.http_errors import HTTP_ERRORS, HttpError
from frontend.domain.errors import AUDIO_ERRORS_BY_CODE, CallConflict, CallErased, NotReady
from runtime.messages.catalogue import say
from runtime.messages.languages import Language

PROBLEM_TYPE = "application/problem+json"

# These errors occur only after the request has read the call's record or its tombstone; `Location` then names the call.
LOCATED = [HTTP_ERRORS[kind] for kind in (CallConflict, CallErased, NotReady, *AUDIO_ERRORS_BY_CODE.values())]


def problem_document(error: HttpError, detail: str, request_id: str | None, language: Language) -> dict[str, Any]:
    """Return the body of a problem response; detail: in the same language."""
    return {
        "type": f"urn:tosia:problem:{error.code}",
        "title": say("title", error.code, language),
        "status": error.status,
        "detail": detail,
        "code": error.code,
        "request_id": request_id,
    }
