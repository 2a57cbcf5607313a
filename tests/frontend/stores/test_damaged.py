"""A SQLite file of which 64 bytes were changed: found, told once, and nothing is written to it any more."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from frontend.calls.retention_sweeper import Sweeper
from frontend.cli.recover import recover
from frontend.domain.errors import StoreUnavailable
from frontend.domain.records import CallRecord, State, now
from frontend.stores import sqlite_file
from frontend.stores.opening import Stores, open_stores
from frontend.stores.protocols import UNREADABLE
from frontend.stores.sqlite_file import DAMAGED
from frontend.stores.troubles import NOT_READY, Trouble
from laptop.service import CHECKOUT
from tests.frontend.settings import embedded_settings, on_stores
from tests.frontend.stores.test_azure_faults import soon
from tests.frontend.stores.test_stores import record

PAGE, CALLS = 4096, 40


def call(n: int) -> CallRecord:
    found = record(f"call-{n:02}", n)
    diagnosis = {"status": "ok", "padding": f"{n:02}" * 1500}  # with overflow pages
    return (
        replace(found, state=State.DIAGNOSED, diagnosis=diagnosis)
        if n % 2
        else replace(found, due_at=found.received_at)
    )


def filled(folder: Path) -> Path:
    """A closed database in its own folder."""

    async def fill() -> None:
        stores = open_stores(embedded_settings(folder), 30)
        for n in range(CALLS):
            await stores.audio.write(f"calls/call-{n:02}/ff", b"abc", soon())
            await stores.records.create(call(n), soon())
        await stores.close()

    asyncio.run(fill())
    return folder / "calls.sqlite"


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(at).randbytes(64))


def roots(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall())


async def found(stores: Stores, n: int) -> str:
    """What is said of one call."""
    try:
        known = await stores.records.read(f"call-{n:02}", soon())
    except StoreUnavailable as error:
        return error.key
    return "missing" if known is None else "as it was" if known.record == call(n) else "altered"


async def kind_of(stores: Stores, path: Path) -> str:
    """Asks for every call, and tries every write where the file is found to be damaged."""
    answers = {await found(stores, n) for n in range(CALLS)}
    assert answers <= {"as it was", DAMAGED, UNREADABLE}
    is_damaged = Trouble.RECORD_STORE_DAMAGED in await stores.look(soon())
    before = await asyncio.to_thread(path.read_bytes)
    for write in (
        stores.records.create(record("new"), soon()),
        stores.records.replace(call(0), "1", soon()),
        stores.records.erase("call-01", without_record=False, deadline=soon()),
        stores.records.due(now(), 9, soon()),
        stores.records.expired(9, soon()),
        stores.records.forget("call-01", soon()),
        stores.records.maintain(soon()),
    ):
        if is_damaged:
            with pytest.raises(StoreUnavailable) as caught:
                await write
            assert caught.value.key == DAMAGED
        else:
            write.close()
    assert await asyncio.to_thread(path.read_bytes) == before
    await stores.close()
    return "damaged" if is_damaged else "unreadable" if UNREADABLE in answers else "harmless"


def test_damage_anywhere_loses_no_call_in_silence(tmp_path: Path) -> None:
    """In the middle of each page, and at the head of each: wherever it is, a call is as it was, or 503."""
    whole = filled(tmp_path / "whole")
    kinds: Counter[str] = Counter()
    for at in [*range(0, whole.stat().st_size, PAGE), *range(PAGE // 2, whole.stat().st_size, PAGE)]:
        folder = tmp_path / str(at)
        folder.mkdir()
        shutil.copy(whole, folder / "calls.sqlite")
        damage(folder / "calls.sqlite", at)
        try:
            stores = open_stores(embedded_settings(folder), 30)
        except StoreUnavailable as error:
            assert error.key == "record_store_not_opened"
            kinds["not opened"] += 1
            continue

        kinds[asyncio.run(kind_of(stores, folder / "calls.sqlite"))] += 1
    assert min(kinds["damaged"], kinds["unreadable"], kinds["not opened"]) > 0, kinds


def test_damage_while_it_runs_is_found_by_the_next_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = filled(tmp_path)
    root = roots(path)["calls_by_time"]

    async def check(stores: Stores) -> None:
        assert await stores.look(soon()) == ()
        await stores.audio.write("calls/no-record/ff", b"abc", soon())
        damage(path, (root - 1) * PAGE)
        for _ in range(3):
            with pytest.raises(StoreUnavailable) as caught:
                await Sweeper(stores.audio, stores.records, 0.0).sweep()
            assert caught.value.key == DAMAGED
        assert await stores.look(soon()) == (Trouble.RECORD_STORE_DAMAGED,)
        assert NOT_READY & set(await stores.look(soon()))
        assert [await found(stores, n) for n in range(CALLS)] == ["as it was"] * CALLS  # only an index is damaged
        # "No such call" would make somebody send it again, or its audio be taken for an orphan.
        with pytest.raises(StoreUnavailable):
            await stores.records.read("never-there", soon())
        with pytest.raises(StoreUnavailable):
            await stores.records.create(record("new"), soon())
        assert {blob.name async for blob in stores.audio.blobs(9.0)} >= {"calls/no-record/ff", "calls/call-00/ff"}

    with caplog.at_level(logging.INFO, "tosia"):
        on_stores(tmp_path, check)
    assert len([entry for entry in caplog.records if "is damaged" in entry.getMessage()]) == 1


def test_damage_that_a_request_meets_ends_all_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of the start."""
    monkeypatch.setattr(sqlite_file, "START_CHECK_S", -1.0)
    path = filled(tmp_path)
    damage(path, (roots(path)["calls_by_time"] - 1) * PAGE)

    async def check(stores: Stores) -> None:
        with pytest.raises(StoreUnavailable) as caught:
            await stores.records.page(9, None, None, None, soon())
        assert caught.value.key == DAMAGED
        with pytest.raises(StoreUnavailable) as caught:
            await stores.records.create(record("new"), soon())
        assert caught.value.key == DAMAGED
        assert await found(stores, 1) == "as it was"

    on_stores(tmp_path, check)


