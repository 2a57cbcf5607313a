"""What is told of finished calls to those who asked for it; the life of a call knows no more than this.

Whether a call owes anything is settled when it is created. Any process may finish it, also one that does not know the
receiver (an intake, a front end with other keys): it writes down what is owed, and one that knows the receiver sends.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Protocol

from frontend.domain.records import CallRecord, Notice, NoticeState, from_now, now


def owing(record: CallRecord, claim_s: float = 0.0) -> CallRecord:
    """Return a record that has just got its result, with what is owed.

    claim_s: for so long the first try is left to this process; 0.0 where it sends nothing to this receiver
    """
    if record.notice is None:
        return record
    event_id = f"msg_{secrets.token_hex(16)}"
    return replace(record, notice=Notice(record.notice.to, NoticeState.OWED, event_id, now(), from_now(claim_s)))


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
    """This process tells nobody of anything; what calls of others owe, it writes down."""

    def begun(self, key: str | None) -> Notice | None:
        return None

    def owed(self, record: CallRecord) -> CallRecord:
        return owing(record)

    def offer(self, record: CallRecord) -> None:
        pass
