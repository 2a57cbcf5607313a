"""The loop that takes up what was accepted and not finished, on a real store; the diagnosis itself stands in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from frontend.calls import reconciler
from frontend.calls.reconciler import Reconciler
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import State, from_now
from frontend.observability.metrics import Metrics
from frontend.stores.opening import Stores
from tests.frontend.calls.test_attempts import LIMITS, Diagnosing, attempts_on, on_stores, received, soon, stored


@dataclass
class Model:
    """As much of ServingModel as the loop asks."""

    available: bool = True


@dataclass
class Troubled:
    """A record store whose first answers are errors; then the real one."""

    records: Any
    errors: list[Exception] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.records, name)

    async def due(self, *args: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return await self.records.due(*args)


class Erased:
    """Attempts at a call that is erased just then; after so many of them the real ones."""

    def __init__(self, attempts: Any, times: int) -> None:
        self._attempts, self.left = attempts, times

    async def claim(self, *args: Any) -> Any:
        if self.left:
            self.left -= 1
            raise CallErased("It was erased.")
        return await self._attempts.claim(*args)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "COUNT_S", 0.0)
    monkeypatch.setattr(reconciler, "FAR_S", 0.0)


async def until(condition: Callable[[], Any], running: Reconciler) -> None:
    """pytest's timeout ends what never comes."""
    task = asyncio.create_task(running.run())
    try:
        while not await condition():
            assert not task.done(), "the loop has ended"
            await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def made(attempts: Any, records: Any, model: Model, metrics: Metrics) -> Reconciler:
    return Reconciler(attempts, records, model, LIMITS, metrics, at_once=2, every_s=0.001)  # type: ignore[arg-type]


def value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name) or 0.0


def test_a_call_that_is_due_is_diagnosed_and_counted(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        metrics, diagnosing = Metrics(), Diagnosing()

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, made(attempts_on(stores, diagnosing), stores.records, Model(), metrics))
        assert diagnosing.count == 1
        assert value(metrics, "tosia_calls_taken_up_total") == 1.0

    on_stores(tmp_path, check)


def test_while_triton_is_away_calls_are_counted_and_left(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        metrics, diagnosing, model = Metrics(), Diagnosing(), Model(available=False)

        async def is_counted() -> bool:
            return value(metrics, "tosia_calls_due") == 1.0

        loop = made(attempts_on(stores, diagnosing), stores.records, model, metrics)
        await until(is_counted, loop)
        assert (diagnosing.count, (await stored(stores)).state) == (0, State.RECEIVED)
        model.available = True

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, loop)

    on_stores(tmp_path, check)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError()], ids=["a store", "a defect"])
def test_no_error_ends_the_loop(tmp_path: Path, error: Exception) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        records = Troubled(stores.records, [error] * 3)

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, made(attempts_on(stores, Diagnosing()), records, Model(), Metrics()))
        assert records.errors == []

    on_stores(tmp_path, check)


def test_a_call_that_is_erased_meanwhile_is_passed_over(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        erased = Erased(attempts_on(stores, Diagnosing()), 2)

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, made(erased, stores.records, Model(), Metrics()))
        assert erased.left == 0

    on_stores(tmp_path, check)


def watching(attempts: Any, records: Any, lease_s: float) -> Reconciler:
    """A reconciler for which the longest lease takes so long."""
    one = made(attempts, records, Model(), Metrics())
    one._longest_lease_s = lease_s
    return one


def test_a_lease_of_before_the_clock_was_set_back_is_taken_over(tmp_path: Path) -> None:
    """It ends a day ahead, and its process has died."""

    async def check(stores: Stores) -> None:
        await received(stores, owner="died", due_at=from_now(86_400.0))
        diagnosing = Diagnosing()

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, watching(attempts_on(stores, diagnosing), stores.records, 0.2))
        assert diagnosing.count == 1

    on_stores(tmp_path, check)


def test_a_lease_far_ahead_that_is_renewed_is_left_to_its_process(tmp_path: Path) -> None:
    """That process' clock is ahead, and it is at work: two that take over from each other would never finish."""

    async def check(stores: Stores) -> None:
        call = await received(stores, owner="ahead", due_at=from_now(86_400.0))
        diagnosing, renewed = Diagnosing(), 0

        async def renewed_often() -> bool:
            nonlocal call, renewed
            renewed += 1
            call = await stores.records.replace(call.record, call.etag, soon())
            return renewed == 100

        loop = watching(attempts_on(stores, diagnosing), stores.records, 60.0)
        await until(renewed_often, loop)
        assert diagnosing.count == 0
        # Only its present version is watched, and counts from when it was seen.
        assert len(loop._far) <= 1

    on_stores(tmp_path, check)


def test_an_outage_is_told_when_it_begins_and_when_it_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        records = Troubled(stores.records, [StoreUnavailable("away")] * 20)

        async def diagnosed() -> bool:
            return (await stored(stores)).state is State.DIAGNOSED

        await until(diagnosed, made(attempts_on(stores, Diagnosing()), records, Model(), Metrics()))

    with caplog.at_level("INFO", "tosia.reconciler"):
        on_stores(tmp_path, check)
    assert [entry.getMessage() for entry in caplog.records] == ["the record store is away", "the record store is back"]
