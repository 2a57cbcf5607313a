"""The two pairs of stores, as scenarios need them: opened, and looked into past the front end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from frontend.stores.opening import Stores, open_stores
from tests.frontend.settings import azure_settings, embedded_settings
from tests.services.azure import Account, Azure

RETENTION_DAYS = 30

# Counts how often a result was written, in the database itself.
_COUNT_RESULTS = """
CREATE TABLE IF NOT EXISTS test_results (id TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS test_results_written AFTER UPDATE ON calls
WHEN NEW.state = 'diagnosed' OR (NEW.state = 'failed' AND NOT json_extract(NEW.document, '$.failure.retryable'))
BEGIN INSERT INTO test_results VALUES (NEW.id); END;
"""


class Backend(Protocol):
    """What scenarios need of stores."""

    name: str

    def environment(self) -> dict[str, str]:
        """Of a front end that keeps its calls there."""
        ...

    def open(self) -> Stores: ...

    def put(self, name: str, data: bytes) -> None:
        """As the telephone system does."""
        ...

    def results_written(self) -> dict[str, int]:
        """How often a result was written, by call id; a failure after which the call may be sent again is none."""
        ...

    def blob_names(self) -> set[str]:
        """Under `calls/`, and what the telephone system has put beside it."""
        ...

    def audio_of_records(self) -> set[str]: ...


class EmbeddedBackend:
    """A folder and SQLite."""

    name = "embedded"

    def __init__(self, var: Path) -> None:
        self.var = var
        var.mkdir(parents=True, exist_ok=True)
        asyncio.run(self.open().close())
        with closing(sqlite3.connect(var / "calls.sqlite")) as connection:
            connection.executescript(_COUNT_RESULTS)

    def environment(self) -> dict[str, str]:
        return {"TOSIA_STORES": "embedded", "TOSIA_VAR": str(self.var)}

    def open(self) -> Stores:
        return open_stores(embedded_settings(self.var), RETENTION_DAYS)

    def put(self, name: str, data: bytes) -> None:
        (self.var / "audio").mkdir(exist_ok=True)
        (self.var / "audio" / name).write_bytes(data)

    def results_written(self) -> dict[str, int]:
        with closing(sqlite3.connect(self.var / "calls.sqlite")) as connection:
            return dict(connection.execute("SELECT id, count(*) FROM test_results GROUP BY id").fetchall())

    def blob_names(self) -> set[str]:
        folder = self.var / "audio"
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {".lock"}

    def audio_of_records(self) -> set[str]:
        with closing(sqlite3.connect(self.var / "calls.sqlite")) as connection:
            documents = connection.execute("SELECT document FROM calls").fetchall()
        return {json.loads(document)["audio"]["name"] for (document,) in documents}


class AzureBackend:
    """Azurite and the Cosmos server; blob_port, cosmos_port: of proxies before them, for the front end alone."""

    name = "Azure"

    def __init__(self, azure: Azure, blob_port: int | None = None, cosmos_port: int | None = None) -> None:
        self._azure = azure
        self._account = azure.new_containers()
        self._seen: Account = self._account.behind(azure.azurite, blob_port, cosmos_port)

    def environment(self) -> dict[str, str]:
        return self._seen.environment()

    def open(self) -> Stores:
        return open_stores(azure_settings(self._account), RETENTION_DAYS)

    def put(self, name: str, data: bytes) -> None:
        self._account.put(name, data)

    def results_written(self) -> dict[str, int]:
        return self._azure.cosmos.results_written(self._account.container)

    def blob_names(self) -> set[str]:
        return set(self._account.blobs())

    def audio_of_records(self) -> set[str]:
        return {item["audio"]["name"] for item in self._azure.items(self._account) if item.get("kind") == "call"}
