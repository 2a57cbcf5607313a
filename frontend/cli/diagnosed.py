"""Reads the diagnosed calls from the record store, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, State
from frontend.stores.protocols import RecordStore

PAGE = 200


async def diagnosed_calls(
    records: RecordStore, since: str, deadline: Callable[[], Deadline], unreadable: Callable[[int], None]
) -> AsyncIterator[CallRecord]:
    """Yield the diagnosed calls received since then, newest first.

    deadline: of each page; unreadable: gets how many stored records of a page can't be read
    Raises: StoreUnavailable.
    """
    after: str | None = None
    while True:
        page = await records.page(PAGE, after, State.DIAGNOSED, None, deadline())
        unreadable(page.unreadable)
        for record in page.items:
            if record.received_at < since:
                return
            yield record
        after = page.next
        if after is None:
            return
