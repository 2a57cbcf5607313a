"""Azurite and the Cosmos server together: what the front end needs of Azure, on loopback."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from azure.storage.blob import BlobServiceClient

from tests.services.azurite import Azurite, require_azurite
from tests.services.cosmos import DATABASE, Cosmos, require_cosmos


@dataclass(frozen=True)
class Account:
    """Containers of one name in both services, as a front end's environment names them."""

    blob_connection: str
    cosmos_endpoint: str
    cosmos_key: str
    database: str
    container: str

    def environment(self) -> dict[str, str]:
        """Of a front end that keeps its calls there."""
        return {
            "TOSIA_STORES": "azure",
            "ALLOW_UNVALIDATED": "1",
            "BLOB_CONNECTION": self.blob_connection,
            "BLOB_CONTAINER": self.container,
            "COSMO_ENDPOINT": self.cosmos_endpoint,
            "COSMO_KEY": self.cosmos_key,
            "COSMO_DATABASE": self.database,
            "COSMO_CONTAINER": self.container,
        }

    def put(self, name: str, data: bytes) -> None:
        """A blob, as the telephone system puts it there."""
        with BlobServiceClient.from_connection_string(self.blob_connection) as service:
            service.get_blob_client(self.container, name).upload_blob(data, overwrite=True)

    def blobs(self) -> dict[str, bytes]:
        """Everything in the container."""
        with BlobServiceClient.from_connection_string(self.blob_connection) as service:
            container = service.get_container_client(self.container)
            return {blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()}

    def behind(self, azurite: Azurite, blob_port: int | None = None, cosmos_port: int | None = None) -> Account:
        """The same through proxies on these ports."""
        changed = self
        if blob_port is not None:
            changed = replace(changed, blob_connection=azurite.connection(port=blob_port))
        if cosmos_port is not None:
            changed = replace(changed, cosmos_endpoint=f"http://127.0.0.1:{cosmos_port}/")
        return changed


class Azure:
    """As a context manager: both services, started together."""

    def __init__(self) -> None:
        self.azurite = Azurite()
        self.cosmos = Cosmos()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.azurite)
        self._stack.enter_context(self.cosmos)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def new_containers(self) -> Account:
        """Empty ones."""
        name = f"calls-{uuid.uuid4().hex[:12]}"
        with BlobServiceClient.from_connection_string(self.azurite.connection()) as service:
            service.create_container(name)
        self.cosmos.create_container(name)
        return Account(self.azurite.connection(), self.cosmos.endpoint, self.cosmos.key, DATABASE, name)

    def items(self, account: Account) -> list[dict[str, object]]:
        """Everything that lies in Cosmos, past our own store."""
        return self.cosmos.items(account.container)


def require_azure() -> None:
    """Skips where they can't be started."""
    require_azurite()
    require_cosmos()
