"""Answered calls wait within bounds, and what finds no place is dropped and counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from frontend.domain.records import CallRecord, State, StoredAudio, now
from frontend.observability.metrics import Metrics
from frontend.rollout.backlog import Answered, Backlog
from runtime.config import ROOT, load_config, load_limits
from runtime.prepare import AudioFile, prepare

NOTE = (ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()
PREPARED = prepare(NOTE, *load_config(), load_limits()[1].decode)
AUDIO = StoredAudio("calls/a/b", "b", 1, "audio/ogg")
RECORD = CallRecord("a", State.DIAGNOSED, now(), now(), 1, None, AUDIO, {"status": "ok"})
CALL = Answered(RECORD, PREPARED, AudioFile.of(NOTE), 1)


def dropped(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("tosia_rollout_dropped_total") or 0.0


async def nothing(_: Answered) -> None:
    pass


def test_bounds_in_calls_and_in_bytes() -> None:
    async def test() -> None:
        metrics = Metrics()
        backlog = Backlog(nothing, 3, 1 << 30, metrics)
        for _ in range(5):
            backlog.add(CALL)
        assert (backlog.calls, dropped(metrics)) == (3, 2)
        metrics = Metrics()
        backlog = Backlog(nothing, 100, 2 * CALL.bytes + 1, metrics)
        for _ in range(5):
            backlog.add(CALL)
        assert (backlog.calls, dropped(metrics)) == (2, 3)
        backlog.clear()
        assert (backlog.calls, dropped(metrics)) == (0, 5)
        backlog.add(CALL)
        assert backlog.calls == 1

    asyncio.run(test())


def test_what_is_held_is_counted() -> None:
    assert CALL.bytes == PREPARED.spectrograms.nbytes + len(NOTE)
    assert replace(CALL, audio=None).bytes == PREPARED.spectrograms.nbytes
    assert np.prod(PREPARED.spectrograms.shape) == PREPARED.spectrograms.nbytes


def test_a_defect_costs_one_call_and_the_room_comes_back() -> None:
    async def test() -> None:
        metrics, done, worked = Metrics(), [], asyncio.Event()

        async def work(call: Answered) -> None:
            done.append(call)
            worked.set()
            if len(done) == 1:
                raise ValueError

        backlog = Backlog(work, 2, 1 << 30, metrics)
        running = asyncio.create_task(backlog.run())
        for _ in range(4):
            worked.clear()
            backlog.add(CALL)
            await worked.wait()
        assert (len(done), backlog.calls, dropped(metrics)) == (4, 0, 1)
        running.cancel()
        await running

    asyncio.run(test())
