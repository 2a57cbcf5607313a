"""The interfaces of the front end's stores.

Every method takes the deadline of its request (a listing: a time for each of its parts), and raises StoreUnavailable
when the store can't be reached, can't write, or has not answered by the deadline. A write that has returned is durable.
After StoreUnavailable a write may or may not have happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, NoticeState, State
from frontend.domain.rollout import RolloutEvent

# Message keys: of CallErased, and of StoreUnavailable where one stored record can't be read.
ERASED = "call_erased"
UNREADABLE = "record_unreadable"
REFUSED = ("record_store_refused", "audio_store_refused")  # the same where a service refuses our identity or key


class CallExists(Exception):
    """A record with this id exists already."""


class StaleRecord(Exception):
    """The record was changed or erased since it was read."""


class RecordTooLarge(Exception):
    """The store takes no record of this size."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """A record and the tag of the version that was read (an ETag)."""

    record: CallRecord
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first; next: the sort key from which to continue, or None at the end.

    unreadable: how many stored records among them were left out, because they can't be read
    """

    items: list[CallRecord]
    next: str | None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Blob:
    """Audio in a listing; written_at: the time of the last `write`, even if that `write` found the bytes stored."""

    name: str
    written_at: datetime
    etag: str


class AudioStore(Protocol):
    """Blobs under names like `calls/{call_id}/{sha256}`, never written twice with different bytes."""

    lookback_s: float | None
    """How far back a first sweep for blobs without a record searches; None: all blobs, since there can't be many."""

    async def write(self, name: str, data: bytes, deadline: Deadline) -> None:
        """Write a whole blob or nothing. A repeated write is harmless; `remove` then treats the blob as new.

        Raises: BodyTooLarge where the store takes no blob of this size.
        """
        ...

    async def read(self, name: str, deadline: Deadline) -> bytes | None:
        """The bytes, or None if there is no such blob."""
        ...

    async def read_piece(self, name: str, start: int, end: int, deadline: Deadline) -> bytes | None:
        """The bytes from `start` up to `end`, fewer where the blob ends before; None if there is no such blob."""
        ...

    async def size(self, name: str, deadline: Deadline) -> int | None:
        """Bytes, or None if there is no such blob."""
        ...

    async def find(self, call_id: str, deadline: Deadline) -> str | None:
        """Return the name of audio that the telephone system has stored as `{call_id}.*`, or None."""
        ...

    async def erase(self, call_id: str, deadline: Deadline) -> None:
        """Erase all audio of one call; safe to repeat."""
        ...

    def blobs(self, page_s: float) -> AsyncIterator[Blob]:
        """List every blob under `calls/`; page_s: the time limit in seconds for each part of the list."""
        ...

    async def remove(self, blob: Blob, deadline: Deadline) -> bool:
        """Remove one blob, unless it was written again after the listing; return whether it was removed."""
        ...

    async def ping(self, deadline: Deadline) -> None:
        """Returns when the store answers."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class RecordStore(Protocol):
    """Call records by id."""

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        """Raises: CallExists, CallErased."""
        ...

    async def read(self, call_id: str, deadline: Deadline) -> Versioned | None:
        """Raises: CallErased; StoreUnavailable with the key UNREADABLE where the stored record can't be read."""
        ...

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        """Raises: StaleRecord, RecordTooLarge."""
        ...

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        """Return at most `limit` records, newest first; after: the `next` of the previous page."""
        ...

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        """Return calls without a result that were due at that moment, the longest due first. Records that can't be read
        are passed over, however many there are.
        """
        ...

    async def leased_beyond(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        """Return calls without a result that are due later than that moment, the earliest first."""
        ...

    async def notices_due(self, to: str, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        """Return calls that owe the receiver of this key a message, due at that moment, the longest due first."""
        ...

    async def notices(self, state: NoticeState, after: str | None, limit: int, deadline: Deadline) -> list[Versioned]:
        """Return calls whose message is `owed` or `dead`, in the order of their sort keys, beyond the key `after`."""
        ...

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        """Remove the record and leave a tombstone for one retention period; False if there never was such a call.

        Safe to repeat.

        without_record: leave a tombstone even if there is no record, because there is audio.
        """
        ...

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        """Return ids of calls older than the retention period; always empty if the store itself removes such calls, and
        while the clock is more than a day ahead of the last moment that the store saw.
        """
        ...

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        """Remove an expired call's record without a tombstone."""
        ...

    async def maintain(self, deadline: Deadline) -> None:
        """Look for damage, and overwrite what erased records have left. Raises: StoreUnavailable, also for damage."""
        ...

    async def rollout_events(self, after: int, deadline: Deadline) -> list[RolloutEvent]:
        """Return the steps of all rollouts, oldest first, but for the first `after` ones."""
        ...

    async def add_rollout_event(self, event: RolloutEvent, number: int, deadline: Deadline) -> None:
        """Add a step, for good. number: of the steps that are there, so that nobody's step is passed over.

        Raises: StaleRecord where there are more.
        """
        ...

    async def clock_ahead_s(self, deadline: Deadline) -> float:
        """Return how far our clock is ahead of the last moment that the store saw, in seconds; 0.0 for a store that
        expires calls by its own clock.
        """
        ...

    async def accept_clock(self, deadline: Deadline) -> None:
        """Take our clock as right, however far ahead it is: an operator has said so."""
        ...

    async def ping(self, deadline: Deadline) -> None:
        """Returns when the store answers."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
