"""`python -m frontend recover`: copy what can be read of a damaged SQLite file into a new one beside it.

Each table is read from its first row on, and from its last row back, until the damage: what is lost lies between. (The
`.recover` of SQLite's own shell fails where it was built without the module `sqlite_dbpage`, as Debian 12's is.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from frontend.configuration.settings import Settings
from frontend.stores.sqlite_file import SqliteFile, sqlite_errors
from frontend.stores.troubles import Troubles

_TABLES = {"calls": "id", "tombstones": "id_sha256", "moments": "name", "rollout": "number"}  # with their keys
_ADDED = "no such table: rollout"  # in a file of before 0.4.0


def recover(settings: Settings) -> int:
    """Run the command and return its exit code: 1 where something could not be read, or there is nothing to read.

    Raises: StoreUnavailable where the new file can't be made.
    """
    old = settings.var / "calls.sqlite"
    new = old.with_name("calls.sqlite.recovered")
    if settings.azure is not None or not old.exists() or new.exists():
        print(f"There must be {old.name} in {old.parent}/, and no {new.name}: nothing was done.")
        return 1
    counts, whole = _copy(old, new)
    print(
        f"{new.name} has {counts['calls']} calls and {counts['tombstones']} tombstones. "
        + ("Everything could be read." if whole else "Some rows could not be read.")
    )
    return 0 if whole else 1


def _copy(old: Path, new: Path) -> tuple[dict[str, int], bool]:
    SqliteFile(new, Troubles()).connection.close()
    counts, whole = {}, True
    with closing(sqlite3.connect(old, isolation_level=None)) as source, closing(sqlite3.connect(new)) as target:
        source.text_factory = bytes  # a damaged text is copied as it is
        target.execute("DELETE FROM moments")
        for table, key in _TABLES.items():
            for order in ("ASC", "DESC"):
                try:
                    with sqlite_errors():
                        for row in _rows(source, table, key, order):
                            marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in row)
                            target.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
                except sqlite3.DatabaseError as error:
                    whole = whole and str(error) == _ADDED
            (counts[table],) = target.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        target.commit()
    return counts, whole


def _rows(source: sqlite3.Connection, table: str, key: str, order: str) -> Iterator[tuple[Any, ...]]:
    # NOT INDEXED: by the table itself, since an index may be damaged.
    yield from source.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {key} {order}")  # noqa: S608
