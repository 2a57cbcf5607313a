"""Records in Azure Cosmos DB: a container with the partition key `/id`, and time to live switched on.

A call's item has the call's id; a tombstone's item has the id `~` with the erased call's digest (no call's id begins
with `~`). The two are in different partitions, so no transaction covers both. An erasure writes the tombstone and then
removes the record; a creation writes the record and then looks for a tombstone. In either order, one of the two finds
the other. A claim of a waiting call looks for a tombstone again, since the creator may have been stopped in between.
Reads must therefore see earlier writes: the account's consistency must be Bounded Staleness or Strong if more than one
replica runs (docs/azure.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from frontend.configuration.settings import AzureSettings
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import CallRecord, NoticeState, State, id_sha256, now, record_from_dict
from frontend.domain.rollout import RolloutEvent
from frontend.stores.azure_call import CONNECT_S, READ_S, azure_call, requested_pause_s
from frontend.stores.azure_identity import ServiceClock, TokenCredential, TokenTransport
from frontend.stores.protocols import ERASED, UNREADABLE, CallExists, Page, RecordTooLarge, StaleRecord, Versioned
from frontend.stores.rollout_events import event_of
from frontend.stores.troubles import Troubles

Answer = TypeVar("Answer")

SERVICE = "record_store"
# The SDK sends a write once, since it may have been done; ours can be repeated. 449: Cosmos asks for exactly that.
AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE, 449)
WRITE_TRIES, FIRST_PAUSE_S = 6, 0.05
MIN_TTL_S = 86_400  # no record goes sooner, whatever the clocks say
_MORE = 4  # times as many items are asked for if some can't be read
_TOO_LARGE = 413
_NO_CONTAINER = 1003  # the sub-status of a 404: the container is missing, not the item
_CALL, _TOMBSTONE, _ROLLOUT = "call", "tombstone", "rollout"
_STEP = "~rollout-"  # of a rollout; no call's id begins so, and no digest has a hyphen


class CosmosRecordStore:
    """Satisfies `protocols.RecordStore`. Connects at the first call."""

    def __init__(
        self,
        settings: AzureSettings,
        credential: TokenCredential | None,
        retention_days: int,
        troubles: Troubles | None = None,
    ) -> None:
        """Keep the settings. credential: used if the settings have no key. troubles: where what is wrong is noted."""
        self._settings = settings
        self._troubles = troubles or Troubles()
        self._clock = ServiceClock()
        self._credential = credential
        self._retention = timedelta(days=retention_days)
        self._client: CosmosClient | None = None
        self._opening: asyncio.Task[None] | None = None

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            new = self._item(record, self._retention.total_seconds())
            tries: list[int] = []
            try:
                item = dict(await self._again(lambda: container.create_item(new), tries))
            except exceptions.CosmosResourceExistsError as error:
                # After a repetition it may be the one that we have created, although we were told otherwise.
                there = await self._item_or_none(container, record.call_id) if tries else None
                found = None if there is None else self._versioned(there)
                if there is None or found is None or found.record != record:
                    raise CallExists(record.call_id) from error
                item = there
            if await self._is_erased(container, record.call_id):
                await self._delete(container, record.call_id)
                raise CallErased(ERASED)
        return Versioned(record, item["_etag"])

    async def read(self, call_id: str, deadline: Deadline) -> Versioned | None:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            item = await self._item_or_none(container, call_id)
            # The process that created the record may have been stopped before it looked for a tombstone.
            if item is not None and item.get("state") == State.RECEIVED and await self._is_erased(container, call_id):
                await self._delete(container, call_id)
                item = None
            if item is not None:
                found = self._versioned(item)
                if found is None:
                    raise StoreUnavailable(UNREADABLE, retry_after_s=60)
                return found
            if await self._is_erased(container, call_id):
                raise CallErased(ERASED)
        return None

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            changed = self._item(record, self._rest_s(record))
            try:
                item = dict(
                    await self._again(
                        lambda: container.replace_item(
                            record.call_id, changed, etag=etag, match_condition=MatchConditions.IfNotModified
                        )
                    )
                )
            except exceptions.CosmosAccessConditionFailedError as error:
                # The SDK repeats a write if its answer was lost: the new version may then be our own.
                there = await self._item_or_none(container, record.call_id)
                found = None if there is None else self._versioned(there)
                if there is None or found is None or found.record != record:
                    raise StaleRecord(record.call_id) from error
                item = there
            except exceptions.CosmosResourceNotFoundError as error:
                raise StaleRecord(record.call_id) from error
            except exceptions.CosmosHttpResponseError as error:
                if error.status_code == _TOO_LARGE:
                    raise RecordTooLarge(record.call_id) from error
                raise
        return Versioned(record, item["_etag"])

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        conditions = [("c.sort_key < @after", "@after", after), ("c.state = @state", "@state", state)]
        conditions += [("c.status = @status", "@status", status)]
        given = [condition for condition in conditions if condition[2] is not None]
        # Continue by key, since the SDK has no continuation for ordered queries over all partitions.
        where = " AND ".join(["c.kind = @kind", *(entry[0] for entry in given)])
        values = {name: value for _, name, value in given}
        found = await self._readable(f"WHERE {where} ORDER BY c.sort_key DESC", values, limit + 1, deadline)
        # Those that can't be read count for the page on which they are: before its last record, or on the last page.
        records = [call.record for call in found if call is not None]
        if len(records) <= limit:
            return Page(records, None, found.count(None))
        last = next(n for n, call in enumerate(found) if call is not None and call.record is records[limit - 1])
        return Page(records[:limit], records[limit - 1].sort_key, found[:last].count(None))

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        return await self._waiting("c.due_at <= @moment", moment, limit, deadline)

    async def leased_beyond(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        return await self._waiting("c.due_at > @moment", moment, limit, deadline)

    async def notices_due(self, to: str, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        # `to` is a word of Cosmos' SQL.
        condition = 'c.notice["to"] = @to AND c.notice.due_at <= @moment'
        values = {"@to": to, "@moment": moment}
        return await self._found(
            f"WHERE c.kind = @kind AND {condition} ORDER BY c.notice.due_at", values, limit, deadline
        )

    async def notices(self, state: NoticeState, after: str | None, limit: int, deadline: Deadline) -> list[Versioned]:
        clauses = "WHERE c.kind = @kind AND c.notice.state = @state AND c.sort_key > @after ORDER BY c.sort_key"
        return await self._found(clauses, {"@state": state.value, "@after": after or ""}, limit, deadline)

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            if await self._item_or_none(container, call_id) is None and not without_record:
                return await self._is_erased(container, call_id)
            tombstone = {"id": _tombstone(call_id), "kind": _TOMBSTONE, "erased_at": now()}
            lasting = {**tombstone, "ttl": math.ceil(self._retention.total_seconds())}
            await self._again(lambda: container.upsert_item(lasting))
            await self._delete(container, call_id)
        self._troubles.gone(call_id)
        return True

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        """Return nothing: Cosmos removes records after their time to live, and the container's lifecycle policy removes
        the audio (k8s/manifests/azure).
        """
        return []

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        async with azure_call(SERVICE, deadline):
            await self._delete(await self._container(), call_id)

    async def maintain(self, deadline: Deadline) -> None:
        """Do nothing: Cosmos looks after its own files."""

    async def rollout_events(self, after: int, deadline: Deadline) -> list[RolloutEvent]:
        """Read one item after the other until there is none: the usual question, for what is new, costs one read."""
        found: list[RolloutEvent] = []
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            while (item := await self._item_or_none(container, _step(after + len(found)))) is not None:
                found.append(event_of(item.get("event")))
        return found

    async def add_rollout_event(self, event: RolloutEvent, number: int, deadline: Deadline) -> None:
        # A time to live of -1: for good, whatever the container's own is.
        item = {"id": _step(number), "kind": _ROLLOUT, "event": event.to_dict(), "ttl": -1}
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            try:
                await self._again(lambda: container.create_item(item))
            except exceptions.CosmosResourceExistsError as error:
                # After a repetition it may be the one that we have created, although we were told otherwise.
                there = await self._item_or_none(container, _step(number))
                if there is None or there.get("event") != item["event"]:
                    raise StaleRecord(str(number)) from error

    async def clock_ahead_s(self, deadline: Deadline) -> float:
        """Return 0.0: records expire by Cosmos' clock."""
        return 0.0

    async def accept_clock(self, deadline: Deadline) -> None:
        """Do nothing: records expire by Cosmos' clock."""

    async def ping(self, deadline: Deadline) -> None:
        async with azure_call(SERVICE, deadline):
            await (await self._container()).read()

    async def properties(self, deadline: Deadline) -> dict[str, Any]:
        """Return the container's properties, as Cosmos sends them."""
        async with azure_call(SERVICE, deadline):
            return dict(await (await self._container()).read())

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._client is not None:
            await self._client.close()

    async def _container(self) -> ContainerProxy:
        """Return the container, opened at the first use: an unreachable store must not stop the front end's start."""
        if self._client is None:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open())
                self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.shield(self._opening)  # many calls may wait for it, each until its own deadline
        assert self._client is not None  # noqa: S101 - it was just opened
        database = self._client.get_database_client(self._settings.cosmos_database)
        return database.get_container_client(self._settings.cosmos_container)

    async def _open(self) -> None:
        key = self._settings.cosmos_key
        credential: Any = key.get_secret_value() if key is not None else self._credential
        # An emulator returns its own addresses as the account's, and has no certificate.
        plain = self._settings.cosmos_endpoint.startswith("http://")
        emulated: dict[str, Any] = {"connection_verify": False, "enable_endpoint_discovery": False} if plain else {}
        client = CosmosClient(
            self._settings.cosmos_endpoint,
            credential,
            connection_timeout=CONNECT_S,
            read_timeout=READ_S,
            retry_throttle_total=20,
            retry_connect=2,
            retry_read=2,
            retry_status=2,
            retry_backoff_factor=0.2,
            transport=TokenTransport(self._credential if key is None else None, self._clock),
            **emulated,
        )
        try:
            await client.__aenter__()
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def _query(self, query: str, values: dict[str, Any], deadline: Deadline) -> list[dict[str, Any]]:
        parameters: list[dict[str, object]] = [{"name": "@kind", "value": _CALL}]
        parameters += [{"name": name, "value": value} for name, value in values.items()]
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            found = container.query_items(query, parameters=parameters)
            return [item async for item in found]

    async def _readable(
        self, clauses: str, values: dict[str, Any], limit: int, deadline: Deadline
    ) -> list[Versioned | None]:
        """Return items in their order until `limit` of them can be read, or there are no more; None: one that can't."""
        top = limit
        while True:
            query = f"SELECT TOP {top} * FROM c {clauses}"  # noqa: S608 - our own texts
            found = [self._versioned(item) for item in await self._query(query, values, deadline)]
            if len(found) < top or len(found) - found.count(None) >= limit:
                return found
            top *= _MORE

    async def _waiting(self, condition: str, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        clauses = f"WHERE c.kind = @kind AND {condition} ORDER BY c.due_at"
        return await self._found(clauses, {"@moment": moment}, limit, deadline)

    async def _found(self, clauses: str, values: dict[str, Any], limit: int, deadline: Deadline) -> list[Versioned]:
        """Return those that can be read; those that were erased are removed, and left out."""
        items = await self._readable(clauses, values, limit, deadline)
        found = [call for call in items if call is not None][:limit]
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            erased = await asyncio.gather(*(self._is_erased(container, call.record.call_id) for call in found))
            for call, gone in zip(found, erased, strict=True):
                if gone:
                    await self._delete(container, call.record.call_id)
        return [call for call, gone in zip(found, erased, strict=True) if not gone]

    def _versioned(self, item: dict[str, Any]) -> Versioned | None:
        """Return an item's record, or None where it can't be read, which is noted."""
        try:
            record, etag = record_from_dict(item), item["_etag"]
            if (record.call_id, record.sort_key) != (item["id"], item["sort_key"]) or not isinstance(etag, str):
                raise ValueError("the item's own properties are not the record's")
        except (KeyError, TypeError, ValueError):
            self._troubles.unreadable(item.get("id"))
            return None
        self._troubles.readable(record.call_id)
        return Versioned(record, etag)

    async def _again(self, send: Callable[[], Awaitable[Answer]], tries: list[int] | None = None) -> Answer:
        """Send a write that may be repeated, until it is answered otherwise than by AGAIN; the deadline ends it.

        tries: gets the status of each answer after which the write was sent again
        """
        pause_s = FIRST_PAUSE_S
        for _ in range(WRITE_TRIES - 1):
            try:
                return await send()
            except exceptions.CosmosHttpResponseError as error:
                if error.status_code not in AGAIN:
                    raise
                if tries is not None:
                    tries.append(error.status_code)
                requested_s = requested_pause_s(error)
                await asyncio.sleep(pause_s if requested_s is None else requested_s)
                pause_s *= 2.0
        return await send()

    async def _is_erased(self, container: ContainerProxy, call_id: str) -> bool:
        return await self._item_or_none(container, _tombstone(call_id)) is not None

    async def _item_or_none(self, container: ContainerProxy, item_id: str) -> dict[str, Any] | None:
        try:
            return dict(await container.read_item(item_id, item_id))
        except exceptions.CosmosResourceNotFoundError as error:
            if error.sub_status == _NO_CONTAINER:
                raise
            return None

    async def _delete(self, container: ContainerProxy, call_id: str) -> None:
        with contextlib.suppress(exceptions.CosmosResourceNotFoundError):
            await self._again(lambda: container.delete_item(call_id, call_id))

    def _rest_s(self, record: CallRecord) -> float:
        """Return the rest of the retention period in seconds, counted from receipt by Cosmos' clock.

        `received_at` was written by a clock of ours, which may have been wrong: so it is never more than a whole
        period, and at least MIN_TTL_S.
        """
        whole = self._retention.total_seconds()
        end = datetime.fromisoformat(record.received_at) + self._retention
        return min(whole, max(MIN_TTL_S, end.timestamp() - self._clock.time()))

    def _item(self, record: CallRecord, ttl_s: float) -> dict[str, Any]:
        """Return the item. ttl_s: from this write to its end, by Cosmos' clock."""
        return {
            **record.to_dict(),
            "id": record.call_id,
            "kind": _CALL,
            "sort_key": record.sort_key,
            "status": record.status,
            "ttl": math.ceil(ttl_s),
        }


def _step(number: int) -> str:
    return f"{_STEP}{number:06d}"


def _tombstone(call_id: str) -> str:
    return "~" + id_sha256(call_id)
