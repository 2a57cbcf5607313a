"""What is told of finished calls to those who asked for it; the life of a call knows no more than this."""

from __future__ import annotations

from typing import Protocol

from frontend.domain.records import CallRecord, Notice


class Outbox(Protocol):
    """Where finished calls are announced."""

    def begun(self, key: str | None) -> Notice | None:
        """Return what a new call of this key will owe; None where nobody is told of it."""
        ...

    def owed(self, record: CallRecord) -> CallRecord:
        """Return a record that has just got its result, as it is to be written: with what is owed from now on."""
        ...

    def offer(self, record: CallRecord) -> None:
        """Take up a record that was written with what it owes. Never waits; the store has what is dropped here."""
        ...


class NoOutbox:
    """Nobody is told of anything."""

    def begun(self, key: str | None) -> Notice | None:
        return None

    def owed(self, record: CallRecord) -> CallRecord:
        return record

    def offer(self, record: CallRecord) -> None:
        pass
