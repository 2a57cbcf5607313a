"""CPU work in separate processes: decoders, spectra and figures never block the event loop.

A recording that crashes, hangs or fills a decoder ends one worker and fails its own request only. Decoding runs in
caged workers, one for each core; drawing runs in one of its own, which starts with the first figure and gets nothing
but samples.
"""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from typing import Any

from frontend.domain.deadline import Deadline
from frontend.domain.errors import NotReady
from frontend.inference import wire, worker_tasks
from frontend.inference.processes import Job, Loss, Pool
from frontend.inference.wire import Answer, BadAnswer, Kind
from frontend.inference.worker import Bounds
from frontend.inference.worker_spans import record_work
from frontend.inference.worker_tasks import Task, WorkerParameters
from frontend.observability.metrics import Metrics
from runtime.config import Limits, Parameters
from runtime.errors import InferenceTimeout, UndecodableAudio
from runtime.prepare import AudioFile, Prepared

EWMA_ALPHA = 0.1  # the weight of the latest recording in the mean of a worker's time
TOO_LATE = "The deadline passed before the recording was prepared."

_log = logging.getLogger("tosia.workers")


class WorkersClosed(Exception):
    """No workers are running; the call is finished later, or after the next start."""

    code = "internal_error"


class WorkTimeout(Exception):
    """The work took longer than a worker may take; it may succeed on a less busy machine."""

    code = "preparation_timeout"


class WorkerDefect(Exception):
    """A worker raised what it should not; its log line says where."""


class Workers:
    """The worker processes. They use the parameters that were checked against the model; later changes of config.yml
    have no effect.
    """

    def __init__(self, count: int, parameters: Parameters, limits: Limits, metrics: Metrics) -> None:
        """Start nothing yet. count: of the workers that decode."""
        self._count = count
        self._limits = limits
        self._metrics = metrics
        self._parameters = WorkerParameters.of(parameters, limits)
        self._decoding = self._pool(count, caged=True)
        self._drawing = self._pool(1, caged=False)
        self._draws = False
        self._mean_s = 0.0  # exponentially weighted mean of a worker's time per recording

    @property
    def waiting(self) -> int:
        """Count the recordings and figures that wait for a worker."""
        return self._decoding.waiting + self._drawing.waiting

    @property
    def timeout_s(self) -> float:
        """Return after how many seconds of work a worker is ended."""
        return self._limits.worker_timeout_s

    @property
    def stuck_s(self) -> float:
        """Return for how many seconds work has waited while none has ended."""
        return max(self._decoding.stuck_s, self._drawing.stuck_s)

    def wait_s(self, n: int) -> float:
        """Estimate a recording's wait behind those in work and n more, from the workers' latest times."""
        before = self._decoding.in_work + self._decoding.waiting + n
        return max(0, before - self._count + 1) * self._mean_s / self._count

    async def start(self) -> None:
        """Start the workers that decode; return when each has finished its imports. Raises: OSError, TimeoutError."""
        await self._decoding.start()

    async def prepare(
        self, audio: AudioFile, deadline: Deadline, parameters: WorkerParameters | None = None
    ) -> Prepared:
        """Run `runtime.prepare.prepare_file` in a worker. parameters: of a release other than this pool's.

        Raises: AudioError; WorkTimeout; WorkersClosed; InferenceTimeout at the deadline; WorkerDefect.
        """
        parameters = parameters or self._parameters
        task = Task(worker_tasks.prepare, audio.data, (audio.sha256, audio.container))
        job, answer = await self._run(self._decoding, task, deadline, parameters)
        try:
            prepared = wire.to_prepared(answer, audio.sha256, parameters.sha256, parameters.preprocess)
        except BadAnswer as error:
            raise _untrusted(job) from error
        record_work(job, prepared.timings_ms)
        worked_s = sum(prepared.timings_ms.values()) / 1000.0
        self._mean_s += (worked_s - self._mean_s) * EWMA_ALPHA
        return prepared

    async def sound(self, audio: AudioFile, diagnosis: dict[str, Any], deadline: Deadline) -> bytes:
        """Return the diagnosed channel as WAV. Raises: NotReady; AudioError; WorkerDefect."""
        task = Task(worker_tasks.diagnosed_channel, audio.data, (diagnosis, audio.container))
        return await self._render(self._decoding, task, deadline)

    async def figure(self, audio: AudioFile, diagnosis: dict[str, Any], language: str, deadline: Deadline) -> bytes:
        """Draw a recording and its diagnosis as PNG. Raises: as `sound`."""
        return await self._draw(audio, diagnosis, worker_tasks.draw_figure, language, deadline)

    async def segment_figure(self, audio: AudioFile, diagnosis: dict[str, Any], n: int, deadline: Deadline) -> bytes:
        """Draw one candidate's spectrogram as PNG. Raises: as `sound`."""
        return await self._draw(audio, diagnosis, worker_tasks.draw_segment, n, deadline)

    async def close(self) -> None:
        """Stop running work; calls in work stay `received` and are finished after the next start."""
        await asyncio.gather(self._decoding.close(), self._drawing.close())

    async def _draw(
        self,
        audio: AudioFile,
        diagnosis: dict[str, Any],
        function: worker_tasks.Function,
        what: str | int,
        deadline: Deadline,
    ) -> bytes:
        task = Task(worker_tasks.diagnosed_samples, audio.data, (diagnosis, audio.container))
        samples = await self._render(self._decoding, task, deadline)
        if not self._draws:
            self._draws = True
            self._drawing.start_soon()
        return await self._render(self._drawing, Task(function, samples, (diagnosis, what)), deadline)

    async def _render(self, pool: Pool, task: Task, deadline: Deadline) -> bytes:
        try:
            job, answer = await self._run(pool, task, deadline, self._parameters)
        except (WorkTimeout, WorkersClosed, InferenceTimeout) as error:
            raise NotReady("not_rendered") from error
        record_work(job)
        return answer.data

    async def _run(
        self, pool: Pool, task: Task, deadline: Deadline, parameters: WorkerParameters
    ) -> tuple[Job, Answer]:
        """Run a task and return its answer, whose content is not checked yet.

        Raises: AudioError; WorkTimeout; WorkersClosed; InferenceTimeout at the deadline; WorkerDefect.
        """
        if deadline.passed:
            raise InferenceTimeout(TOO_LATE)
        job = pool.submit(task, parameters)
        # Not `asyncio.wait`, which takes another turn of the event loop.
        late = asyncio.get_running_loop().call_at(deadline.at, _end_late, job)
        try:
            outcome = await job.ended
        except BaseException as error:  # too late, or nobody waits any more
            pool.withdraw(job)
            record_work(job, error=error)
            raise
        finally:
            late.cancel()
        if not isinstance(outcome, Loss) and outcome.kind is Kind.DONE:
            return job, outcome
        failure = _lost(outcome) if isinstance(outcome, Loss) else _failure(job, outcome)
        record_work(job, error=failure)
        raise failure

    def _pool(self, count: int, *, caged: bool) -> Pool:
        limits, metrics = self._limits, self._metrics
        return Pool(
            count,
            Bounds(limits.worker_memory_bytes, limits.worker_cpu_s, caged),
            limits.worker_timeout_s,
            wire.most_data_bytes(limits.max_duration_s),
            on_begin=partial(metrics.observe_stage, "wait_for_worker"),
            on_loss=lambda loss: metrics.worker_restarts.labels(loss.value).inc(),
        )


