"""What the front end needs of its stores, whichever they are.

Every method takes the deadline of what it is done for (a listing: a time for each of its parts), and raises
StoreUnavailable when the store can't be reached, can't write, or has not answered by then; what has returned is
durable. After StoreUnavailable a write may have happened or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, State

ERASED = "call_erased"  # with CallErased


class CallExists(Exception):
    """A record with this id was there first."""


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
    """Some records, newest first; next: the sort key to continue after, or None at the end."""

    items: list[CallRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class Blob:
    """Audio as a listing shows it; written_at: when it was written last, also by a `write` that found it there."""

    name: str
    written_at: datetime
    etag: str


class AudioStore(Protocol):
    """Blobs under names like `calls/{call_id}/{sha256}`, never written twice with different bytes."""

    lookback_s: float | None
    """How far back a first sweep for blobs without a record looks; None: at all of them, since there can't be many."""

    async def write(self, name: str, data: bytes, deadline: Deadline) -> None:
        """Whole or not at all; writing the same name again is harmless, and makes the blob a new one to `remove`.

        Raises: BodyTooLarge where the store takes no blob of this size.
        """
        ...

    async def read(self, name: str, deadline: Deadline) -> bytes | None:
        """The bytes, or None if there is no such blob."""
        ...

    async def size(self, name: str, deadline: Deadline) -> int | None:
        """Bytes, or None if there is no such blob."""
        ...

    async def find(self, call_id: str, deadline: Deadline) -> str | None:
        """The name of audio that the telephone system has put there as `{call_id}.*`, or None."""
        ...

    async def erase(self, call_id: str, deadline: Deadline) -> None:
        """Everything of one call; safe to repeat."""
        ...

    def blobs(self, page_s: float) -> AsyncIterator[Blob]:
        """Every blob under `calls/`; page_s: how long the store may take for each part of the list."""
        ...

    async def remove(self, blob: Blob, deadline: Deadline) -> bool:
        """One blob, unless it was written again since it was listed; whether it was removed."""
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
        """Raises: CallErased."""
        ...

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        """Raises: StaleRecord, RecordTooLarge."""
        ...

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        """Newest first, at most `limit`; after: the `next` of the page before."""
        ...

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        """Calls that wait for their diagnosis and were due by then, the longest due first."""
        ...

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        """Removes the record and leaves a tombstone for one retention period; False if there never was such a call.

        Safe to repeat.

        without_record: leave a tombstone also where there is no record, because there is audio.
        """
        ...

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        """Ids of calls that are older than the retention period; always none where the store itself removes them."""
        ...

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        """Removes an expired call's record without a tombstone."""
        ...

    async def ping(self, deadline: Deadline) -> None:
        """Returns when the store answers."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
