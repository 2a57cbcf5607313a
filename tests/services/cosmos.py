"""A Cosmos server (npm's @vercel/cosmosdb-server, see cosmos.js) on loopback and in memory."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.request
from pathlib import Path

from azure.cosmos import CosmosClient, PartitionKey

from tests.services.node import NodeServer, require_node

DATABASE, CONTAINER = "tosia", "calls"


class Cosmos(NodeServer):
    """As a context manager: entered when it listens, left when it has ended.

    `create_container` makes what the front end needs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.key = base64.b64encode(secrets.token_bytes(48)).decode()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        return ["node", str(Path(__file__).with_name("cosmos.js")), str(self.port), self.key]

    def create_container(self, name: str = CONTAINER) -> None:
        """As docs/azure.md has it made: partition key `/id`, time to live on."""
        with CosmosClient(self.endpoint, self.key, connection_verify=False, enable_endpoint_discovery=False) as client:
            database = client.create_database_if_not_exists(DATABASE)
            database.create_container_if_not_exists(name, PartitionKey("/id"), default_ttl=-1)

    def items(self, name: str = CONTAINER) -> list[dict[str, object]]:
        """Everything in a container, past our own store."""
        with CosmosClient(self.endpoint, self.key, connection_verify=False, enable_endpoint_discovery=False) as client:
            container = client.get_database_client(DATABASE).get_container_client(name)
            return [dict(item) for item in container.read_all_items()]

    def results_written(self, name: str = CONTAINER) -> dict[str, int]:
        """How often a result was written in a container, by call id."""
        with urllib.request.urlopen(f"{self.endpoint}results", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
        return {key.partition("/")[2]: count for key, count in counts.items() if key.partition("/")[0] == name}


def require_cosmos() -> None:
    """Skips where it can't be started."""
    require_node("@vercel/cosmosdb-server")
