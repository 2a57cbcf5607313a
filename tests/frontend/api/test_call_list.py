"""A page of calls is bounded in bytes, and every call is on one page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from frontend.answers.page_token import sort_key_of
from frontend.api.call_list import MAX_PAGE_BYTES, READ_AT_ONCE, page_of_calls
from frontend.calls.call_service import Calls
from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, State, StoredAudio
from frontend.observability.metrics import Metrics
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from runtime.config import load_limits
from runtime.messages.languages import Language


def pages(folder: Path, history_bytes: list[int], limit: int) -> list[dict[str, Any]]:
    """All pages of calls 0, 1, 2 ... whose records are so large; the last is the newest."""

    async def read() -> list[dict[str, Any]]:
        records = SqliteRecordStore(folder / "calls.sqlite", 30)
        calls = Calls(FolderAudioStore(folder), records, cast(Any, None), load_limits()[1], Metrics())
        for number, size in enumerate(history_bytes):
            moment = f"2026-01-01T00:00:00.{number:06}Z"
            audio = StoredAudio(f"calls/{number}/00", "00", 1, "audio/ogg")
            history = [{"text": "x" * size}]
            record = CallRecord(str(number), State.RECEIVED, moment, moment, 0, None, audio, None, history)
            await records.create(record, Deadline.after(60.0))
        found, after = [], None
        while not found or after is not None:
            text = await page_of_calls(
                calls, limit, after, None, None, Language.ENGLISH, Deadline.after(60.0), cast(Any, None)
            )
            assert len(text) < MAX_PAGE_BYTES + 1000 or len(json.loads(text)["items"]) == 1
            found.append(json.loads(text))
            after = sort_key_of(found[-1]["next"])
        await records.close()
        return found

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("history_bytes", "limit", "counts"),
    [
        ([1] * 5, 2, [2, 2, 1]),
        ([1] * (2 * READ_AT_ONCE + 1), 200, [2 * READ_AT_ONCE + 1]),
        ([MAX_PAGE_BYTES // 3] * 5, 200, [2, 2, 1]),
        ([2 * MAX_PAGE_BYTES] * 2, 200, [1, 1]),
        ([1] * (READ_AT_ONCE - 1) + [MAX_PAGE_BYTES - 50_000] * 2, 200, [1, READ_AT_ONCE]),
        ([MAX_PAGE_BYTES - 1000, *[1] * READ_AT_ONCE], 200, [READ_AT_ONCE, 1]),
    ],
    ids=["small", "several requests to the store", "large", "larger than a page", "both", "large after a request"],
)
def test_pages(tmp_path: Path, history_bytes: list[int], limit: int, counts: list[int]) -> None:
    found = pages(tmp_path, history_bytes, limit)
    assert [len(page["items"]) for page in found] == counts
    ids = [item["call_id"] for page in found for item in page["items"]]
    assert ids == [str(number) for number in reversed(range(len(history_bytes)))]
