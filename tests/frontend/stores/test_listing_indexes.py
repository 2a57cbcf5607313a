"""A page of a listing costs as much among 100,000 calls as among 1,000: SQLite finds it by an index, whatever it is
filtered by. Its own plan says so; `make bench` has the times.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from frontend.domain.records import CallRecord, State
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.sqlite_file import SqliteFile
from frontend.stores.troubles import Trouble, Troubles
from laptop.service import CHECKOUT
from runtime.diagnosis import Status
from tests.frontend.stores.test_azure_faults import soon
from tests.frontend.stores.test_stores import record

RETENTION_DAYS = 30
PAGE = 4096
CALLS = 1000  # whose two indexes have 140 KB
# By which index a page is found, by what it is filtered by.
INDEXES = {
    (False, False): "calls_by_time",
    (True, False): "calls_by_state",
    (False, True): "calls_by_status",
    (True, True): "calls_by_state_and_status",
}


def call(n: int) -> CallRecord:
    """Calls of every status, and one in ten without a result."""
    received_at = f"2026-01-02T03:{n // 60:02}:{n % 60:02}.000000Z"
    found = replace(record(f"call-{n:03}"), received_at=received_at, updated_at=received_at)
    if n % 10 == 0:
        return found
    diagnosis = {"status": list(Status)[n % len(Status)], "padding": "x" * 3000}
    return replace(found, state=State.DIAGNOSED, diagnosis=diagnosis)


async def filled(path: Path, calls: int = 40) -> None:
    store = SqliteRecordStore(path, RETENTION_DAYS)
    for n in range(calls):
        await store.create(call(n), soon())
    await store.close()


def indexes_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}


def drop_indexes_of_listings(path: Path) -> None:
    """As in a database of an older version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP INDEX calls_by_status; DROP INDEX calls_by_state_and_status;")


@pytest.mark.parametrize("is_later", [False, True], ids=["first page", "later page"])
@pytest.mark.parametrize(("state", "status"), list(product([None, *State], [None, *Status])))
def test_a_page_is_found_by_an_index(tmp_path: Path, state: State | None, status: str | None, is_later: bool) -> None:
    """The statements are those that the store sends; unreadable records make it send a second one for the page."""
    path = tmp_path / "calls.sqlite"
    after = call(35).sort_key if is_later else None

    async def statements() -> list[str]:
        await filled(path)
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE calls SET document = '{}' WHERE sort_key > ?", (call(9).sort_key,))
            other.commit()
        store = SqliteRecordStore(path, RETENTION_DAYS)
        sent: list[str] = []
        store._thread.wait_for(partial(store._connection.set_trace_callback, sent.append))
        await store.page(1, after, state, status, soon())
        await store.close()
        return [text for text in sent if text.startswith("SELECT id, sort_key")]

    sent = asyncio.run(statements())
    none_matches = state in (State.RECEIVED, State.FAILED) and (state, status) != (State.RECEIVED, None)
    assert none_matches or any("(sort_key, id) <" in text for text in sent)
    index = INDEXES[state is not None, status is not None]
    with closing(sqlite3.connect(path)) as connection:
        for text in sent:
            # One step, so nothing is sorted apart; and every filter bounds the part of the index that is read.
            (plan,) = (row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}"))
            assert re.fullmatch(rf"(SEARCH|SCAN) calls USING INDEX {index}( \(.*\))?", plan), plan
            used = {name for name in ("state", "status") if re.search(rf"\b{name}=\?", plan)}
            assert used == {name for name, value in (("state", state), ("status", status)) if value is not None}
            assert ("sort_key<?" in plan or "(sort_key,id)<(?,?)" in plan) or not (after or "(sort_key, id) <" in text)


def test_a_database_of_an_older_version_gets_the_indexes_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"

    async def check() -> None:
        await filled(path)
        before = indexes_of(path)
        drop_indexes_of_listings(path)
        assert indexes_of(path) == before - {"calls_by_status", "calls_by_state_and_status"}
        store = SqliteRecordStore(path, RETENTION_DAYS)
        assert indexes_of(path) == before
        for status in Status:
            expected = [call(n).call_id for n in reversed(range(40)) if call(n).status == status]
            assert [item.call_id for item in (await store.page(50, None, None, status, soon())).items] == expected
            both = await store.page(50, None, State.DIAGNOSED, status, soon())
            assert [item.call_id for item in both.items] == expected
        await store.close()

    asyncio.run(check())


FULL = """
import asyncio, resource, sys
from pathlib import Path
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.sqlite_file import SqliteFile
from frontend.stores.troubles import Trouble, Troubles
from tests.frontend.stores.test_azure_faults import soon
from tests.frontend.stores.test_listing_indexes import call

async def main():
    path = Path(sys.argv[1])
    most = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))  # the log meets it before both indexes are made
    store = SqliteRecordStore(path, 30)
    page = await store.page(1000, None, None, call(1).status, soon())
    print(len(page.items))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    print(await store.erase(call(1).call_id, without_record=False, deadline=soon()))
    await store.close()

asyncio.run(main())
"""


def test_an_older_database_on_a_full_disk_is_opened_and_indexed_later(tmp_path: Path) -> None:
    """The limit for the size of a file stands for the full disk: SQLite's log meets it in the same way."""
    path = tmp_path / "calls.sqlite"
    asyncio.run(filled(path, CALLS))
    drop_indexes_of_listings(path)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    matching = sum(call(n).status == call(1).status for n in range(CALLS))
    assert done.stdout.split() == [str(matching), "True"], done.stderr
    assert "calls_by_state_and_status" not in indexes_of(path)
    asyncio.run(SqliteRecordStore(path, RETENTION_DAYS).close())
    assert {"calls_by_status", "calls_by_state_and_status"} <= indexes_of(path)


def test_damage_that_is_met_while_indexing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check at the start may end in a large database before it comes to the damage: here it looks at nothing."""
    monkeypatch.setattr(SqliteFile, "check", lambda *_: True)
    path = tmp_path / "calls.sqlite"

    async def check() -> None:
        await filled(path, 400)
        drop_indexes_of_listings(path)
        with closing(sqlite3.connect(path)) as connection:
            (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'calls'").fetchone()
        with path.open("r+b") as file:
            file.seek((root - 1) * PAGE)
            file.write(b"\xff" * 64)
        troubles = Troubles()
        store = SqliteRecordStore(path, RETENTION_DAYS, troubles)
        assert Trouble.RECORD_STORE_DAMAGED in troubles.present
        await store.close()

    asyncio.run(check())
