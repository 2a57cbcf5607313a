"""What the front end needs of its stores, whichever they are.

Every method raises StoreUnavailable when the store can't be reached or can't write; what has returned is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from frontend.records import CallRecord, State


class CallExists(Exception):
    """A record with this id was there first."""


class StaleRecord(Exception):
    """The record was changed or erased since it was read."""


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


class AudioStore(Protocol):
    """Blobs under names like `calls/{call_id}/{sha256}`, never written twice with different bytes."""

    async def write(self, name: str, data: bytes) -> None:
        """Whole or not at all; writing the same name again is harmless."""
        ...

    async def read(self, name: str) -> bytes | None:
        """The bytes, or None if there is no such blob."""
        ...

    async def size(self, name: str) -> int | None:
        """Bytes, or None if there is no such blob."""
        ...

    async def find(self, call_id: str) -> str | None:
        """The name of audio that the telephone system has put there as `{call_id}.*`, or None."""
        ...

    async def erase(self, call_id: str) -> None:
        """Everything of one call; safe to repeat."""
        ...


class RecordStore(Protocol):
    """Call records by id."""

    async def create(self, record: CallRecord) -> Versioned:
        """Raises: CallExists, CallErased."""
        ...

    async def read(self, call_id: str) -> Versioned | None:
        """Raises: CallErased."""
        ...

    async def replace(self, record: CallRecord, etag: str) -> Versioned:
        """Raises: StaleRecord."""
        ...

    async def page(self, limit: int, after: str | None, state: State | None, status: str | None) -> Page:
        """Newest first, at most `limit`; after: the `next` of the page before."""
        ...

    async def received(self, limit: int) -> list[Versioned]:
        """Calls that still wait for their diagnosis, oldest first."""
        ...

    async def erase(self, call_id: str, *, without_record: bool) -> bool:
        """Removes the record and leaves a tombstone; False if there never was such a call. Safe to repeat.

        without_record: leave a tombstone also where there is no record, because there is audio.
        """
        ...

    async def ping(self) -> None:
        """Returns when the store answers."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
