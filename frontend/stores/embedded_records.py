"""Records in SQLite: write-ahead log, synchronous FULL, so that a record is whole or absent, also after a power cut.

One connection on a thread of its own: SQLite serialises writers anyway, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from frontend.errors import CallErased, StoreUnavailable
from frontend.records import CallRecord, State, now, record_from_dict
from frontend.stores.protocols import CallExists, Page, StaleRecord, Versioned

Answer = TypeVar("Answer")

_log = logging.getLogger("tosia.stores")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY, sort_key TEXT NOT NULL, state TEXT NOT NULL, status TEXT,
    version INTEGER NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (sort_key);
CREATE INDEX IF NOT EXISTS calls_by_state ON calls (state, sort_key);
CREATE TABLE IF NOT EXISTS tombstones (id_sha256 TEXT PRIMARY KEY, erased_at TEXT NOT NULL) WITHOUT ROWID;
"""


class SqliteRecordStore:
    """Satisfies `protocols.RecordStore`."""

    def __init__(self, path: Path) -> None:
        """Raises: StoreUnavailable."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection = self._thread.submit(_open, path).result()

    async def create(self, record: CallRecord) -> Versioned:
        return await self._run(lambda: self._create(record))

    async def read(self, call_id: str) -> Versioned | None:
        return await self._run(lambda: self._read(call_id))

    async def replace(self, record: CallRecord, etag: str) -> Versioned:
        return await self._run(lambda: self._replace(record, etag))

    async def page(self, limit: int, after: str | None, state: State | None, status: str | None) -> Page:
        return await self._run(lambda: self._page(limit, after, state, status))

    async def received(self, limit: int) -> list[Versioned]:
        return await self._run(lambda: self._received(limit))

    async def erase(self, call_id: str, *, without_record: bool) -> bool:
        return await self._run(lambda: self._erase(call_id, without_record=without_record))

    async def ping(self) -> None:
        await self._run(lambda: self._connection.execute("SELECT 1 FROM calls LIMIT 1").fetchone())

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreUnavailable("The record store can't be used now: try again.") from error

    def _create(self, record: CallRecord) -> Versioned:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._refuse_erased(record.call_id)
            try:
                self._connection.execute(
                    "INSERT INTO calls VALUES (?, ?, ?, ?, 1, ?)",
                    (record.call_id, record.sort_key, record.state, _status(record), json.dumps(record.to_dict())),
                )
            except sqlite3.IntegrityError as error:
                raise CallExists(record.call_id) from error
        return Versioned(record, "1")

    def _read(self, call_id: str) -> Versioned | None:
        row = self._connection.execute("SELECT document, version FROM calls WHERE id = ?", (call_id,)).fetchone()
        if row is None:
            self._refuse_erased(call_id)
            return None
        return _versioned(row)

    def _replace(self, record: CallRecord, etag: str) -> Versioned:
        version = int(etag) + 1
        with self._connection:
            changed = self._connection.execute(
                "UPDATE calls SET state = ?, status = ?, version = ?, document = ? WHERE id = ? AND version = ?",
                (record.state, _status(record), version, json.dumps(record.to_dict()), record.call_id, int(etag)),
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
        rows = self._connection.execute(
            f"SELECT document FROM calls WHERE {' AND '.join(conditions)} ORDER BY sort_key DESC LIMIT ?",  # noqa: S608
            (*values, limit + 1),
        ).fetchall()
        items = [record_from_dict(json.loads(document)) for (document,) in rows[:limit]]
        return Page(items, items[-1].sort_key if len(rows) > limit else None)

    def _received(self, limit: int) -> list[Versioned]:
        rows = self._connection.execute(
            "SELECT document, version FROM calls WHERE state = ? ORDER BY sort_key LIMIT ?", (State.RECEIVED, limit)
        ).fetchall()
        return [known for row in rows if (known := _readable(row)) is not None]

    def _erase(self, call_id: str, *, without_record: bool) -> bool:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            found = self._connection.execute("DELETE FROM calls WHERE id = ?", (call_id,)).rowcount > 0
            if found or without_record:
                self._connection.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?)", (_tombstone(call_id), now()))
        return found or self._is_erased(call_id)

    def _is_erased(self, call_id: str) -> bool:
        query = "SELECT 1 FROM tombstones WHERE id_sha256 = ?"
        return self._connection.execute(query, (_tombstone(call_id),)).fetchone() is not None

    def _refuse_erased(self, call_id: str) -> None:
        if self._is_erased(call_id):
            raise CallErased("This call was erased and its id can't be used again: choose another call_id.")


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten, not only unlinked
        connection.executescript(_SCHEMA)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"The record store {path.name} can't be opened: check {path.parent.name}/.") from error
    return connection


def _versioned(row: tuple[Any, ...]) -> Versioned:
    document, version = row
    return Versioned(record_from_dict(json.loads(document)), str(version))


def _readable(row: tuple[Any, ...]) -> Versioned | None:
    """None for a record that can't be read: it must not keep the others waiting."""
    try:
        return _versioned(row)
    except (KeyError, TypeError, ValueError):
        _log.error("a stored record can't be read and is left as it is")
        return None


def _status(record: CallRecord) -> str | None:
    return record.diagnosis["status"] if record.diagnosis else None


def _tombstone(call_id: str) -> str:
    """A hash, so that what was erased leaves no id behind."""
    return hashlib.sha256(call_id.encode()).hexdigest()
