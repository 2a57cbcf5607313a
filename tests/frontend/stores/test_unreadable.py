"""Stored records that can't be read, in both record stores: what is said of them, and that all other calls go on."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import CosmosClient

from frontend.calls.retention_sweeper import Sweeper, Swept
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import CallRecord, now
from frontend.stores.opening import Stores, open_stores
from frontend.stores.protocols import UNREADABLE
from frontend.stores.troubles import Trouble
from tests.frontend.settings import azure_settings, embedded_settings
from tests.frontend.stores import test_stores
from tests.frontend.stores.test_azure_faults import soon
from tests.services.azure import Azure

BROKEN = 6  # more than the limits with which they are asked for


def record(call_id: str, second: int = 0) -> CallRecord:
    found = test_stores.record(call_id, second)
    return replace(found, due_at=found.received_at)


# Each spoils the row of the call with the id `?`, past our interface.
SPOILT = {
    "no JSON": "UPDATE calls SET document = '{\"call_id\": ' WHERE id = ?",
    "no object": "UPDATE calls SET document = '[1]' WHERE id = ?",
    "nested": "UPDATE calls SET document = replace(hex(zeroblob(50000)), '0', '[') WHERE id = ?",
    "no text": "UPDATE calls SET document = x'00ff80' WHERE id = ?",
    "not UTF-8": "UPDATE calls SET document = CAST(x'7bff80' AS TEXT) WHERE id = ?",
    "a number": "UPDATE calls SET document = 7 WHERE id = ?",
    "version": "UPDATE calls SET version = 'seven' WHERE id = ?",
    "last version": "UPDATE calls SET version = 9223372036854775807 WHERE id = ?",
    "sort key": "UPDATE calls SET sort_key = x'ff' WHERE id = ?",
    "another's": "UPDATE calls SET document = replace(document, 'broken', 'spoken') WHERE id = ?",
}


async def on_embedded(folder: Path, check: Callable[[Stores], Awaitable[None]]) -> None:
    stores = open_stores(embedded_settings(folder), 30)
    try:
        await check(stores)
    finally:
        await stores.close()


def spoil(folder: Path, statement: str, call_id: str) -> None:
    with closing(sqlite3.connect(folder / "calls.sqlite", isolation_level=None)) as other:
        assert other.execute(statement, (call_id,)).rowcount == 1


@pytest.mark.parametrize("statement", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_row_stops_no_other_call(tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture) -> None:
    async def check(stores: Stores) -> None:
        records = stores.records
        for n in range(BROKEN):
            await records.create(record(f"broken-{n}", n), soon())
            spoil(tmp_path, statement, f"broken-{n}")
        for n in range(3):
            await records.create(record(f"good-{n}", BROKEN + n), soon())
        await records.create(record("oldest"), soon())
        # They were due before the good ones, and there are more of them than the limit: nobody starves.
        for _ in range(3):
            due = await records.due(now(), 2, soon())
            assert [call.record.call_id for call in due] == ["oldest", "good-0"]
        first = await records.page(2, None, None, None, soon())
        assert [item.call_id for item in first.items] == ["good-2", "good-1"]
        second = await records.page(9, first.next, None, None, soon())
        assert [item.call_id for item in second.items] == ["good-0", "oldest"]
        assert first.unreadable + second.unreadable == BROKEN
        for n in range(BROKEN):
            with pytest.raises(StoreUnavailable) as caught:
                await records.read(f"broken-{n}", soon())
            assert caught.value.key == UNREADABLE
        assert stores.troubles.unreadable_records == BROKEN
        assert await stores.look(soon()) == (Trouble.RECORDS_UNREADABLE,)
        # A new call under such an id is refused, and erasing it works.
        with pytest.raises(test_stores.CallExists):
            await records.create(record("broken-0"), soon())
        for n in range(BROKEN):
            assert await records.erase(f"broken-{n}", without_record=False, deadline=soon())
            with pytest.raises(CallErased):
                await records.read(f"broken-{n}", soon())
        assert stores.troubles.unreadable_records == 0
        assert await stores.look(soon()) == ()

    with caplog.at_level(logging.INFO, "tosia"):
        asyncio.run(on_embedded(tmp_path, check))
    told = [entry for entry in caplog.records if "can't be read" in entry.getMessage()]
    assert len(told) == BROKEN  # each once, however often it was met
    assert "broken-" not in caplog.text


def test_a_record_that_was_repaired_is_no_trouble_any_more(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await stores.records.create(record("a"), soon())
        document = json.dumps(record("a").to_dict())
        spoil(tmp_path, SPOILT["no JSON"], "a")
        assert await stores.records.due(now(), 9, soon()) == []
        assert stores.troubles.present == (Trouble.RECORDS_UNREADABLE,)
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as other:
            other.execute("UPDATE calls SET document = ?", (document,))
        assert len(await stores.records.due(now(), 9, soon())) == 1
        assert stores.troubles.present == ()

    asyncio.run(on_embedded(tmp_path, check))


def test_nothing_expires_by_a_key_or_an_id_that_was_altered(tmp_path: Path) -> None:
    """The id names the folder that is removed."""

    async def check(stores: Stores) -> None:
        for call_id in ("old", "altered-key", "altered-id"):
            await stores.audio.write(f"calls/{call_id}/ff", b"abc", soon())
            await stores.records.create(replace(record(call_id), received_at="2020-01-02T03:04:05.000000Z"), soon())
        spoil(tmp_path, "UPDATE calls SET sort_key = '1999' WHERE id = ?", "altered-key")
        spoil(tmp_path, "UPDATE calls SET id = '../audio' WHERE id = ?", "altered-id")
        swept = await Sweeper(stores.audio, stores.records, 900.0).sweep()
        assert swept == Swept(orphans=0, expired=1)
        assert {blob.name async for blob in stores.audio.blobs(9.0)} == {"calls/altered-key/ff", "calls/altered-id/ff"}
        assert stores.troubles.unreadable_records == 2

    asyncio.run(on_embedded(tmp_path, check))


# Each changes the item of a call in Cosmos, past our interface.
ITEMS: dict[str, dict[str, Any]] = {
    "no record": {"state": None, "audio": None},
    "no text": {"received_at": 7},
    "sort key": {"sort_key": 5},
    "another's": {"call_id": "spoken"},
    "audio": {"audio": {"name": "calls/../secret", "sha256": "f", "bytes": 1, "content_type": "audio/ogg"}},
}


@pytest.mark.parametrize("change", ITEMS.values(), ids=ITEMS)
def test_a_spoilt_item_stops_no_other_call(azure: Azure, change: dict[str, Any]) -> None:
    account = azure.new_containers()

    async def check() -> None:
        stores = open_stores(azure_settings(account), 30)
        records = stores.records
        with CosmosClient(
            account.cosmos_endpoint, account.cosmos_key, connection_verify=False, enable_endpoint_discovery=False
        ) as client:
            items = client.get_database_client(account.database).get_container_client(account.container)
            for n in range(BROKEN):
                await records.create(record(f"broken-{n}", n), soon())
                item = items.read_item(f"broken-{n}", f"broken-{n}")
                items.replace_item(item["id"], {**item, **change})
        for n in range(3):
            await records.create(record(f"good-{n}", BROKEN + n), soon())
        due = await records.due(now(), 2, soon())
        assert [call.record.call_id for call in due] == ["good-0", "good-1"]
        first = await records.page(2, None, None, None, soon())
        assert [item.call_id for item in first.items] == ["good-2", "good-1"]
        second = await records.page(9, first.next, None, None, soon())
        assert [item.call_id for item in second.items] == ["good-0"]
        for n in range(BROKEN):
            with pytest.raises(StoreUnavailable) as caught:
                await records.read(f"broken-{n}", soon())
            assert caught.value.key == UNREADABLE
        assert stores.troubles.unreadable_records == BROKEN
        for n in range(BROKEN):
            assert await records.erase(f"broken-{n}", without_record=False, deadline=soon())
            with pytest.raises(CallErased):
                await records.read(f"broken-{n}", soon())
        assert stores.troubles.unreadable_records == 0
        await stores.close()

    asyncio.run(check())
