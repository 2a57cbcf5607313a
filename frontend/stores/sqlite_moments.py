"""Moments that the embedded record store remembers: the last time that it saw, and that something was erased."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from frontend.domain.records import is_sort_key, moment, now

# Names in the table `moments`. ERASED_SINCE: something was erased since the database was written anew.
CLOCK, ERASED_SINCE = "clock", "erased"
CLOCK_TRUST = timedelta(days=1)  # nothing expires by a clock that is further ahead of the last moment seen
_SEEN_EVERY = timedelta(minutes=10)


class Moments:
    """Used by the thread that owns the connection. Methods raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, name: str) -> str | None:
        row = self._connection.execute("SELECT moment FROM moments WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, name: str) -> None:
        """Note that it is now."""
        self._connection.execute("INSERT OR REPLACE INTO moments VALUES (?, ?)", (name, now()))

    def forget(self, name: str) -> None:
        self._connection.execute("DELETE FROM moments WHERE name = ?", (name,))

    def note_clock(self) -> None:
        """Note the time, unless that was done a short while ago, or the clock is behind."""
        seen = self.of(CLOCK)
        if seen is None or seen < moment(datetime.fromisoformat(now()) - _SEEN_EVERY):
            self.note(CLOCK)

    def clock_ahead_s(self) -> float:
        """Return how far the clock is ahead of the last moment that the store saw, in seconds; negative: behind."""
        seen = self.of(CLOCK)
        if seen is None:  # a database of an older version
            newest = self._connection.execute("SELECT max(sort_key) FROM calls").fetchone()[0]
            seen = newest.partition("|")[0] if isinstance(newest, str) and is_sort_key(newest) else now()
        try:
            return (datetime.fromisoformat(now()) - datetime.fromisoformat(seen)).total_seconds()
        except (TypeError, ValueError):
            return float("inf")  # an altered moment is no evidence that the clock is right