@pytest.mark.parametrize("page", ["calls_by_time", "calls", "tombstones", "a leaf"])
def test_what_the_operator_is_told_to_do_works(tmp_path: Path, page: str) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        (expected,) = connection.execute("SELECT document FROM calls WHERE id = 'call-20'").fetchone()
    at = path.read_bytes().index(expected[:60].encode()) // PAGE * PAGE if page == "a leaf" else None
    damage(path, (roots(path)[page] - 1) * PAGE if at is None else at)
    environment = {
        "API_KEY": "x" * 32,
        "TRITON_URL": "127.0.0.1:1",
        "TOSIA_STORES": "embedded",
        "TOSIA_VAR": str(tmp_path),
    }
    command = [sys.executable, "-m", "frontend", "recover"]
    done = subprocess.run(
        command, check=False, cwd=CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.stderr == ""
    lost_some = page in ("calls", "a leaf")
    assert done.returncode == (0 if page == "calls_by_time" else 1)
    for name in ("calls.sqlite", "calls.sqlite-wal", "calls.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "calls.sqlite.recovered").rename(path)

    async def check(stores: Stores) -> None:
        assert await stores.look(soon()) == ()
        answers = [await found(stores, n) for n in range(CALLS)]
        assert set(answers) <= {"as it was", "missing"}
        assert (answers.count("as it was") < CALLS) == lost_some
        if page == "a leaf":
            assert answers.count("missing") <= 12  # records of one page
        await stores.records.create(record("new"), soon())
        await stores.records.maintain(soon())

    on_stores(tmp_path, check)


def test_a_value_of_another_type_is_no_damage(tmp_path: Path) -> None:
    """SQLite's check names it, but the file is whole: one record is unreadable."""
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE calls SET version = x'00', document = 7 WHERE id = 'call-00'")

    async def check(stores: Stores) -> None:
        await stores.records.maintain(soon())
        assert await found(stores, 0) == UNREADABLE
        assert await found(stores, 1) == "as it was"

    on_stores(tmp_path, check)


@pytest.mark.parametrize("text", [b"CREATE TABLE calls", b"CREATE TABLE tombstones", b"CREATE INDEX calls_due"])
def test_a_damaged_schema_that_is_no_text_is_told_as_damage(tmp_path: Path, text: bytes) -> None:
    """Python's module fails over SQLite's message, which quotes it, which is no UTF-8."""
    path = filled(tmp_path)
    whole = path.read_bytes()
    assert text in whole
    path.write_bytes(whole.replace(text, text.replace(b"EATE", b"\xffATE")))
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        open_stores(embedded_settings(tmp_path), 30)
    assert recover(embedded_settings(tmp_path)) == 1
