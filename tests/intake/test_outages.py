"""The intake while a store or a queue is away, missing, or refuses us. The real queue, blobs and Cosmos server; between
the last and us stands a proxy that can refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frontend.adapters.intake import consumer
from frontend.adapters.intake.consumer import Consumer
from frontend.adapters.intake.queue import IntakeQueues
from frontend.calls.call_service import Calls
from frontend.configuration.settings import IntakeSettings
from frontend.configuration.tuning import image_tuning
from frontend.domain.deadline import Deadline
from frontend.observability.metrics import Metrics
from frontend.stores.opening import open_stores
from laptop.service import Service
from tests.frontend.settings import azure_settings
from tests.intake.rig import Rig, command, event_grid, intake, wait_until
from tests.services.http_proxy import HttpProxy, Refuse

pytestmark = pytest.mark.timeout(300)
FAST = {"TOSIA_INTAKE__POLL_S": "0.2", "TOSIA_INTAKE__RETRY_PAUSE_S": "0"}


def consuming(rig: Rig, cosmos_port: int, check: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a consumer without a model while the check does; every call is erased, so none is diagnosed."""

    async def run() -> None:
        from pydantic import SecretStr

        stores = open_stores(azure_settings(rig.account.behind(rig.azure.azurite, cosmos_port=cosmos_port)), 30)
        limits = replace(image_tuning().intake, poll_s=0.1)
        queues = IntakeQueues(IntakeSettings(rig.queue_name, SecretStr(rig.account.blob_connection), "", None), None)
        metrics = Metrics()
        no_attempts: Any = SimpleNamespace()
        calls = Calls(stores.audio, stores.records, no_attempts, image_tuning().limits, metrics)
        one = Consumer(
            queues,
            calls,
            limits,
            metrics,
            container=rig.account.container,
            key_name=None,
            available=lambda: True,
            at_once=4,
            call_s=5.0,
        )
        stop = asyncio.Event()
        working = asyncio.create_task(one.run(stop))
        try:
            await check(stop)
        finally:
            stop.set()
            await working
            await queues.close()
            await stores.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def erased_calls(rig: Rig, *call_ids: str) -> None:
    """Tombstones, so that the record store says what is to be done."""

    async def run() -> None:
        stores = open_stores(azure_settings(rig.account), 30)
        for call_id in call_ids:
            await stores.records.erase(call_id, without_record=True, deadline=Deadline.after(30.0))
        await stores.close()

    asyncio.run(run())


def test_an_outage_counts_no_receive_however_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "MAX_RECEIVES", 2)
    monkeypatch.setattr(consumer, "OUTAGE_PAUSE_S", 0.0)
    monkeypatch.setattr(consumer, "MAX_PAUSE_S", 0.1)
    erased_calls(rig, "late")
    with HttpProxy(rig.azure.cosmos.port, lambda _: Refuse()) as cosmos:
        rig.announce(event_grid(rig.account.container, "late.ogg"))

        async def check(stop: asyncio.Event) -> None:
            await until(lambda: _receives(rig) > 4, "it was received more often than that")
            assert rig.poisoned() == []
            cosmos.rule = lambda _: None
            await until(lambda: rig.waiting() == 0, "it is worked on")

        consuming(rig, cosmos.port, check)
    assert rig.poisoned() == []


def test_one_outage_makes_one_pause_however_many_messages_meet_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real = consumer._either

    async def noted(stop: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        await real(stop, seconds)

    monkeypatch.setattr(consumer, "_either", noted)
    monkeypatch.setattr(consumer, "OUTAGE_PAUSE_S", 0.0)
    names = [f"short-{n}" for n in range(4)]
    erased_calls(rig, *names)
    with HttpProxy(rig.azure.cosmos.port, lambda _: Refuse()) as cosmos:
        for name in names:
            rig.announce(event_grid(rig.account.container, f"{name}.ogg"))

        async def check(stop: asyncio.Event) -> None:
            await until(lambda: max(waits, default=0.0) > 0.5, "it pauses")
            cosmos.rule = lambda _: None
            await until(lambda: rig.waiting() == 0, "all are worked on")

        consuming(rig, cosmos.port, check)
    assert max(waits) <= 1.0


def _receives(rig: Rig) -> int:
    return max((int(item.dequeue_count or 0) for item in rig.queue.peek_messages(max_messages=2)), default=0)


def test_a_missing_queue_and_a_wrong_key_are_told(rig: Rig, service: Service, tmp_path: Path) -> None:
    rig.poison.delete_queue()
    found = command(rig, "--list-poison")
    assert (found.returncode, "Traceback" in found.stderr) == (1, False)
    assert "check that both are there" in found.stderr
    connection = rig.account.blob_connection
    key = connection.partition("AccountKey=")[2].partition(";")[0]
    refused = replace(rig, account=replace(rig.account, blob_connection=connection.replace(key, "bm8ga2V5")))
    found = command(refused, "--list-poison")
    assert (found.returncode, "Traceback" in found.stderr) == (1, False)
    assert "refuses this service's identity or key" in found.stderr
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.announce(event_grid(rig.account.container, "-no-call.ogg"))
        wait_until(lambda: "check that both are there" in one.log.read_text(), "it is told")
        assert rig.waiting() == 1
        rig.poison.create_queue()
        wait_until(lambda: rig.poisoned() != [], "it is given up")
