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
from frontend.domain.records import State
from frontend.observability.metrics import Metrics
from frontend.stores.opening import Stores
from tests.frontend.calls.test_attempts import LIMITS, Diagnosing, attempts_on, on_stores, received, stored


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
