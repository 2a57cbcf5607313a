"""What a call route answers with: the record, and what it says in the caller's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from frontend.accept_language import Language, headers_of, language_of
from frontend.guidance import guidance
from frontend.records import CallRecord


def call_document(record: CallRecord, language: Language) -> dict[str, Any]:
    """The record as callers see it."""
    return {**record.to_answer(), "guidance": guidance(record, language)}


def call_response(
    request: Request, record: CallRecord, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """One call, in the language of the request."""
    language = language_of(request)
    return JSONResponse(call_document(record, language), status, headers={**(headers or {}), **headers_of(language)})
