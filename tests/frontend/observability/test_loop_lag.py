"""A loop that is held is seen to be late."""

from __future__ import annotations

import asyncio
import contextlib
import time

from frontend.observability.loop_lag import EVERY_S, watch_lag
from frontend.observability.metrics import Metrics

HELD_S = 0.3


def observed(metrics: Metrics, what: str) -> float:
    return metrics.registry.get_sample_value(f"tosia_event_loop_lag_seconds_{what}") or 0.0


def test_a_stall_counts_as_often_as_it_would_have_been_seen() -> None:
    metrics = Metrics()

    async def check() -> None:
        watching = asyncio.create_task(watch_lag(metrics.loop_lag))
        await asyncio.sleep(0)  # it waits now
        time.sleep(HELD_S)  # noqa: ASYNC251 - what no code here may do
        await asyncio.sleep(0.01)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    asyncio.run(check())
    times = (HELD_S - EVERY_S) / EVERY_S
    assert observed(metrics, "count") >= times
    # HELD_S - EVERY_S, and the same less EVERY_S, and so on
    assert observed(metrics, "sum") >= times * (times - 1) / 2 * EVERY_S
