"""The call document: a record as callers see it, with guidance in their language."""

from __future__ import annotations

from typing import Any

from frontend.answers.guidance import guidance
from frontend.domain.errors import StoreUnavailable
from frontend.domain.records import CallRecord
from runtime.messages.languages import Language


def call_document(record: CallRecord, language: Language) -> dict[str, Any]:
    """Return the record without its internal fields, with `guidance` added.

    Raises: StoreUnavailable for a stored diagnosis that lacks what every diagnosis has.
    """
    try:
        return {**record.to_answer(), "guidance": guidance(record, language)}
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreUnavailable("record_unreadable", retry_after_s=60) from error
