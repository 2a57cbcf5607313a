"""The file of the embedded record store: opened, watched for damage, with room kept for erasures, and free of what was
erased.

Everything but `check` runs on the one thread of the store that owns the connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from frontend.domain.errors import StoreUnavailable
from frontend.stores.sqlite_moments import Moments
from frontend.stores.troubles import Trouble, Troubles

Answer = TypeVar("Answer")

DAMAGED = "record_store_damaged"  # the message key
START_CHECK_S = 2.0  # a larger database is checked on by the first sweep
# SQLite empties its log into the database at this size. On a full disk the log can't grow to more than twice as much:
# it is not emptied only if there is no room for its own size. The reserve has room for that, and for an erasure.
LOG_PAGES = 256  # of 4 KiB
RESERVE_BYTES = 4 * 1024 * 1024
CHECKPOINT_S = 0.2  # how long a checkpoint waits for other processes
_RESULT_LIMIT = 1000
# Results about a value, not about the file: such a record is unreadable, and all others are fine.
_OF_A_VALUE = re.compile(r"(NULL|NUMERIC|TEXT|BLOB|INT|REAL)\w* value in ")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY, sort_key TEXT NOT NULL, state TEXT NOT NULL, status TEXT,
    version INTEGER NOT NULL, document TEXT NOT NULL, due_at TEXT, notice_to TEXT, notice_due TEXT, notice_dead INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (sort_key);
CREATE TABLE IF NOT EXISTS tombstones (id_sha256 TEXT PRIMARY KEY, erased_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollout (number INTEGER PRIMARY KEY, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS moments (name TEXT PRIMARY KEY, moment TEXT NOT NULL) WITHOUT ROWID;
"""
# Upgrade tables of the first version, which had no `due_at`: their `received` calls are due at once.
_ADD_DUE = "ALTER TABLE calls ADD COLUMN due_at TEXT; UPDATE calls SET due_at = '' WHERE state = 'received';"
# And tables of versions that told nobody of results.
_ADD_NOTICES = """
ALTER TABLE calls ADD COLUMN notice_to TEXT;
ALTER TABLE calls ADD COLUMN notice_due TEXT;
ALTER TABLE calls ADD COLUMN notice_dead INTEGER;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS calls_by_state ON calls (state, sort_key);
CREATE INDEX IF NOT EXISTS calls_due ON calls (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notices_due ON calls (notice_to, notice_due) WHERE notice_due IS NOT NULL;
CREATE INDEX IF NOT EXISTS notices_dead ON calls (sort_key) WHERE notice_dead;
"""
# For listings alone. A row is 4 KB, so a filter without an index reads the whole file where few calls match.
_INDEXES_OF_LISTINGS = """
CREATE INDEX IF NOT EXISTS calls_by_status ON calls (status, sort_key) WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS calls_by_state_and_status ON calls (state, status, sort_key) WHERE status IS NOT NULL;
"""


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """Raise sqlite3.DatabaseError (SQLITE_CORRUPT) where Python's module fails over SQLite's message.

    The message quotes a damaged schema, which may be no UTF-8 (Python 3.11, SQLite 3.40.1).
    """
    try:
        yield
    except UnicodeDecodeError as error:
        damaged = sqlite3.DatabaseError("the database schema is damaged")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error


