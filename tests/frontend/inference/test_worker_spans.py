"""Spans from a worker's times, which a worker that was led astray may invent."""

from __future__ import annotations

import asyncio
import time

import pytest

from frontend.domain.trace_settings import TraceSettings
from frontend.inference import worker_tasks
from frontend.inference.processes import Job
from frontend.inference.worker_spans import ORDER, record_work
from frontend.inference.worker_tasks import Task, WorkerParameters
from frontend.inference.workers import WorkTimeout
from frontend.observability.metrics import Metrics
from frontend.observability.span_export import open_tracing
from runtime.config import load_config, load_limits
from runtime.prepare import STAGES
from tests.services.otlp import ReceivedSpan, collector


def spans_of(begun: bool, timings_ms: dict[str, float] | None, error: Exception | None = None) -> list[ReceivedSpan]:
    """A job that came 3 s ago and that a worker got 2 s ago."""

    async def record() -> None:
        tracing = open_tracing(TraceSettings(f"{traces.url}/v1/traces"), Metrics())
        task = Task(worker_tasks.prepare, b"")
        job = Job(task, WorkerParameters.of(load_config(), load_limits()[1]), asyncio.Future())
        job.since = time.monotonic() - 3.0
        job.begun = job.since + 1.0 if begun else None
        with tracing.request("POST", [], traced=True):
            record_work(job, timings_ms, error)
        await tracing.close()

    with collector() as traces:
        asyncio.run(record())
        return [span for span in traces.spans if span.name != "POST"]


def test_the_stages_are_the_workers() -> None:
    assert frozenset(ORDER) == STAGES


def test_stages_lie_one_after_the_other_from_where_the_worker_began() -> None:
    wait, work, *stages = spans_of(True, {"mel": 300.0, "decode": 500.0})
    assert (wait.name, work.name, [span.name for span in stages]) == ("wait_for_worker", "prepare", ["decode", "mel"])
    assert {span.parent_id for span in stages} == {work.span_id}
    assert (wait.ended - wait.begun) / 1e9 == pytest.approx(1.0, abs=1e-6)  # clocks of one process, to the microsecond
    assert wait.ended == work.begun == stages[0].begun
    assert [span.ended - span.begun for span in stages] == pytest.approx([500e6, 300e6], abs=1e3)
    assert stages[0].ended == stages[1].begun
    assert abs(work.ended - time.time_ns()) < 60e9  # Unix time


@pytest.mark.parametrize("invented", [1e5, 1e300])
def test_no_stage_ends_after_its_work(invented: float) -> None:
    _, work, decode, mel = spans_of(True, {"decode": invented, "mel": 1.0})
    assert work.begun == decode.begun
    assert decode.ended == mel.begun == mel.ended == work.ended


def test_work_that_failed_names_its_error() -> None:
    wait, work = spans_of(True, None, WorkTimeout())
    assert (wait.failed, work.failed, work.attributes) == (False, True, {"error.type": "preparation_timeout"})


def test_work_that_no_worker_got_is_a_wait() -> None:
    (wait,) = spans_of(False, None, WorkTimeout())
    assert (wait.name, wait.failed) == ("wait_for_worker", True)
    assert (wait.ended - wait.begun) / 1e9 >= 3.0
