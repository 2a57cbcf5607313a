"""Azurite, the real blob service for a laptop, on loopback and in memory."""

from __future__ import annotations

import base64
import secrets

from tests.services.node import MODULES, NodeServer, require_node

ACCOUNT = "tosiatest"


class Azurite(NodeServer):
    """As a context manager: entered when it listens, left when it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()

    @property
    def endpoint(self) -> str:
        return self.endpoint_at(self.port)

    def endpoint_at(self, port: int) -> str:
        """Of a proxy before it."""
        return f"http://127.0.0.1:{port}/{ACCOUNT}"

    def connection(self, key: str | None = None, port: int | None = None) -> str:
        """As BLOB_CONNECTION; key: another one than the account's; port: of a proxy before it."""
        endpoint = self.endpoint_at(port or self.port)
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key or self.key};BlobEndpoint={endpoint};"
        )

    def command(self) -> list[str]:
        return [
            *(str(MODULES / ".bin" / "azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
            *("--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"),
        ]

    def environment(self) -> dict[str, str]:
        return {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}


class AzuriteQueues(NodeServer):
    """The queues of the same account: a server of its own, as in Azure they have an address of their own."""

    def __init__(self, blobs: Azurite) -> None:
        super().__init__()
        self._key = blobs.key

    def connection(self, blob_connection: str) -> str:
        """Return a connection string with the queues' address beside the blobs'."""
        return f"{blob_connection}QueueEndpoint=http://127.0.0.1:{self.port}/{ACCOUNT};"

    def command(self) -> list[str]:
        return [
            *(str(MODULES / ".bin" / "azurite-queue"), "--queueHost", "127.0.0.1", "--queuePort", str(self.port)),
            *("--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"),
        ]

    def environment(self) -> dict[str, str]:
        return {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self._key}"}


def require_azurite() -> None:
    """Skips where Azurite can't be started."""
    require_node("azurite")
