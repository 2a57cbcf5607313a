"""What every pair of stores must do. Another implementation joins by a line in `IMPLEMENTATIONS`."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import CallRecord, State, StoredAudio, from_now, now
from frontend.domain.rollout import Release, RolloutEvent, Stage
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.opening import Stores, open_stores
from frontend.stores.protocols import Blob, CallExists, StaleRecord
from tests.frontend.settings import azure_settings, embedded_settings
from tests.services.azure import Azure

RETENTION_DAYS = 30
CANDIDATE = Release("13", "ab" * 32, "cd" * 32, "ef" * 32)
STEP = RolloutEvent(now(), "Ana", Stage.CANARY, CANDIDATE, 0.05, "a ticket", bounds={"max_flip_share": 0.2})


@dataclass
class Pair:
    """put: as the telephone system does, past our interface."""

    stores: Stores
    put: Callable[[str, bytes], None]

    @property
    def audio(self) -> Any:
        """With a deadline that is far away."""
        return _Unhurried(self.stores.audio)

    @property
    def records(self) -> Any:
        return _Unhurried(self.stores.records)


class _Unhurried:
    """A store whose methods need no deadline: most checks here are about something else."""

    def __init__(self, store: object) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        return lambda *args, **more: method(*args, **more, deadline=Deadline.after(30.0))


def embedded(request: pytest.FixtureRequest, folder: Path) -> Pair:
    def put(name: str, data: bytes) -> None:
        (folder / "audio").mkdir(parents=True, exist_ok=True)
        (folder / "audio" / name).write_bytes(data)

    return Pair(open_stores(embedded_settings(folder), RETENTION_DAYS), put)


def azure(request: pytest.FixtureRequest, folder: Path) -> Pair:
    services: Azure = request.getfixturevalue("azure")
    account = services.new_containers()
    return Pair(open_stores(azure_settings(account), RETENTION_DAYS), account.put)


IMPLEMENTATIONS: dict[str, Callable[[pytest.FixtureRequest, Path], Pair]] = {"embedded": embedded, "azure": azure}

Check = Callable[[Pair], Awaitable[None]]


@pytest.fixture(params=IMPLEMENTATIONS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Check], None]:
    """Runs a check on new stores, which are closed after it."""

    async def on_new_stores(check: Check) -> None:
        pair = IMPLEMENTATIONS[request.param](request, tmp_path)
        try:
            await check(pair)
        finally:
            await pair.stores.close()

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
        assert sorted(type(item).__name__ for item in made) == ["CallExists"] * 7 + ["Versioned"]
        known = await pair.records.read("a")
        assert known is not None
        done = await asyncio.gather(
            *(pair.records.replace(replace(known.record, attempts=n), known.etag) for n in range(8)),
            return_exceptions=True,
        )
        assert sorted(type(item).__name__ for item in done) == ["StaleRecord"] * 7 + ["Versioned"]

    run(check)


def test_pages(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for n in range(5):
            await pair.records.create(record(f"call-{n}", n))
        await pair.records.create(record("same-moment", 4))
        first = await pair.records.page(3, None, None, None)
        assert [item.call_id for item in first.items] == ["same-moment", "call-4", "call-3"]
        await pair.records.create(record("newer", 9))
        second = await pair.records.page(3, first.next, None, None)
        assert [item.call_id for item in second.items] == ["call-2", "call-1", "call-0"]
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
            return [item.call_id for item in (await pair.records.page(9, None, state, status)).items]

        assert await ids(State.DIAGNOSED, None) == ["late", "quiet", "good"]
        assert await ids(None, "ok") == ["late", "good"]
        assert await ids(State.RECEIVED, "ok") == []
        assert await ids(State.RECEIVED, None) == ["waits"]
        assert await ids(State.FAILED, None) == []

    run(check)


def test_calls_that_are_due_come_in_that_order(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for n in (2, 0, 1):
            await pair.records.create(replace(record(f"call-{n}"), due_at=f"2026-01-02T03:04:0{n}.000000Z"))
        await pair.records.create(replace(record("leased"), due_at=from_now(60.0)))
        await pair.records.create(record("done", 3, State.DIAGNOSED, "ok"))
        due = await pair.records.due(now(), 2)
        assert [item.record.call_id for item in due] == ["call-0", "call-1"]
        await pair.records.replace(replace(due[0].record, due_at=from_now(60.0)), due[0].etag)
        await pair.records.replace(replace(due[1].record, state=State.DIAGNOSED, due_at=None), due[1].etag)
        assert [item.record.call_id for item in await pair.records.due(now(), 9)] == ["call-2"]

    run(check)


def test_leases_that_end_far_ahead(run: Callable[[Check], None]) -> None:
    """Further than any lease can: a clock was set back, or another process' clock is ahead."""

    async def check(pair: Pair) -> None:
        for call_id, seconds in (("due", -1.0), ("leased", 30.0), ("far", 86_400.0), ("farther", 99_999.0)):
            await pair.records.create(replace(record(call_id), due_at=from_now(seconds)))
        await pair.records.create(record("done", 3, State.DIAGNOSED, "ok"))
        far = await pair.records.leased_beyond(from_now(600.0), 9)
        assert [item.record.call_id for item in far] == ["far", "farther"]
        assert [item.record.call_id for item in await pair.records.leased_beyond(from_now(600.0), 1)] == ["far"]
        assert await pair.records.replace(replace(far[0].record, due_at=from_now(1.0)), far[0].etag)

    run(check)


