"""Spans of work that a worker has done: it has no network, so the front end makes them from its times afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping

from frontend.inference.processes import Job
from frontend.observability.tracing import error_type, is_sampled, past_span

# Of `Prepared.timings_ms`, in their order. With two channels a worker does the later ones for each: their sums are laid
# one after the other.
ORDER = ("decode", "resample", "segment", "quality", "mel", "color")


def record_work(job: Job, timings_ms: Mapping[str, float] | None = None, error: BaseException | None = None) -> None:
    """Record a job that has just ended: its wait, its work by the name of its task, and the stages of that.

    timings_ms: of the stages, from the worker; error: why there is no answer
    """
    if not is_sampled():
        return
    clock_ns = time.time_ns() - time.monotonic_ns()  # what turns the monotonic clock into Unix time
    ended_ns, since_ns = time.time_ns(), clock_ns + round(job.since * 1e9)
    failed = None if error is None else error_type(error)
    if job.begun is None:
        past_span("wait_for_worker", since_ns, ended_ns, error=failed)
        return
    begun_ns = clock_ns + round(job.begun * 1e9)
    past_span("wait_for_worker", since_ns, begun_ns)
    work = past_span(job.task.function.__name__, begun_ns, ended_ns, error=failed)
    for stage in ORDER:
        if timings_ms and stage in timings_ms:
            # A worker that was led astray may say any time: none ends after its work.
            stage_ends_ns = round(min(begun_ns + timings_ms[stage] * 1e6, ended_ns))
            past_span(stage, begun_ns, stage_ends_ns, parent=work)
            begun_ns = stage_ends_ns
