"""Records in SQLite: write-ahead log, synchronous FULL, so that a record is whole or absent, also after a power cut.

One connection on a thread of its own: SQLite serialises writers anyway, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import CallRecord, State, from_now, id_sha256, now, readable_record, record_from_dict
from frontend.stores.protocols import ERASED, CallExists, Page, StaleRecord, Versioned

Answer = TypeVar("Answer")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY, sort_key TEXT NOT NULL, state TEXT NOT NULL, status TEXT,
    version INTEGER NOT NULL, document TEXT NOT NULL, due_at TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (sort_key);
CREATE TABLE IF NOT EXISTS tombstones (id_sha256 TEXT PRIMARY KEY, erased_at TEXT NOT NULL) WITHOUT ROWID;
"""
# Upgrade tables of the first version, which had no `due_at`: their `received` calls are due at once.
_ADD_DUE = "ALTER TABLE calls ADD COLUMN due_at TEXT; UPDATE calls SET due_at = '' WHERE state = 'received';"
_INDEXES = """
CREATE INDEX IF NOT EXISTS calls_by_state ON calls (state, sort_key);
CREATE INDEX IF NOT EXISTS calls_due ON calls (due_at) WHERE due_at IS NOT NULL;
"""
_TOMBSTONE = "SELECT 1 FROM tombstones WHERE id_sha256 = ? AND erased_at >= ?"  # of a call that was erased


class SqliteRecordStore:
    """Satisfies `protocols.RecordStore`."""

    def __init__(self, path: Path, retention_days: int) -> None:
        """Open the database. Raises: StoreUnavailable."""
        self._retention_s = retention_days * 86_400.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection = self._thread.submit(_open, path).result()

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        return await self._run(partial(self._create, record), deadline)

    async def read(self, call_id: str, deadline: Deadline) -> Versioned | None:
        return await self._run(partial(self._read, call_id), deadline)

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        return await self._run(partial(self._replace, record, etag), deadline)

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        return await self._run(partial(self._page, limit, after, state, status), deadline)

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        return await self._run(partial(self._due, moment, limit), deadline)

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        return await self._run(partial(self._erase, call_id, without_record=without_record), deadline)

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        return await self._run(partial(self._expired, limit), deadline)

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        await self._run(lambda: self._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,)), deadline)

    async def ping(self, deadline: Deadline) -> None:
        await self._run(lambda: self._connection.execute("SELECT 1 FROM calls LIMIT 1").fetchone(), deadline)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], Answer], deadline: Deadline) -> Answer:
        try:
            async with deadline.for_store():
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreUnavailable("record_store_unusable") from error

    def _create(self, record: CallRecord) -> Versioned:
        try:
            created = self._connection.execute(
                "INSERT INTO calls (id, sort_key, state, status, version, document, due_at) "
                f"SELECT ?, ?, ?, ?, 1, ?, ? WHERE NOT EXISTS ({_TOMBSTONE})",
                (
                    *(record.call_id, record.sort_key, record.state, record.status),
                    *(json.dumps(record.to_dict()), record.due_at),
                    *(id_sha256(record.call_id), from_now(-self._retention_s)),
                ),
            ).rowcount
        except sqlite3.IntegrityError as error:
            raise CallExists(record.call_id) from error
        if not created:
            raise CallErased(ERASED)
        return Versioned(record, "1")

    def _read(self, call_id: str) -> Versioned | None:
        row = self._connection.execute("SELECT document, version FROM calls WHERE id = ?", (call_id,)).fetchone()
        if row is None:
            if self._is_erased(call_id):
                raise CallErased(ERASED)
            return None
        document, version = row
        return Versioned(record_from_dict(json.loads(document)), str(version))

    def _replace(self, record: CallRecord, etag: str) -> Versioned:
        version = int(etag) + 1
        with self._connection:
            changed = self._connection.execute(
                "UPDATE calls SET state = ?, status = ?, version = ?, document = ?, due_at = ? WHERE id = ? AND "
                "version = ?",
                (
                    *(record.state, record.status, version, json.dumps(record.to_dict()), record.due_at),
                    *(record.call_id, int(etag)),
                ),
            ).rowcount
        if not changed:
            raise StaleRecord(record.call_id)
        return Versioned(record, str(version))

    def _page(self, limit: int, after: str | None, state: State | None, status: str | None) -> Page:
        conditions, values = ["1"], []
        for condition, value in (("sort_key < ?", after), ("state = ?", state), ("status = ?", status)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        where = " AND ".join(conditions)
        rows = self._connection.execute(
            f"SELECT sort_key, document FROM calls WHERE {where} ORDER BY sort_key DESC LIMIT ?",  # noqa: S608
            (*values, limit + 1),
        ).fetchall()
        items = [one for _, document in rows[:limit] if (one := readable_record(json.loads(document))) is not None]
        return Page(items, rows[limit - 1][0] if len(rows) > limit else None)

    def _due(self, moment: str, limit: int) -> list[Versioned]:
        query = "SELECT document, version FROM calls WHERE due_at <= ? ORDER BY due_at LIMIT ?"
        rows = self._connection.execute(query, (moment, limit)).fetchall()
        found = [(readable_record(json.loads(document)), str(version)) for document, version in rows]
        return [Versioned(record, etag) for record, etag in found if record is not None]

    def _expired(self, limit: int) -> list[str]:
        """Return ids of expired calls, and remove expired tombstones."""
        before = from_now(-self._retention_s)
        self._connection.execute("DELETE FROM tombstones WHERE erased_at < ?", (before,))
        query = "SELECT id FROM calls WHERE sort_key < ? ORDER BY sort_key LIMIT ?"
        return [call_id for (call_id,) in self._connection.execute(query, (before, limit)).fetchall()]

    def _erase(self, call_id: str, *, without_record: bool) -> bool:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            found = self._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,)).rowcount > 0
            if found or without_record:
                self._connection.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (id_sha256(call_id), now()))
        return found or self._is_erased(call_id)

    def _is_erased(self, call_id: str) -> bool:
        values = (id_sha256(call_id), from_now(-self._retention_s))
        return self._connection.execute(_TOMBSTONE, values).fetchone() is not None


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # erased data is overwritten, not only unlinked
        connection.executescript(_SCHEMA)
        if "due_at" not in {row[1] for row in connection.execute("PRAGMA table_info(calls)")}:
            connection.executescript(_ADD_DUE)
        connection.executescript(_INDEXES)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable("record_store_not_opened", file=path.name, folder=path.parent.name) from error
    return connection
