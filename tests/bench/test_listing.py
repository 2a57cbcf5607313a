"""The benchmark of listings: its databases are what it says, read by the store itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.stores.listing import FEW_MATCH, LIMIT, fill, listing
from frontend.domain.deadline import Deadline
from frontend.domain.records import State
from frontend.stores.embedded_records import SqliteRecordStore
from runtime.diagnosis import Status

CALLS = 1_000


def test_the_calls_are_readable_and_few_or_many_match(tmp_path: Path) -> None:
    async def matching(state: State | None, status: str | None) -> int:
        page = await store.page(CALLS + 1, None, state, status, Deadline.after(30.0))
        assert page.unreadable == 0
        return len(page.items)

    async def check() -> None:
        assert await matching(None, None) == CALLS
        for rare in (State.RECEIVED, State.FAILED):
            assert await matching(rare, None) == FEW_MATCH
        assert await matching(None, Status.INCONCLUSIVE) == FEW_MATCH
        for usual in (Status.OK, Status.NO_COUGH, Status.POOR_QUALITY):
            assert await matching(State.DIAGNOSED, usual) >= 2 * LIMIT  # so that a later page is full as well
        await store.close()

    path = tmp_path / "calls.sqlite"
    asyncio.run(SqliteRecordStore(path, 30).close())
    fill(path, CALLS)
    store = SqliteRecordStore(path, 30)
    asyncio.run(check())


def test_every_filter_is_measured() -> None:
    ratio, page = listing(1, few=60, many=120)
    assert ratio.value is not None and ratio.value > 0.0
    assert ratio.target.limit == 1.3
    assert "40 filters and pages" in ratio.note
    assert page.value is not None and page.value > 0.0
