"""A finished call as a CloudEvent 1.0 in JSON (structured mode), so that the signature covers the attributes too."""

from __future__ import annotations

import json

from frontend.answers.call_document import call_document
from frontend.domain.records import CallRecord, Notice
from runtime.messages.languages import Language

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SOURCE = "/v1/calls"
TYPES = {"diagnosed": "ia.tos.call.diagnosed", "failed": "ia.tos.call.failed"}


def event_of(record: CallRecord, notice: Notice, language: Language) -> bytes:
    """Return the event: what `GET /v1/calls/{call_id}` answers now, in an envelope. id: the same in each try.

    Raises: StoreUnavailable for a stored diagnosis that lacks what every diagnosis has.
    """
    document = {
        "specversion": "1.0",
        "id": notice.event_id,
        "source": SOURCE,
        "type": TYPES[record.state.value],
        "subject": record.call_id,
        "time": notice.since,
        "datacontenttype": "application/json",
        "data": call_document(record, language),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
