"""What an operator does with messages that wait or were given up: look, and send the latter again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from frontend.domain.deadline import Deadline
from frontend.domain.records import NoticeState, now
from frontend.stores.protocols import RecordStore, StaleRecord, Versioned

PAGE = 200
PAGE_S = 30.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which messages; None: of any key, any call."""

    key_name: str | None
    call_id: str | None


async def found(records: RecordStore, state: NoticeState, chosen: Chosen) -> AsyncIterator[Versioned]:
    """Yield the calls whose message is owed, or was given up. Raises: StoreUnavailable."""
    after: str | None = None
    while page := await records.notices(state, after, PAGE, Deadline.after(PAGE_S)):
        for call in page:
            notice = call.record.notice
            fits = notice is not None and chosen.key_name in (None, notice.to)
            if fits and chosen.call_id in (None, call.record.call_id):
                yield call
        after = page[-1].record.sort_key


async def listed(records: RecordStore, state: NoticeState, chosen: Chosen) -> AsyncIterator[str]:
    """Yield a line for each message. Raises: StoreUnavailable."""
    async for call in found(records, state, chosen):
        notice = call.record.notice
        if notice is not None:
            why = notice.reason or "not tried"
            yield f"{why} after {notice.tries} tries, key {notice.to}: {call.record.call_id}"


async def send_again(records: RecordStore, chosen: Chosen) -> int:
    """Let the front ends send them again, for as long as at first. Raises: StoreUnavailable."""
    count = 0
    async for call in found(records, NoticeState.DEAD, chosen):
        if call.record.notice is not None:
            present = now()
            owed = replace(call.record.notice, state=NoticeState.OWED, due_at=present, since=present, tries=0)
            with suppress(StaleRecord):  # erased, or sent again by somebody else
                await records.replace(replace(call.record, notice=owed), call.etag, Deadline.after(PAGE_S))
                count += 1
    return count
