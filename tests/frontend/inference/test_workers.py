"""Worker processes: how long a recording would wait for one, and which parameters they know."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from frontend.domain.deadline import Deadline
from frontend.inference.worker import task_head
from frontend.inference.worker_tasks import WorkerParameters
from frontend.inference.workers import Workers
from frontend.observability.metrics import Metrics
from runtime.config import ROOT, load_config, load_limits, parameters_sha256
from runtime.prepare import AudioFile

NOTE = AudioFile.of((ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes())


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
            assert workers.wait_s(0) == pytest.approx(6 * each_s / 2)  # 2 of them with the workers, 5 waiting
            assert workers.waiting == 5
            await asyncio.gather(*busy)
            assert workers.wait_s(0) == 0.0
        finally:
            await workers.close()

    asyncio.run(check())


def test_a_second_release_is_prepared_with_parameters_of_its_own_beside_the_first() -> None:
    async def check() -> None:
        first, (_, limits) = load_config(), load_limits()
        second = (first[0], replace(first[1], n_mels=32), first[2])
        workers = Workers(1, first, limits, Metrics())
        try:
            await workers.start()
            for _ in range(2):  # in turns: a worker keeps both
                ours = await workers.prepare(NOTE, Deadline.after(30.0))
                others = await workers.prepare(NOTE, Deadline.after(30.0), WorkerParameters.of(second, limits))
                assert ours.spectrograms.shape[1:] == (64, 96)
                assert others.spectrograms.shape[1:] == (32, 96)
                assert ours.preprocess_sha256 == parameters_sha256(*first)
                assert others.preprocess_sha256 == parameters_sha256(*second)
        finally:
            await workers.close()

    asyncio.run(check())


def test_parameters_go_to_a_worker_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task names them by their digest, but for the first whose worker does not know them."""
    told: list[bool] = []

    def noted(*arguments: Any) -> bytes:
        told.append(arguments[3] is not None)
        return task_head(*arguments)

    monkeypatch.setattr("frontend.inference.processes.task_head", noted)

    async def check() -> None:
        first, (_, limits) = load_config(), load_limits()
        other = WorkerParameters.of((first[0], replace(first[1], n_mels=32), first[2]), limits)
        workers = Workers(1, first, limits, Metrics())
        try:
            await workers.start()
            for parameters in (None, None, other, other, None):
                await workers.prepare(NOTE, Deadline.after(30.0), parameters)
        finally:
            await workers.close()

    asyncio.run(check())
    assert told == [True, False, True, False, False]
