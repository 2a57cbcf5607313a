"""What every pair of stores must do. Another implementation joins by a line in `IMPLEMENTATIONS`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from frontend.errors import CallErased, StoreUnavailable
from frontend.records import CallRecord, State, StoredAudio
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.protocols import AudioStore, CallExists, RecordStore, StaleRecord


@dataclass
class Pair:
    """put: as the telephone system does, past our interface."""

    audio: AudioStore
    records: RecordStore
    put: Callable[[str, bytes], None]


def embedded(folder: Path) -> Pair:
    def put(name: str, data: bytes) -> None:
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        (folder / "audio" / name).write_bytes(data)

    return Pair(FolderAudioStore(folder / "audio"), SqliteRecordStore(folder / "calls.sqlite"), put)


IMPLEMENTATIONS: dict[str, Callable[[Path], Pair]] = {"embedded": embedded}

Check = Callable[[Pair], Awaitable[None]]


@pytest.fixture(params=IMPLEMENTATIONS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Check], None]:
    """Runs a check on new stores, which are closed after it."""

    async def on_new_stores(check: Check) -> None:
        pair = IMPLEMENTATIONS[request.param](tmp_path)
        try:
            await check(pair)
        finally:
            await pair.records.close()

    return lambda check: asyncio.run(on_new_stores(check))


def record(call_id: str, second: int = 0, state: State = State.RECEIVED, status: str | None = None) -> CallRecord:
    moment = f"2026-01-02T03:04:{second:02}.000000Z"
    audio = StoredAudio(f"calls/{call_id}/ff", "ff", 3, "audio/ogg")
    diagnosis: dict[str, Any] | None = {"status": status, "text": "Husten – 'x'\";--"} if status else None
    return CallRecord(call_id, state, moment, moment, 0, None, audio, diagnosis)


def test_a_record_is_created_once(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        assert await pair.records.read("a") is None
        created = await pair.records.create(record("a", status="ok"))
        assert created.record == record("a", status="ok")
        with pytest.raises(CallExists):
            await pair.records.create(record("a", 5))
        assert await pair.records.read("a") == created

    run(check)


def test_a_replacement_needs_the_version_that_was_read(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        first = await pair.records.create(record("a"))
        second = await pair.records.replace(replace(first.record, attempts=1), first.etag)
        assert second.etag != first.etag
        with pytest.raises(StaleRecord):
            await pair.records.replace(replace(first.record, attempts=2), first.etag)
        with pytest.raises(StaleRecord):
            await pair.records.replace(record("never-there"), first.etag)
        assert await pair.records.read("a") == second

    run(check)


def test_of_many_at_once_one_wins(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        made = await asyncio.gather(*(pair.records.create(record("a", n)) for n in range(8)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in made) == ["CallExists"] * 7 + ["Versioned"]
        known = await pair.records.read("a")
        assert known is not None
        done = await asyncio.gather(
            *(pair.records.replace(replace(known.record, attempts=n), known.etag) for n in range(8)),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in done) == ["StaleRecord"] * 7 + ["Versioned"]

    run(check)


def test_pages(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for n in range(5):
            await pair.records.create(record(f"call-{n}", n))
        await pair.records.create(record("same-moment", 4))
        first = await pair.records.page(3, None, None, None)
        assert [one.call_id for one in first.items] == ["same-moment", "call-4", "call-3"]
        await pair.records.create(record("newer", 9))
        second = await pair.records.page(3, first.next, None, None)
        assert [one.call_id for one in second.items] == ["call-2", "call-1", "call-0"]
        assert second.next is None
        assert (await pair.records.page(6, first.next, None, None)).next is None

    run(check)


def test_pages_by_state_and_status(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.records.create(record("waits", 0))
        await pair.records.create(record("good", 1, State.DIAGNOSED, "ok"))
        await pair.records.create(record("quiet", 2, State.DIAGNOSED, "no_cough"))
        known = await pair.records.create(record("late", 3))
        await pair.records.replace(record("late", 3, State.DIAGNOSED, "ok"), known.etag)

        async def ids(state: State | None, status: str | None) -> list[str]:
            return [one.call_id for one in (await pair.records.page(9, None, state, status)).items]

        assert await ids(State.DIAGNOSED, None) == ["late", "quiet", "good"]
        assert await ids(None, "ok") == ["late", "good"]
        assert await ids(State.RECEIVED, "ok") == []
        assert await ids(State.RECEIVED, None) == ["waits"]
        assert await ids(State.FAILED, None) == []

    run(check)


def test_calls_that_wait_come_oldest_first(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for n in (2, 0, 1):
            await pair.records.create(record(f"call-{n}", n))
        await pair.records.create(record("done", 3, State.DIAGNOSED, "ok"))
        waiting = await pair.records.received(2)
        assert [one.record.call_id for one in waiting] == ["call-0", "call-1"]
        await pair.records.replace(replace(waiting[0].record, attempts=1), waiting[0].etag)

    run(check)


def test_an_erased_call_never_comes_back(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        known = await pair.records.create(record("a"))
        assert await pair.records.erase("a", without_record=False)
        assert await pair.records.erase("a", without_record=False)
        assert not await pair.records.erase("never-there", without_record=False)
        with pytest.raises(CallErased):
            await pair.records.read("a")
        with pytest.raises(CallErased):
            await pair.records.create(record("a", 5))
        with pytest.raises(StaleRecord):
            await pair.records.replace(known.record, known.etag)
        assert (await pair.records.page(9, None, None, None)).items == []
        assert await pair.records.received(9) == []
        assert await pair.records.read("never-there") is None

    run(check)


def test_a_tombstone_without_a_record(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.records.erase("only-audio", without_record=True)
        with pytest.raises(CallErased):
            await pair.records.create(record("only-audio"))

    run(check)


def test_audio_is_written_read_and_erased(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        assert await pair.audio.read("calls/a/ff") is None
        await asyncio.gather(*(pair.audio.write("calls/a/ff", b"abc") for _ in range(4)))
        await pair.audio.write("calls/a/00", b"")
        await pair.audio.write("calls/ab/ff", b"other")
        assert await pair.audio.read("calls/a/ff") == b"abc"
        assert (await pair.audio.size("calls/a/ff"), await pair.audio.size("calls/a/01")) == (3, None)
        assert await pair.audio.read("calls/a/00") == b""
        await pair.audio.erase("a")
        await pair.audio.erase("a")
        assert await pair.audio.read("calls/a/ff") is None
        assert await pair.audio.read("calls/a/00") is None
        assert await pair.audio.read("calls/ab/ff") == b"other"

    run(check)


def test_audio_that_the_telephone_system_put_there(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        assert await pair.audio.find("a.b") is None
        for name in ("a.b.wav", "a.wav", "ab.wav", "a.b"):
            pair.put(name, name.encode())
        assert await pair.audio.find("a.b") == "a.b.wav"
        assert await pair.audio.find("a") in {"a.b", "a.wav"}
        assert await pair.audio.find("calls") is None
        assert await pair.audio.read("a.b.wav") == b"a.b.wav"
        await pair.audio.erase("a.b")
        assert await pair.audio.find("a.b") is None
        assert await pair.audio.find("ab") == "ab.wav"

    run(check)


def test_a_record_store_that_can_not_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be taken for one's header" * 9)
    for path in (tmp_path / "file" / "calls.sqlite", tmp_path / "text.sqlite"):
        with pytest.raises(StoreUnavailable):
            SqliteRecordStore(path)


def test_a_locked_record_store_is_unavailable(tmp_path: Path) -> None:
    async def check() -> None:
        store = SqliteRecordStore(tmp_path / "calls.sqlite")
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreUnavailable):
                await store.create(record("a"))
            await store.ping()  # readers go on beside a writer
        await store.create(record("a"))
        await store.close()

    asyncio.run(check())
