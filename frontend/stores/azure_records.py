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
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy, CosmosClient

from frontend.configuration.settings import AzureSettings
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased
from frontend.domain.records import CallRecord, State, id_sha256, now, readable_record, record_from_dict
from frontend.stores.azure_call import CONNECT_S, READ_S, azure_call
from frontend.stores.azure_identity import TokenCredential
from frontend.stores.protocols import ERASED, CallExists, Page, RecordTooLarge, StaleRecord, Versioned

SERVICE = "record_store"
_TOO_LARGE = 413
_NO_CONTAINER = 1003  # the sub-status of a 404: the container is missing, not the item
_CALL, _TOMBSTONE = "call", "tombstone"


class CosmosRecordStore:
    """Satisfies `protocols.RecordStore`. Connects at the first call."""

    def __init__(self, settings: AzureSettings, credential: TokenCredential | None, retention_days: int) -> None:
        """Keep the settings. credential: used if the settings have no key."""
        self._settings = settings
        self._credential = credential
        self._retention = timedelta(days=retention_days)
        self._client: CosmosClient | None = None
        self._opening: asyncio.Task[None] | None = None

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            try:
                item = dict(await container.create_item(self._item(record)))
            except exceptions.CosmosResourceExistsError as error:
                raise CallExists(record.call_id) from error
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
                return Versioned(record_from_dict(item), item["_etag"])
            if await self._is_erased(container, call_id):
                raise CallErased(ERASED)
        return None

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            try:
                item = dict(
                    await container.replace_item(
                        record.call_id, self._item(record), etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                )
            except exceptions.CosmosAccessConditionFailedError as error:
                # The SDK repeats a write if its answer was lost: the new version may then be our own.
                there = await self._item_or_none(container, record.call_id)
                if there is None or readable_record(there) != record:
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
        items = await self._query(
            f"SELECT TOP {limit + 1} * FROM c WHERE {where} ORDER BY c.sort_key DESC",  # noqa: S608 - our own texts
            {name: value for _, name, value in given},
            deadline,
        )
        records = [one for item in items[:limit] if (one := readable_record(item)) is not None]
        return Page(records, items[limit - 1]["sort_key"] if len(items) > limit else None)

    async def due(self, moment: str, limit: int, deadline: Deadline) -> list[Versioned]:
        where = "WHERE c.kind = @kind AND c.due_at <= @moment"
        query = f"SELECT TOP {limit} * FROM c {where} ORDER BY c.due_at"  # noqa: S608 - a number
        items = await self._query(query, {"@moment": moment}, deadline)
        found = [(record, str(item["_etag"])) for item in items if (record := readable_record(item)) is not None]
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            erased = await asyncio.gather(*(self._is_erased(container, record.call_id) for record, _ in found))
            for (record, _), gone in zip(found, erased, strict=True):
                if gone:
                    await self._delete(container, record.call_id)
        return [Versioned(record, etag) for (record, etag), gone in zip(found, erased, strict=True) if not gone]

    async def erase(self, call_id: str, *, without_record: bool, deadline: Deadline) -> bool:
        async with azure_call(SERVICE, deadline):
            container = await self._container()
            if await self._item_or_none(container, call_id) is None and not without_record:
                return await self._is_erased(container, call_id)
            tombstone = {"id": _tombstone(call_id), "kind": _TOMBSTONE, "erased_at": now()}
            await container.upsert_item({**tombstone, "ttl": math.ceil(self._retention.total_seconds())})
            await self._delete(container, call_id)
        return True

    async def expired(self, limit: int, deadline: Deadline) -> list[str]:
        """Return nothing: Cosmos removes records after their time to live, and the container's lifecycle policy removes
        the audio (k8s/manifests/azure).
        """
        return []

    async def forget(self, call_id: str, deadline: Deadline) -> None:
        async with azure_call(SERVICE, deadline):
            await self._delete(await self._container(), call_id)

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
            await container.delete_item(call_id, call_id)

    def _item(self, record: CallRecord) -> dict[str, Any]:
        """Return the item. ttl: seconds from this write to the end of the retention period, counted from receipt."""
        end = datetime.fromisoformat(record.received_at) + self._retention
        return {
            **record.to_dict(),
            "id": record.call_id,
            "kind": _CALL,
            "sort_key": record.sort_key,
            "status": record.status,
            "ttl": max(1, math.ceil((end - datetime.now(UTC)).total_seconds())),
        }


def _tombstone(call_id: str) -> str:
    return "~" + id_sha256(call_id)
