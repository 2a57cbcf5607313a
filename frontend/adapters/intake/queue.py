"""The intake's Azure Storage Queue, and the poison queue beside it.

A received message stays in the queue, invisible for a time; each change of it gives a new receipt, and only the newest
removes it. So one object holds a message and its receipt, and does one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from frontend.configuration.settings import IntakeSettings
from frontend.domain.deadline import Deadline
from frontend.stores.azure_call import CONNECT_S, READ_S, azure_call
from frontend.stores.azure_identity import TokenCredential, TokenTransport, workload_credential

SERVICE = "intake_queue"
POISON_SUFFIX = "-poison"
MOST_AT_ONCE = 32  # messages that the service gives in one answer
_FOR_EVER = -1  # time to live: a message must not go because nobody came for a week
REQUEST_S = 20.0
LOOK_S = 600.0  # how long a message of the poison queue that is only looked at stays invisible, at most


class Gone(Exception):
    """The message is no longer ours: it became visible, and another consumer has it, or it was removed."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits. messages: also the invisible ones; oldest_s: the age of the next one, 0.0 where none is visible

    poison: messages that were given up
    """

    messages: int
    oldest_s: float
    poison: int


class Message:
    """One received message, until it is removed, given back, or gone."""

    def __init__(self, client: QueueClient, received: QueueMessage) -> None:
        self._client = client
        self._received = received
        self._lock = asyncio.Lock()
        self.ended = False  # removed or given back

    @property
    def text(self) -> str:
        return str(self._received.content or "")

    @property
    def id(self) -> str:
        return str(self._received.id)

    @property
    def receives(self) -> int:
        """How often it was received, by anyone."""
        return int(self._received.dequeue_count or 1)

    async def keep(self, seconds: float) -> None:
        """Stay invisible for so long from now. Raises: Gone, StoreUnavailable."""
        async with self._lock:
            if not self.ended:
                await self._update(seconds, None)

    async def give_back(self, after_s: float, text: str | None = None) -> None:
        """Let anyone take it again after so long. text: what it says from now on. Raises: Gone, StoreUnavailable."""
        async with self._lock:
            self.ended = True
            await self._update(after_s, text)

    async def remove(self) -> None:
        """Remove it. Raises: Gone, StoreUnavailable."""
        async with self._lock:
            self.ended = True
            async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
                try:
                    await self._client.delete_message(self._received.id, self._received.pop_receipt)
                except HttpResponseError as error:
                    _raise_if_gone(error)
                    raise

    async def _update(self, seconds: float, text: str | None) -> None:
        async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
            try:
                changed = await self._client.update_message(
                    self._received.id,
                    self._received.pop_receipt,
                    content=self._received.content if text is None else text,
                    visibility_timeout=round(seconds),
                )
            except HttpResponseError as error:
                _raise_if_gone(error)
                raise
            self._received.pop_receipt = changed.pop_receipt


def _raise_if_gone(error: HttpResponseError) -> None:
    """Raises: Gone where the message was removed, or another consumer has received it since."""
    code = getattr(error, "error_code", None)
    if error.status_code == HTTPStatus.NOT_FOUND and code != "QueueNotFound":
        raise Gone from error
    if error.status_code == HTTPStatus.BAD_REQUEST and code == "PopReceiptMismatch":
        raise Gone from error


class IntakeQueues:
    """The queue and its poison queue."""

    def __init__(self, settings: IntakeSettings, credential: TokenCredential | None) -> None:
        """credential: used where the settings have an endpoint instead of a connection string."""
        options: dict[str, Any] = {
            # As for blobs. Not as a policy: the package gives the one for `aio` no public name.
            **{"initial_backoff": 0, "increment_base": 1, "retry_total": 2, "random_jitter_range": 0},
            "transport": TokenTransport(credential, connection_timeout=CONNECT_S, read_timeout=READ_S),
        }
        if settings.connection is not None:
            connection = settings.connection.get_secret_value()
            self._service = QueueServiceClient.from_connection_string(connection, **options)
        else:
            self._service = QueueServiceClient(settings.endpoint, credential, **options)
        self._queue: QueueClient = self._service.get_queue_client(settings.queue)
        self._poison: QueueClient = self._service.get_queue_client(settings.queue + POISON_SUFFIX)

    async def receive(self, at_most: int, invisible_s: float) -> list[Message]:
        """Return messages, invisible to others from now on. Raises: StoreUnavailable."""
        return await self._receive(self._queue, at_most, invisible_s)

    async def add_poison(self, text: str) -> None:
        """Keep a message that was given up, without end. Raises: StoreUnavailable."""
        async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
            await self._poison.send_message(text, time_to_live=_FOR_EVER)

    async def send(self, text: str) -> None:
        """Put a message into the queue. Raises: StoreUnavailable."""
        async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
            await self._queue.send_message(text, time_to_live=_FOR_EVER)

    @contextlib.asynccontextmanager
    async def poison(self) -> AsyncIterator[list[Message]]:
        """Give all messages that were given up; those that are still there in the end are visible again.

        A peek sees the first 32 and can't go on behind them, so they are received. Raises: StoreUnavailable.
        """
        found: dict[str, Message] = {}
        try:
            while messages := await self._receive(self._poison, MOST_AT_ONCE, LOOK_S):
                found |= {message.id: message for message in messages}
            yield list(found.values())
        finally:
            for message in found.values():
                if not message.ended:
                    with contextlib.suppress(Gone):
                        await message.give_back(0.0)

    async def depth(self) -> Depth:
        """Return what waits. Raises: StoreUnavailable."""
        async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
            queue = await self._queue.get_queue_properties()
            poison = await self._poison.get_queue_properties()
            first = await self._queue.peek_messages(max_messages=1)
        since = first[0].inserted_on if first else None
        age_s = max(0.0, (datetime.now(UTC) - since).total_seconds()) if since else 0.0
        return Depth(queue.approximate_message_count or 0, age_s, poison.approximate_message_count or 0)

    async def close(self) -> None:
        """Release the connections."""
        await self._service.close()

    async def _receive(self, client: QueueClient, at_most: int, invisible_s: float) -> list[Message]:
        found: list[Message] = []
        async with azure_call(SERVICE, Deadline.after(REQUEST_S)):
            # One request: the SDK's iterator goes on to a next page by itself where `max_messages` is not given.
            received = client.receive_messages(
                messages_per_page=min(at_most, MOST_AT_ONCE),
                max_messages=min(at_most, MOST_AT_ONCE),
                visibility_timeout=round(invisible_s),
            )
            async for message in received:
                found.append(Message(client, message))
        return found


@contextlib.asynccontextmanager
async def opened(settings: IntakeSettings, credential: TokenCredential | None) -> AsyncIterator[IntakeQueues]:
    """Open the queues, and close them in the end. credential: of the stores; None: an own one where one is needed"""
    own = workload_credential() if settings.connection is None and credential is None else None
    queues = IntakeQueues(settings, credential or own)
    try:
        yield queues
    finally:
        await queues.close()
        if own is not None:
            await own.close()
