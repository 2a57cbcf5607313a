"""Records in SQLite: write-ahead log, synchronous FULL, so that a record is whole or absent, also after a power cut.

One connection on a thread of its own: SQLite serialises writers anyway, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import (
    CallRecord,
    NoticeState,
    State,
    from_now,
    id_sha256,
    is_sort_key,
    now,
    record_from_text,
)
from frontend.domain.rollout import RolloutEvent
from frontend.stores.disk_threads import DiskThreads
from frontend.stores.protocols import ERASED, UNREADABLE, CallExists, Page, StaleRecord, Versioned
from frontend.stores.rollout_events import event_from_text
from frontend.stores.sqlite_file import DAMAGED, SqliteFile
from frontend.stores.sqlite_moments import CLOCK, CLOCK_TRUST, ERASED_SINCE, Moments
from frontend.stores.troubles import Trouble, Troubles

Answer = TypeVar("Answer")

CLEAN_EVERY_S = 1.0  # between two tries to empty the log while another process reads it
TELL_AFTER = 10  # tries
VACUUM_REST = 100.0  # times as long as it took, until the next one: it takes 7 s for 50,000 calls, and all wait
_VERSIONS = 2**62  # there are fewer; SQLite's largest number has no successor
_COLUMNS = "id, sort_key, version, document"
_TOMBSTONE = "SELECT 1 FROM tombstones WHERE id_sha256 = ?"  # of a call that was erased


def _notice_columns(record: CallRecord) -> tuple[str | None, str | None, bool | None]:
    """Return what the indexes of notices hold; None where there is nothing to find, so that the index stays small."""
    notice = record.notice
    if notice is None:
        return None, None, None
    return notice.to, notice.due_at, True if notice.state is NoticeState.DEAD else None


class SqliteRecordStore:
    """Satisfies `protocols.RecordStore`."""

    def __init__(self, path: Path, retention_days: int, troubles: Troubles | None = None) -> None:
        """Open the database. troubles: where what is wrong is noted. Raises: StoreUnavailable."""
        self._retention_s = retention_days * 86_400.0
        self._troubles = troubles or Troubles()
        self._thread = DiskThreads(1, "sqlite")
        self._file = self._thread.wait_for(partial(SqliteFile, path, self._troubles))
        self._connection = self._file.connection
        self._moments = Moments(self._connection)
        self._cleaning: asyncio.Task[None] | None = None
        self._vacuum_after = 0.0

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        return await self._run(partial(self._file.write, partial(self._create, record)), deadline)

    async def read(self, call_id: str, deadline: Deadline) -> Versioned | None:
        return await self._run(partial(self._file.read, partial(self._read, call_id)), deadline)

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        return await self._run(partial(self._file.write, partial(self._replace, record, etag)), deadline)

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        work = partial(self._page, limit, after, state, status)
        return await self._run(partial(self._file.read, work), deadline)

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        work = partial(self._found, "due_at <= ? ORDER BY due_at, id", (moment,), limit)
        return await self._run(partial(self._file.look, work), deadline)

    async def leased_beyond(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        work = partial(self._found, "due_at > ? ORDER BY due_at, id", (moment,), limit)
        return await self._run(partial(self._file.look, work), deadline)

    async def notices_due(self, to: str, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        work = partial(self._found, "notice_to = ? AND notice_due <= ? ORDER BY notice_due, id", (to, moment), limit)
        return await self._run(partial(self._file.look, work), deadline)

    async def notices(self, state: NoticeState, after: str | None, limit: int, deadline: Deadline) -> list[Versioned]:
        kept = "notice_dead" if state is NoticeState.DEAD else "notice_due IS NOT NULL"
        where = f"{kept} AND sort_key > ? ORDER BY sort_key, id"
        work = partial(self._found, where, (after or "",), limit)
        return await self._run(partial(self._file.read, work), deadline)

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        work = partial(self._erase, call_id, without_record=without_record)
        erased = await self._run(partial(self._file.make_room, work), deadline)
        await self._clean()
        return erased

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        return await self._run(partial(self._file.make_room, partial(self._expired, limit)), deadline)

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        await self._run(partial(self._file.make_room, partial(self._remove, call_id)), deadline)
        await self._clean()

    async def maintain(self, deadline: Deadline) -> None:
        whole = await self._off_thread(partial(self._file.check, deadline.remaining_s / 2.0), deadline)
        if not whole:
            raise StoreUnavailable(DAMAGED, retry_after_s=60)
        await self._run(partial(self._file.look, self._overwrite_leftovers), deadline)
        await self._clean()

    async def rollout_events(self, after: int, deadline: Deadline) -> list[RolloutEvent]:
        return await self._run(partial(self._file.read, partial(self._rollout_events, after)), deadline)

    async def add_rollout_event(self, event: RolloutEvent, number: int, deadline: Deadline) -> None:
        await self._run(partial(self._file.write, partial(self._add_rollout_event, event, number)), deadline)

    async def clock_ahead_s(self, deadline: Deadline) -> float:
        return await self._run(partial(self._file.read, self._moments.clock_ahead_s), deadline)

    async def accept_clock(self, deadline: Deadline) -> None:
        await self._run(partial(self._file.write, partial(self._moments.note, CLOCK)), deadline)

    async def ping(self, deadline: Deadline) -> None:
        await self._run(partial(self._file.look, self._first), deadline)

    async def close(self) -> None:
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.wait({self._cleaning})
        await self._thread.run(self._connection.close, None)
        self._thread.close()

    async def _run(self, work: Callable[[], Answer], deadline: Deadline) -> Answer:
        try:
            return await self._thread.run(work, deadline)
        except sqlite3.Error as error:
            raise StoreUnavailable("record_store_unusable") from error

    async def _off_thread(self, work: Callable[[], Answer], deadline: Deadline) -> Answer:
        """Do work that has a connection of its own; requests don't wait for it."""
        try:
            async with deadline.for_store():
                return await asyncio.to_thread(work)
        except sqlite3.Error as error:
            raise StoreUnavailable("record_store_unusable") from error

    async def _clean(self) -> None:
        """Empty the log, now or, where another process reads it, as soon as that ends."""
        emptied = await self._thread.run(self._emptied, None)
        if not emptied and (self._cleaning is None or self._cleaning.done()):
            self._cleaning = asyncio.create_task(self._clean_later())

    async def _clean_later(self) -> None:
        tries = 1
        while not self._file.damaged:
            await asyncio.sleep(CLEAN_EVERY_S)
            if await self._thread.run(self._emptied, None):
                return
            tries += 1
            if tries == TELL_AFTER:
                self._troubles.begin(Trouble.ERASED_NOT_OVERWRITTEN)

    def _emptied(self) -> bool:
        emptied = self._file.empty_log()
        if emptied:
            self._troubles.end(Trouble.ERASED_NOT_OVERWRITTEN)
            self._file.keep_reserve()
        return emptied

    def _create(self, record: CallRecord) -> Versioned:
        try:
            created = self._connection.execute(
                "INSERT INTO calls (id, sort_key, state, status, version, document, due_at, notice_to, notice_due, "
                f"notice_dead) SELECT ?, ?, ?, ?, 1, ?, ?, ?, ?, ? WHERE NOT EXISTS ({_TOMBSTONE})",
                (
                    *(record.call_id, record.sort_key, record.state, record.status),
                    *(json.dumps(record.to_dict()), record.due_at, *_notice_columns(record)),
                    id_sha256(record.call_id),
                ),
            ).rowcount
        except sqlite3.IntegrityError as error:
            raise CallExists(record.call_id) from error
        if not created:
            raise CallErased(ERASED)
        return Versioned(record, "1")

    def _read(self, call_id: str) -> Versioned | None:
        query = f"SELECT {_COLUMNS} FROM calls WHERE id = ?"  # noqa: S608 - our own texts
        row = self._connection.execute(query, (call_id,)).fetchone()
        if row is None:
            if self._is_erased(call_id):
                raise CallErased(ERASED)
            if self._file.damaged:
                raise StoreUnavailable(DAMAGED, retry_after_s=60)  # what a damaged index does not find may be there
            return None
        found = self._versioned(row)
        if found is None:
            raise StoreUnavailable(UNREADABLE, retry_after_s=60)
        return found

    def _replace(self, record: CallRecord, etag: str) -> Versioned:
        version = int(etag) + 1
        with self._connection:
            changed = self._connection.execute(
                "UPDATE calls SET state = ?, status = ?, version = ?, document = ?, due_at = ?, notice_to = ?, "
                "notice_due = ?, notice_dead = ? WHERE id = ? AND version = ?",
                (
                    *(record.state, record.status, version, json.dumps(record.to_dict()), record.due_at),
                    *(*_notice_columns(record), record.call_id, int(etag)),
                ),
            ).rowcount
        if not changed:
            raise StaleRecord(record.call_id)
        return Versioned(record, str(version))

    def _page(self, limit: int, after: str | None, state: State | None, status: str | None) -> Page:
        """Read on past records that can't be read, so that every page is full and ends with a key to go on from."""
        conditions, values = ["1"], []
        for condition, value in (("sort_key < ?", after), ("state = ?", state), ("status = ?", status)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        items: list[CallRecord] = []
        unreadable, beyond = 0, 0  # beyond: the page's last record, so they belong to the next page
        last: list[Any] = []
        while len(items) <= limit:
            where = " AND ".join([*conditions, "(sort_key, id) < (?, ?)" if last else "1"])
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM calls WHERE {where} ORDER BY sort_key DESC, id DESC LIMIT ?",  # noqa: S608
                (*values, *last, limit + 1),
            ).fetchall()
            for row in rows:
                found = self._versioned(row)
                if found is not None:
                    items.append(found.record)
                elif len(items) < limit:
                    unreadable += 1
                else:
                    beyond += 1
            if len(rows) <= limit:
                break
            last = [rows[-1][1], rows[-1][0]]
        if len(items) > limit:
            return Page(items[:limit], items[limit - 1].sort_key, unreadable)
        return Page(items, None, unreadable + beyond)

    def _found(self, where: str, values: tuple[Any, ...], limit: int) -> list[Versioned]:
        """Read on past records that can't be read: they stay due, and must not keep the others from being found."""
        query = f"SELECT {_COLUMNS} FROM calls WHERE {where} LIMIT ? OFFSET ?"  # noqa: S608
        found: list[Versioned] = []
        for row in self._in_parts(query, values, limit):
            call = self._versioned(row)
            if call is not None:
                found.append(call)
                if len(found) == limit:
                    break
        return found

    def _in_parts(self, query: str, values: tuple[Any, ...], limit: int) -> Iterator[Any]:
        offset = 0
        while True:
            rows = self._connection.execute(query, (*values, limit, offset)).fetchall()
            yield from rows
            if len(rows) < limit:
                return
            offset += limit

    def _versioned(self, row: tuple[Any, ...]) -> Versioned | None:
        """Return a row's record, or None where it can't be read, which is noted."""
        call_id, sort_key, version, document = row
        try:
            record = record_from_text(document)
            columns_agree = (record.call_id, record.sort_key) == (call_id, sort_key)
            if not columns_agree or type(version) is not int or not 0 < version < _VERSIONS:
                raise ValueError("the columns are not the document's")
        except (KeyError, TypeError, ValueError):
            self._troubles.unreadable(call_id)
            return None
        self._troubles.readable(record.call_id)
        return Versioned(record, str(version))

    def _rollout_events(self, after: int) -> list[RolloutEvent]:
        query = "SELECT event FROM rollout ORDER BY number LIMIT -1 OFFSET ?"
        rows = self._connection.execute(query, (after,)).fetchall()
        return [event_from_text(text) for (text,) in rows]

    def _add_rollout_event(self, event: RolloutEvent, number: int) -> None:
        # Counted, and not only by its number: one may be missing in a file that `recover` has copied.
        added = self._connection.execute(
            "INSERT INTO rollout SELECT coalesce(max(number) + 1, 0), ? FROM rollout HAVING count(*) = ?",
            (json.dumps(event.to_dict()), number),
        ).rowcount
        if not added:
            raise StaleRecord(str(number))

    def _expired(self, limit: int) -> list[str]:
        """Return ids of expired calls, and remove expired tombstones."""
        if self._moments.clock_ahead_s() > CLOCK_TRUST.total_seconds():
            self._troubles.begin(Trouble.CLOCK_AHEAD)
            return []
        self._troubles.end(Trouble.CLOCK_AHEAD)
        self._moments.note_clock()
        before = from_now(-self._retention_s)
        self._connection.execute("DELETE FROM tombstones WHERE erased_at < ?", (before,))
        query = "SELECT id, sort_key FROM calls WHERE sort_key < ? ORDER BY sort_key, id LIMIT ? OFFSET ?"
        found: list[str] = []
        for call_id, sort_key in self._in_parts(query, (before,), limit):
            # Audio is removed by this id: nothing is done by a key that is not as it was written.
            if not isinstance(sort_key, str) or not is_sort_key(sort_key) or sort_key.partition("|")[2] != call_id:
                self._troubles.unreadable(call_id)
                continue
            found.append(call_id)
            if len(found) == limit:
                break
        return found

    def _erase(self, call_id: str, *, without_record: bool) -> bool:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            found = self._delete(call_id)
            if found or without_record:
                self._connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (id_sha256(call_id), now()))
        self._troubles.gone(call_id)
        return found or self._is_erased(call_id)

    def _remove(self, call_id: str) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._delete(call_id)
        self._troubles.gone(call_id)

    def _delete(self, call_id: str) -> bool:
        found = self._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,)).rowcount > 0
        if found:
            self._moments.note(ERASED_SINCE)
        return found

    def _overwrite_leftovers(self) -> None:
        """Write the database anew where something was erased since the last time.

        `secure_delete` overwrites what is deleted, but not the copies that moving a record to another page leaves in
        the free space of the first one (found by tests/frontend/stores/test_erased.py with SQLite 3.40.1).
        """
        started = time.monotonic()
        if self._moments.of(ERASED_SINCE) is None or started < self._vacuum_after:
            return
        try:
            self._connection.execute("VACUUM")
        except sqlite3.OperationalError:
            self._troubles.begin(Trouble.ERASED_NOT_OVERWRITTEN)  # busy, or no room: the next sweep tries again
        else:
            self._moments.forget(ERASED_SINCE)
        ended = time.monotonic()
        self._vacuum_after = ended + VACUUM_REST * (ended - started)

    def _first(self) -> object:
        return self._connection.execute("SELECT 1 FROM calls LIMIT 1").fetchone()

    def _is_erased(self, call_id: str) -> bool:
        return self._connection.execute(_TOMBSTONE, (id_sha256(call_id),)).fetchone() is not None
