"""What the intake's tests need: containers, a queue, events as Event Grid writes them, and the process itself."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from azure.storage.queue import QueueClient, QueueServiceClient

from laptop.service import CHECKOUT
from local_triton.ports import free_ports
from tests.services.azure import Account, Azure
from tests.services.azurite import AzuriteQueues

PATIENCE_S = 90.0


def event_grid(
    container: str, blob: str, kind: str = "Microsoft.Storage.BlobCreated", **data: object
) -> dict[str, Any]:
    """An event in Event Grid's own schema."""
    return {
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
        "subject": f"/blobServices/default/containers/{container}/blobs/{blob}",
        "eventType": kind,
        "id": str(uuid.uuid4()),
        "eventTime": "2026-11-29T10:00:00.0000000Z",
        "dataVersion": "",
        "metadataVersion": "1",
        "data": {"api": "PutBlob", "clientRequestId": str(uuid.uuid4()), "blobType": "BlockBlob", **data},
    }


def cloud_event(
    container: str, blob: str, kind: str = "Microsoft.Storage.BlobCreated", **data: object
) -> dict[str, Any]:
    """An event in the schema of CloudEvents 1.0."""
    event = event_grid(container, blob, kind, **data)
    return {
        "specversion": "1.0",
        "source": event["topic"],
        "subject": event["subject"],
        "type": kind,
        "id": event["id"],
        "time": event["eventTime"],
        "data": event["data"],
    }


def encoded(event: object) -> str:
    """A message as Event Grid puts it into a queue."""
    return base64.b64encode(json.dumps(event).encode()).decode()


@dataclass(frozen=True)
class Rig:
    """Containers and queues of their own."""

    azure: Azure
    account: Account
    queue_name: str
    service: QueueServiceClient = field(repr=False)

    @property
    def queue(self) -> QueueClient:
        return self.service.get_queue_client(self.queue_name)

    @property
    def poison(self) -> QueueClient:
        return self.service.get_queue_client(f"{self.queue_name}-poison")

    def environment(self) -> dict[str, str]:
        return {**self.account.environment(), "INTAKE_QUEUE": self.queue_name}

    def land(self, blob: str, audio: bytes, times: int = 1, schema: Any = event_grid) -> None:
        """A blob and its events."""
        self.account.put(blob, audio)
        for _ in range(times):
            self.announce(schema(self.account.container, blob))

    def announce(self, event: object) -> None:
        self.queue.send_message(encoded(event))

    def waiting(self) -> int:
        """Messages in the queue, visible or not."""
        return int(self.queue.get_queue_properties().approximate_message_count or 0)

    def poisoned(self) -> list[dict[str, Any]]:
        """What the poison queue's messages say (the first 32)."""
        return [json.loads(base64.b64decode(item.content)) for item in self.poison.peek_messages(max_messages=32)]

    def all_poisoned(self) -> list[dict[str, Any]]:
        """The same of all of them; nobody else sees them for a while."""
        found = self.poison.receive_messages(messages_per_page=32, visibility_timeout=60)
        return [json.loads(base64.b64decode(item.content)) for item in found]

    def records(self) -> dict[str, dict[str, Any]]:
        """Of Cosmos, by call id."""
        return {str(item["id"]): dict(item) for item in self.azure.items(self.account) if item.get("kind") == "call"}

    def results_written(self) -> dict[str, int]:
        return self.azure.cosmos.results_written(self.account.container)

    def settled(self) -> bool:
        """Whether no message is left in the queue, and each record has its result."""
        return self.waiting() == 0 and all(item["state"] != "received" for item in self.records().values())


class Intake:
    """`python -m frontend intake` as a process."""

    def __init__(self, rig: Rig, triton_url: str, folder: Path, module: str, **more: str) -> None:
        (self.metrics_port,) = free_ports(1)
        self._rig, self._module = rig, module
        self.environment = {**rig.environment(), "TRITON_URL": triton_url, **more}
        self.log = folder / "intake.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self._module, "--metrics-port", str(self.metrics_port)]
            self.process = subprocess.Popen(
                [*command, "--workers", "1", "intake", *options],
                cwd=CHECKOUT,
                env=_environment(self.environment),
                stdout=log,
                stderr=log,
            )

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", trust_env=False).text

    def outcome(self, name: str) -> float:
        (line,) = [line for line in self.metrics().splitlines() if line.startswith(_series(name))]
        return float(line.split()[-1])


def _series(outcome: str) -> str:
    return f'tosia_intake_messages_total{{outcome="{outcome}"}}'


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Without API_KEY: the intake answers no requests."""
    import os

    return {**{name: value for name, value in os.environ.items() if name != "API_KEY"}, **ours}


@contextmanager
def intake(rig: Rig, triton_url: str, folder: Path, module: str = "frontend", **more: str) -> Iterator[Intake]:
    """Not started yet; ended at exit. more: its environment."""
    one = Intake(rig, triton_url, folder, module, **more)
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.process.terminate()
            one.process.wait(PATIENCE_S)


def command(rig: Rig, *options: str) -> subprocess.CompletedProcess[str]:
    """`python -m frontend intake` with options that end at once."""
    return subprocess.run(
        [sys.executable, "-m", "frontend", "intake", *options],
        cwd=CHECKOUT,
        env=_environment({**rig.environment(), "TRITON_URL": "127.0.0.1:1"}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def new_rig(azure: Azure, queues: AzuriteQueues) -> Rig:
    """Empty ones."""
    account = azure.new_containers()
    account = replace(account, blob_connection=queues.connection(account.blob_connection))
    service = QueueServiceClient.from_connection_string(account.blob_connection)
    rig = Rig(azure, account, f"intake-{uuid.uuid4().hex[:12]}", service)
    rig.queue.create_queue()
    rig.poison.create_queue()
    return rig


def wait_until(condition: Any, what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s until {what}"
        time.sleep(0.2)