def _failure(job: Job, answer: Answer) -> Exception:
    """Return the error in a worker's answer."""
    if answer.kind is Kind.DEFECT:
        _log.error("a task failed in a worker: %s", " ".join(_said(answer.facts)))
        return WorkerDefect()
    try:
        return wire.to_refusal(answer)
    except BadAnswer:
        return _untrusted(job)


def _end_late(job: Job) -> None:
    if not job.ended.done():
        job.ended.set_exception(InferenceTimeout(TOO_LATE))


def _lost(loss: Loss) -> Exception:
    if loss is Loss.TIMEOUT:
        return WorkTimeout()
    if loss is Loss.CLOSED:
        return WorkersClosed()
    # The rest is the recording's doing, and another attempt would end like this one.
    if loss is Loss.CPU:
        return UndecodableAudio("decoder_too_slow")
    if loss is Loss.MEMORY:
        return UndecodableAudio("decoder_too_large")
    return UndecodableAudio("decoder_died")


def _untrusted(job: Job) -> UndecodableAudio:
    """End a worker whose answer can't come from our code, and return the error for the recording that it read."""
    if job.worker is not None:
        job.worker.end(Loss.DIED)
    return UndecodableAudio("decoder_died")


def _said(facts: bytes) -> list[str]:
    """Return where a task failed; a worker that was led astray might say anything."""
    try:
        places = json.loads(facts)
    except (ValueError, RecursionError):
        return []
    return [str(place)[:200] for place in places[:50]] if isinstance(places, list) else []