class SqliteFile:
    """A connection, and what is known about the file.

    damaged: from the first sign of damage until the end of the process. Writing into a damaged B-tree may destroy what
    is still whole, so nothing is written any more; what can still be read is read.
    """

    def __init__(self, path: Path, troubles: Troubles) -> None:
        """Open the file. Raises: StoreUnavailable where it can't be opened."""
        self.damaged = False
        self._path = path
        self._reserve = path.with_name(f"{path.name}.reserve")
        self._troubles = troubles
        try:
            existed = path.exists() and path.stat().st_size > 0
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as unless_opened, sqlite_errors():
                self.connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
                unless_opened.callback(self.connection.close)
                self.connection.text_factory = _text
                self.connection.execute("SELECT count(*) FROM sqlite_schema")
                if not existed or self.check(START_CHECK_S):
                    self._prepare(new=not existed)
                unless_opened.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("record_store_not_opened", file=path.name, folder=path.parent.name) from error

    def check(self, seconds: float) -> bool:
        """Read the whole file, for at most so long; return False, now and for ever, where it is damaged.

        It uses a connection of its own, so that the store goes on beside it. Raises: sqlite3.Error where it can't be
        read now.
        """
        if self.damaged:
            return False
        end = time.monotonic() + seconds
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
            try:
                with sqlite_errors():
                    rows = connection.execute(f"PRAGMA integrity_check({_RESULT_LIMIT})").fetchall()
            except sqlite3.Error as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    return True  # nothing was found in that time
                self._note(error)
                if self.damaged:
                    return False
                raise
        if any(text != "ok" and not _OF_A_VALUE.match(text) for (text,) in rows):
            self._is_damaged()
        return not self.damaged

    def read(self, work: Callable[[], Answer]) -> Answer:
        """Do work that only reads. Raises: sqlite3.Error, StoreUnavailable."""
        try:
            with sqlite_errors():
                return work()
        except sqlite3.Error as error:
            self._note(error)
            if self.damaged:
                raise StoreUnavailable(DAMAGED, retry_after_s=60) from error
            raise

    def look(self, work: Callable[[], Answer]) -> Answer:
        """Do work that reads what is to be written then. Raises: sqlite3.Error, StoreUnavailable."""
        if self.damaged:
            raise StoreUnavailable(DAMAGED, retry_after_s=60)
        return self.read(work)

    def write(self, work: Callable[[], Answer]) -> Answer:
        """Do work that writes. Raises: sqlite3.Error, StoreUnavailable."""
        answer = self.look(work)
        self._troubles.end(Trouble.RECORD_STORE_FULL)
        return answer

    def make_room(self, work: Callable[[], Answer]) -> Answer:
        """Do work that writes a little and frees more, also on a full disk. Raises: sqlite3.Error, StoreUnavailable.

        SQLite writes to its log before it deletes anything. If there is no room for that, the reserve is given up, and
        the log is emptied into the database, so that its space is used again.
        """
        try:
            return self.write(work)
        except sqlite3.OperationalError as error:
            if _primary(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise
            self._reserve.unlink(missing_ok=True)
            self.empty_log()
            return self.write(work)

    def empty_log(self) -> bool:
        """Bring the log into the database and truncate it; False where another process reads it, or there is no room.

        Old pages in the log hold what was erased since.
        """
        if self.damaged:
            return False
        self.connection.execute(f"PRAGMA busy_timeout = {int(CHECKPOINT_S * 1000)}")
        try:
            with sqlite_errors():
                (busy, *_), *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._note(error)
            return False
        finally:
            self.connection.execute("PRAGMA busy_timeout = 5000")
        return not busy

    def keep_reserve(self) -> None:
        """Make the reserve again where it is missing, if there is room."""
        if self._reserve.exists() or self.damaged:
            return
        beside = self._reserve.with_suffix(".part")
        try:
            with beside.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            beside.replace(self._reserve)
        except OSError:
            beside.unlink(missing_ok=True)

    def _prepare(self, *, new: bool) -> None:
        connection = self.connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("PRAGMA secure_delete = ON")  # erased data is overwritten, not only unlinked
        connection.executescript(_SCHEMA)
        if "due_at" not in {row[1] for row in connection.execute("PRAGMA table_info(calls)")}:
            connection.executescript(_ADD_DUE)
        if "notice_due" not in {row[1] for row in connection.execute("PRAGMA table_info(calls)")}:
            connection.executescript(_ADD_NOTICES)
        connection.executescript(_INDEXES)
        if new:
            Moments(connection).note_clock()
        self.keep_reserve()
        self._index_listings()

    def _index_listings(self) -> None:
        """Make the indexes where a database of an older version lacks them: 0.2 s for 30,000 calls.

        Without them listings are right, only slow. So neither a full disk (which erasures are to empty), nor damage,
        nor another process that writes keeps the store closed: the next start tries again.
        """
        try:
            with sqlite_errors():
                self.connection.executescript(_INDEXES_OF_LISTINGS)
        except sqlite3.Error as error:
            self._note(error)

    def _note(self, error: sqlite3.Error) -> None:
        code = _primary(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self._is_damaged()
        elif code == sqlite3.SQLITE_FULL:
            self._troubles.begin(Trouble.RECORD_STORE_FULL)

    def _is_damaged(self) -> None:
        self.damaged = True
        self._troubles.begin(Trouble.RECORD_STORE_DAMAGED)


def _primary(error: sqlite3.Error) -> int:
    """Return the primary result code; 0 for an error of Python's module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _text(value: bytes) -> str | bytes:
    """Return a column's text, or its bytes where they are none: one damaged text must not fail a whole query."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
