"""`python -m frontend --check`: what can be reached, and as whom.

No secret is shown and no call is touched; embedded stores are made where there are none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from frontend.app import check_contract
from frontend.deadline import Deadline
from frontend.errors import StoreUnavailable
from frontend.settings import AzureSettings, Settings, url_of_connection
from frontend.stores.azure_records import CosmosRecordStore
from frontend.stores.opening import open_stores
from runtime.config import load_config, load_limits
from runtime.errors import RuntimeFailure
from runtime.triton_classifier import AsyncTritonClassifier

PATIENCE_S = 10.0


async def check(settings: Settings) -> int:
    """Print a line for each part; 0 where all of them can be used, else 1. Raises: ConfigError, StoreUnavailable."""
    _, limits = load_limits()
    stores = open_stores(settings, limits.retention_days)
    azure = settings.azure
    # The variable that the cluster's webhook gives a pod whose service account has an identity.
    client = os.environ.get("AZURE_CLIENT_ID", "")
    identity = f"workload identity of this process{f' (client {client})' if client else ''}"
    parts: list[tuple[str, str, str, Callable[[], Awaitable[str]]]] = []

    async def triton() -> str:
        return await _triton(settings)

    async def audio() -> str:
        await stores.audio.ping(Deadline.after(PATIENCE_S))
        return "reached"

    async def records() -> str:
        await stores.records.ping(Deadline.after(PATIENCE_S))
        return await _cosmos(stores.records) if isinstance(stores.records, CosmosRecordStore) else "reached"

    parts.append(("inference", settings.triton_url, "-", triton))
    if azure is None:
        parts.append(("audio", str(settings.var / "audio"), "-", audio))
        parts.append(("records", str(settings.var / "calls.sqlite"), "-", records))
    else:
        where = f"{_blob_host(azure)} container {azure.blob_container}"
        parts.append(("audio", where, "connection string" if azure.blob_connection else identity, audio))
        host = urlsplit(azure.cosmos_endpoint).netloc
        where = f"{host} {azure.cosmos_database}/{azure.cosmos_container}"
        parts.append(("records", where, "key" if azure.cosmos_key else identity, records))
    try:
        results = await asyncio.gather(*(_result(probe) for *_, probe in parts))
    finally:
        await stores.close()
    rows = [("part", "where", "as", "result")]
    rows += [(part, where, who, text) for (part, where, who, _), (_, text) in zip(parts, results, strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *first, last in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(first, widths, strict=True)), last]))
    return 0 if all(good for good, _ in results) else 1


async def _result(probe: Callable[[], Awaitable[str]]) -> tuple[bool, str]:
    try:
        return True, await probe()
    except (RuntimeFailure, StoreUnavailable) as error:
        return False, str(error)


async def _triton(settings: Settings) -> str:
    classifier = AsyncTritonClassifier(settings.triton_url)
    try:
        contract = await classifier.contract(PATIENCE_S)
    finally:
        await classifier.close()
    check_contract(contract, load_config(), settings)
    model = contract.model
    return f"reached: {model.name} {model.version}, {'validated' if model.validated else 'not validated'}"


async def _cosmos(records: CosmosRecordStore) -> str:
    """Raises: StoreUnavailable where the container is not made as docs/azure.md says."""
    properties = await records.properties(Deadline.after(PATIENCE_S))
    if properties.get("partitionKey", {}).get("paths") != ["/id"]:
        raise StoreUnavailable("The container's partition key is not /id: make one as docs/azure.md says.")
    if "defaultTtl" not in properties:
        raise StoreUnavailable(
            "The container has no time to live, so nothing would expire: switch it on (docs/azure.md)."
        )
    return "reached"


def _blob_host(azure: AzureSettings) -> str:
    if azure.blob_connection is None:
        return urlsplit(azure.blob_endpoint).netloc
    url = url_of_connection(azure.blob_connection.get_secret_value())
    return urlsplit(url or "").netloc  # it was read before, when the settings were checked
