"""Settings of the front end for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import SecretStr

from frontend.configuration.settings import ApiKey, AzureSettings, Settings
from frontend.stores.opening import Stores, open_stores
from tests.services.azure import Account

KEYS = (ApiKey("tests", SecretStr("a-key-for-tests")),)


def embedded_settings(var: Path, triton_url: str = "127.0.0.1:1") -> Settings:
    """A folder and SQLite."""
    return Settings(KEYS, None, var, triton_url, allow_unvalidated=False)


def azure_settings(account: Account, triton_url: str = "127.0.0.1:1") -> Settings:
    """Azurite and the Cosmos server, by key."""
    azure = AzureSettings(
        SecretStr(account.blob_connection), "", account.container,
        account.cosmos_endpoint, SecretStr(account.cosmos_key), account.database, account.container,
    )  # fmt: skip
    return Settings(KEYS, azure, Path("unused"), triton_url, allow_unvalidated=True)


def on_stores(folder: Path, check: Callable[[Stores], Awaitable[None]]) -> None:
    """Run the check on embedded stores in the folder, in an event loop of its own."""

    async def run() -> None:
        stores = open_stores(embedded_settings(folder), 30)
        try:
            await check(stores)
        finally:
            await stores.close()

    asyncio.run(run())