def test_a_clock_that_is_right_expires_nothing_young(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.records.create(replace(record("a"), received_at=now()))
        assert abs(await pair.records.clock_ahead_s()) < 60.0
        await pair.records.accept_clock()
        await pair.records.maintain()
        assert await pair.records.expired(9) == []
        assert await pair.stores.look(Deadline.after(30.0)) == ()

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
        assert await pair.records.due(now(), 9) == []
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


def test_audio_is_read_in_pieces(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.audio.write("calls/a/ff", b"abcdef")
        await pair.audio.write("calls/a/00", b"")
        pieces = [await pair.audio.read_piece("calls/a/ff", start, start + 4) for start in (0, 4, 6, 9)]
        assert pieces == [b"abcd", b"ef", b"", b""]
        assert await pair.audio.read_piece("calls/a/00", 0, 4) == b""
        assert await pair.audio.read_piece("calls/a/01", 0, 4) is None

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


async def listed(pair: Pair) -> dict[str, Blob]:
    return {blob.name: blob async for blob in pair.stores.audio.blobs(30.0)}


def test_blobs_are_listed_and_removed_unless_they_were_written_again(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        assert await listed(pair) == {}
        for name in ("calls/a/00", "calls/a/11", "calls/b.c/22"):
            await pair.audio.write(name, b"abc")
        pair.put("phone.wav", b"not under calls/")
        before = await listed(pair)
        assert before.keys() == {"calls/a/00", "calls/a/11", "calls/b.c/22"}
        assert all(abs((blob.written_at - datetime.now(UTC)).total_seconds()) < 60 for blob in before.values())
        await asyncio.sleep(0.01)
        await pair.audio.write("calls/a/00", b"abc")  # a late retry of a call whose record was never created
        assert not await pair.audio.remove(before["calls/a/00"])
        assert await pair.audio.remove(before["calls/a/11"])
        await pair.audio.remove(before["calls/a/11"])  # safe to repeat
        assert (await listed(pair)).keys() == {"calls/a/00", "calls/b.c/22"}
        assert await pair.audio.read("calls/a/00") == b"abc"
        await pair.audio.write("calls/a/11", b"abc")
        assert await pair.audio.read("calls/a/11") == b"abc"

    run(check)


# aiohttp warns of every body over 1 MiB: copying 20 MiB into the transport takes milliseconds.
@pytest.mark.filterwarnings("ignore:Sending a large body directly")
def test_large_audio_comes_back_as_it_was(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        data = os.urandom(20 * 2**20)
        await pair.audio.write("calls/large/00", data)
        assert await pair.audio.read("calls/large/00") == data
        assert await pair.audio.size("calls/large/00") == len(data)

    run(check)


def test_a_record_keeps_its_history_and_lease(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        history = [{"at": now(), "diagnosis": {"status": "ok", "text": "ñ\u2028\U0001f637"}}]
        kept = replace(record("a"), history=history, owner="somebody", due_at=from_now(5.0))
        await pair.records.create(kept)
        known = await pair.records.read("a")
        assert known is not None
        assert known.record == kept

    run(check)


def test_ids_with_every_allowed_character(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for call_id in ("A", "a.b", "a=b_c-d", "0" * 128, "x..y", "a" * 64):
            name = f"calls/{call_id}/ff"
            await pair.audio.write(name, call_id.encode())
            await pair.records.create(record(call_id))
            known = await pair.records.read(call_id)
            assert known is not None
            assert known.record.call_id == call_id
            assert await pair.audio.read(name) == call_id.encode()
            assert await pair.records.erase(call_id, without_record=False)
            await pair.audio.erase(call_id)
            assert await pair.audio.read(name) is None

    run(check)


def test_a_forgotten_call_leaves_no_tombstone(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.records.create(record("a"))
        await pair.records.forget("a")
        await pair.records.forget("a")
        assert await pair.records.read("a") is None
        await pair.records.create(record("a"))

    run(check)


def test_it_answers_a_ping(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.audio.ping()
        await pair.records.ping()

    run(check)


def test_steps_of_a_rollout_are_kept_in_their_order(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        assert await pair.records.rollout_events(0) == []
        await pair.records.add_rollout_event(STEP, 0)
        second = replace(STEP, stage=Stage.STOPPED, share=0.0, why="too many flips", figures={"flips": 3.0})
        with pytest.raises(StaleRecord):
            await pair.records.add_rollout_event(second, 0)  # somebody else's is there
        await pair.records.add_rollout_event(second, 1)
        assert await pair.records.rollout_events(0) == [STEP, second]
        assert await pair.records.rollout_events(1) == [second]
        assert await pair.records.rollout_events(2) == []
        page = await pair.records.page(10, None, None, None)
        assert page.items == []  # they are no calls

    run(check)


def test_a_step_that_can_not_be_read_is_not_guessed(tmp_path: Path) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        try:
            await stores.records.add_rollout_event(STEP, 0, Deadline.after(30.0))
            for text in ("{", "[]", "null", json.dumps({**STEP.to_dict(), "share": 7}), "7"):
                with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as other, other:
                    other.execute("UPDATE rollout SET event = ?", (text,))
                with pytest.raises(StoreUnavailable):
                    await stores.records.rollout_events(0, Deadline.after(30.0))
        finally:
            await stores.close()

    asyncio.run(check())


def test_a_step_that_a_damaged_file_has_lost_keeps_nobody_from_the_next(tmp_path: Path) -> None:
    """Otherwise nobody could stop a rollout any more, and each look would find the last step anew."""

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        records, deadline = stores.records, Deadline.after(30.0)
        try:
            for number in range(3):
                await records.add_rollout_event(replace(STEP, why=f"{number}"), number, deadline)
            with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as other, other:
                other.execute("DELETE FROM rollout WHERE number = 1")
            assert [step.why for step in await records.rollout_events(0, deadline)] == ["0", "2"]
            assert await records.rollout_events(2, deadline) == []
            await records.add_rollout_event(replace(STEP, stage=Stage.STOPPED, why="3"), 2, deadline)
            assert [step.why for step in await records.rollout_events(1, deadline)] == ["2", "3"]
        finally:
            await stores.close()

    asyncio.run(check())


def test_nothing_is_asked_after_the_deadline(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        await pair.records.create(record("a"))
        known = await pair.records.read("a")
        assert known is not None
        late = Deadline.after(0.0)
        audio, records = pair.stores.audio, pair.stores.records
        for refused in (
            audio.write("calls/late/ff", b"abc", late),
            audio.read("calls/late/ff", late),
            audio.read_piece("calls/late/ff", 0, 4, late),
            audio.size("calls/late/ff", late),
            audio.find("late", late),
            audio.erase("late", late),
            audio.remove(Blob("calls/late/ff", datetime.now(UTC), "0"), late),
            audio.ping(late),
            records.create(record("late"), late),
            records.read("late", late),
            records.replace(known.record, known.etag, late),
            records.page(9, None, None, None, late),
            records.due(now(), 9, late),
            records.leased_beyond(now(), 9, late),
            records.erase("late", without_record=True, deadline=late),
            records.ping(late),
        ):
            with pytest.raises(StoreUnavailable):
                await refused
        assert await pair.audio.read("calls/late/ff") is None
        assert await pair.records.read("late") is None
        assert await pair.records.read("a") == known

    run(check)


def test_a_record_store_that_can_not_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be taken for one's header" * 9)
    for path in (tmp_path / "file" / "calls.sqlite", tmp_path / "text.sqlite"):
        with pytest.raises(StoreUnavailable):
            SqliteRecordStore(path, RETENTION_DAYS)


def test_a_locked_record_store_is_unavailable_at_the_deadline(tmp_path: Path) -> None:
    asyncio.run(check_locked(tmp_path, 0.5))


@pytest.mark.system
def test_a_locked_record_store_is_unavailable_after_sqlite_s_own_patience(tmp_path: Path) -> None:
    """Five seconds, where the deadline is later."""
    asyncio.run(check_locked(tmp_path, 30.0))


async def check_locked(folder: Path, deadline_s: float) -> None:
    store = SqliteRecordStore(folder / "calls.sqlite", RETENTION_DAYS)
    with closing(sqlite3.connect(folder / "calls.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable):
            await store.create(record("a"), Deadline.after(deadline_s))
        await store.ping(Deadline.after(9.0))  # readers go on beside a writer
    await store.create(record("c"), Deadline.after(9.0))
    await store.close()


def test_what_is_older_than_the_retention_period_expires(tmp_path: Path) -> None:
    """In the embedded stores; Cosmos and Blob Storage remove it themselves."""

    async def check() -> None:
        store = SqliteRecordStore(tmp_path / "calls.sqlite", RETENTION_DAYS)
        day_s = 86_400.0
        for call_id, age_days in (("old", 31), ("older", 99), ("young", 29)):
            received = from_now(-age_days * day_s)
            await store.create(replace(record(call_id), received_at=received), Deadline.after(9.0))
        assert await store.expired(9, Deadline.after(9.0)) == ["older", "old"]
        await store.erase("young", without_record=False, deadline=Deadline.after(9.0))
        with pytest.raises(CallErased):
            await store.read("young", Deadline.after(9.0))
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as other:
            other.execute("UPDATE tombstones SET erased_at = ?", (from_now(-31 * day_s),))
            assert await store.expired(1, Deadline.after(9.0)) == ["older"]
            assert await store.read("young", Deadline.after(9.0)) is None
            assert other.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)
        await store.close()

    asyncio.run(check())


def test_a_database_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    """Its records have no lease, and what it left unfinished is due."""
    with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as old:
        old.execute(
            "CREATE TABLE calls (id TEXT PRIMARY KEY, sort_key TEXT NOT NULL, state TEXT NOT NULL, status TEXT,"
            " version INTEGER NOT NULL, document TEXT NOT NULL) WITHOUT ROWID"
        )
        for item in (record("left"), record("done", 1, State.DIAGNOSED, "ok")):
            document = {
                key: value for key, value in item.to_dict().items() if key not in ("history", "owner", "due_at")
            }
            row = (item.call_id, item.sort_key, item.state, None, 1, json.dumps(document))
            old.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)

    async def check() -> None:
        store = SqliteRecordStore(tmp_path / "calls.sqlite", RETENTION_DAYS)
        (due,) = await store.due(now(), 9, Deadline.after(9.0))
        assert due.record.call_id == "left"
        await store.replace(replace(due.record, state=State.FAILED, due_at=None), due.etag, Deadline.after(9.0))
        assert await store.due(now(), 9, Deadline.after(9.0)) == []
        await store.close()

    asyncio.run(check())


def test_two_processes_on_one_folder_neither_lose_nor_remove_audio(tmp_path: Path) -> None:
    """One removes what it has listed while the other writes it again: whichever comes first, what was written stays."""

    async def check() -> None:
        one, other = FolderAudioStore(tmp_path), FolderAudioStore(tmp_path)
        name, soon = "calls/a/ff", Deadline.after(30.0)
        for _ in range(200):
            await one.write(name, b"abc", soon)
            (blob,) = [blob async for blob in one.blobs(30.0)]
            await asyncio.gather(one.remove(blob, soon), other.write(name, b"abc", soon))
            assert await one.read(name, soon) == b"abc"
            await one.erase("a", soon)

    asyncio.run(check())
