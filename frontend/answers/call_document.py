"""The call document: a record as callers see it, with guidance in their language."""

from __future__ import annotations

from typing import Any

from frontend.answers.guidance import guidance
from frontend.domain.records import CallRecord
from runtime.messages.languages import Language


def call_document(record: CallRecord, language: Language) -> dict[str, Any]:
    """Return the record without its internal fields, with `guidance` added."""
    return {**record.to_answer(), "guidance": guidance(record, language)}
