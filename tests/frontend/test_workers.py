"""How long a recording would wait for a worker, which admission goes by."""

from __future__ import annotations

import asyncio

import pytest

from frontend.domain.deadline import Deadline
from frontend.inference.workers import Workers
from frontend.observability.metrics import Metrics
from runtime.config import ROOT, load_config, load_limits

NOTE = (ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()


def test_the_wait_is_that_behind_who_is_there_and_nothing_beside_an_idle_worker() -> None:
    async def check() -> None:
        workers = Workers(2, load_config(), load_limits()[1], Metrics())
        try:
            await workers.start()
            assert workers.wait_s(1000) == 0.0  # nothing is known yet, and nobody is refused for that
            await workers.prepare(NOTE, Deadline.after(30.0))
            each_s = workers.wait_s(2) * 2  # one more than there are workers waits for one of them
            assert 0.0 < each_s < 30.0
            assert workers.wait_s(0) == workers.wait_s(1) == 0.0
            assert workers.wait_s(5) == pytest.approx(4 * each_s / 2)
            busy = [asyncio.create_task(workers.prepare(NOTE, Deadline.after(30.0))) for _ in range(7)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert workers.wait_s(0) == pytest.approx(6 * each_s / 2)  # 4 of them with the workers, 3 waiting
            assert workers.waiting == 3
            await asyncio.gather(*busy)
            assert workers.wait_s(0) == 0.0
        finally:
            await workers.close()

    asyncio.run(check())
