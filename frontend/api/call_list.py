"""A page of calls as JSON, bounded in bytes: a record with a long history is a hundred times as large as others."""

from __future__ import annotations

import json
from collections.abc import Callable

from frontend.answers.call_document import call_document
from frontend.answers.page_token import page_token
from frontend.calls.call_service import Calls
from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.domain.records import State
from runtime.messages.languages import Language

MAX_PAGE_BYTES = 4 * 1024 * 1024  # 200 usual records are 1 MB
READ_AT_ONCE = 50  # records of one request to the store


async def page_of_calls(
    calls: Calls,
    limit: int,
    after: str | None,
    state: State | None,
    status: str | None,
    language: Language,
    deadline: Deadline,
    on_unanswerable: Callable[[str], None],
) -> bytes:
    """Return the document of at most `limit` calls, fewer where they are large, but one at least.

    after: the sort key from which to continue
    on_unanswerable: gets the id of a call whose stored diagnosis can't be read; the others are listed

    Raises: StoreUnavailable.
    """
    items: list[bytes] = []
    size, last = 0, after
    while len(items) < limit:
        page = await calls.page(min(limit - len(items), READ_AT_ONCE), after, state, status, deadline)
        for record in page.items:
            try:
                item = _json(call_document(record, language))
            except StoreUnavailable:
                on_unanswerable(record.call_id)
                last = record.sort_key
                continue
            size += len(item)
            if items and size > MAX_PAGE_BYTES:
                return _document(items, last)
            items.append(item)
            last = record.sort_key
        after = page.next
        if after is None:
            break
    return _document(items, after)


def _document(items: list[bytes], after: str | None) -> bytes:
    return b'{"items":[' + b",".join(items) + b'],"next":' + _json(page_token(after)) + b"}"


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
