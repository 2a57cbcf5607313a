"""CPU work in separate processes: librosa, decoders and figures never block the event loop.

A recording that crashes or hangs a decoder ends one worker and fails its own request only; pebble starts a new worker.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from frontend.domain.deadline import Deadline
from frontend.domain.errors import NotReady
from frontend.inference.fork_server import forking_context
from frontend.inference.worker_tasks import (
    Task,
    UnknownParameters,
    WorkerParameters,
    learn,
    run_task,
    wait_a_moment,
)
from frontend.observability.metrics import Metrics
from runtime.config import Limits, Parameters
from runtime.errors import InferenceTimeout, UndecodableAudio
from runtime.prepare import AudioFile, Prepared, prepare_file

START_S = 120.0
SLOTS_PER_WORKER = 2  # one running task and one waiting task
EWMA_ALPHA = 0.1  # the weight of the latest recording in the mean of a worker's time
TOO_LATE = "The deadline passed before the recording was prepared."

Answer = TypeVar("Answer")

_log = logging.getLogger("tosia.workers")


class WorkersClosed(Exception):
    """No workers are running; the call is finished later, or after the next start."""

    code = "internal_error"


class WorkTimeout(Exception):
    """The work took longer than a worker may take; it may succeed on a less busy machine."""

    code = "preparation_timeout"


class _WorkerDied(Exception):
    """The work ended a worker."""


class Workers:
    """A pool of worker processes. They use the parameters that were checked against the model; later changes of
    config.yml have no effect.
    """

    def __init__(self, count: int, parameters: Parameters, limits: Limits, metrics: Metrics) -> None:
        self._count = count
        self._limits = limits
        self._metrics = metrics
        self._parameters = WorkerParameters.of(parameters, limits)
        self._pool = self._new_pool()
        self._slots = asyncio.Semaphore(SLOTS_PER_WORKER * count)
        self._waiting = 0
        self._in_work = 0
        self._mean_s = 0.0  # exponentially weighted mean of a worker's time per recording
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Count the recordings and figures that wait for a worker."""
        return self._waiting

    def wait_s(self, n: int) -> float:
        """Estimate a recording's wait behind those in work and n more, from the workers' latest times."""
        before = self._in_work + self._waiting + n
        return max(0, before - self._count + 1) * self._mean_s / self._count

    async def start(self) -> None:
        """Start the workers; return when every worker has finished its imports."""
        task = (wait_a_moment, self._parameters.sha256, None)
        tasks = [self._pool.schedule(run_task, args=task, timeout=START_S) for _ in range(self._count)]
        await asyncio.gather(*map(asyncio.wrap_future, tasks))

    async def prepare(
        self, audio: AudioFile, deadline: Deadline, parameters: WorkerParameters | None = None
    ) -> Prepared:
        """Run `runtime.prepare.prepare_file` in a worker. parameters: of a release other than this pool's.

        Raises: AudioError; WorkTimeout; WorkersClosed; InferenceTimeout at the deadline."""
        try:
            prepared = await self._run(partial(prepare_file, audio), deadline, parameters)
        except _WorkerDied as error:
            raise UndecodableAudio("decoder_died") from error
        worked_s = sum(prepared.timings_ms.values()) / 1000.0
        self._mean_s += (worked_s - self._mean_s) * EWMA_ALPHA
        return prepared

    async def render(self, task: Task[bytes], deadline: Deadline) -> bytes:
        """Run a task of `worker_tasks` that makes a picture or a sound. Raises: NotReady; the task's own errors."""
        try:
            return await self._run(task, deadline)
        except (_WorkerDied, WorkTimeout, WorkersClosed, InferenceTimeout) as error:
            raise NotReady("not_rendered") from error

    async def close(self) -> None:
        """Stop running work; calls in work stay `received` and are finished after the next start."""
        self._closed = True
        await asyncio.gather(_end(self._pool), *self._ending)

    async def _run(self, task: Task[Answer], deadline: Deadline, parameters: WorkerParameters | None = None) -> Answer:
        """Run a task and return its result.

        Raises: as `_attempt`; WorkersClosed; _WorkerDied where it ended two workers.
        """
        parameters = parameters or self._parameters
        died, told = False, False
        # One retry if a worker died: another process may have caused it (memory), and a good recording must not fail
        # for it. One retry if the worker lacks the parameters, and one if the pool had broken.
        for _ in range(4):
            try:
                return await self._attempt(task, parameters, told, deadline)
            except UnknownParameters:
                told = True
            except BrokenProcessPool:
                self._replace_broken_pool()
            except _WorkerDied:
                if died:
                    raise
                died = True
        if died:
            raise _WorkerDied
        raise WorkersClosed("The workers can't be started.")

    async def _attempt(
        self, task: Task[Answer], parameters: WorkerParameters, tell: bool, deadline: Deadline
    ) -> Answer:
        """Wait for a worker, then for the result. Tasks wait here and not in pebble's queue: a task in that queue
        can't be cancelled without ending a worker.

        Work that is running at the deadline continues to its end or its timeout, and its result is dropped: stopping it
        would end the worker. Raises: InferenceTimeout at the deadline; WorkTimeout; BrokenProcessPool; _WorkerDied;
        UnknownParameters; the task's own errors.
        """
        self._waiting += 1
        try:
            with self._metrics.stages.labels("wait_for_worker").time():
                async with asyncio.timeout_at(deadline.at):
                    await self._slots.acquire()
        except TimeoutError as error:
            raise InferenceTimeout(TOO_LATE) from error
        finally:
            self._waiting -= 1
        try:
            scheduled: ProcessFuture[Answer] = self._pool.schedule(
                run_task,
                args=(task, parameters.sha256, parameters if tell else None),
                timeout=self._limits.worker_timeout_s,
            )
        except RuntimeError as error:  # the pool broke or was stopped
            self._slots.release()
            raise BrokenProcessPool from error
        self._in_work += 1
        working = asyncio.wrap_future(scheduled)
        working.add_done_callback(self._done)
        done, _ = await asyncio.wait({working}, timeout=deadline.remaining_s)
        if not done:
            raise InferenceTimeout(TOO_LATE)
        try:
            return working.result()
        except ProcessExpired as error:
            raise _WorkerDied from error
        except TimeoutError as error:
            raise WorkTimeout from error
        except asyncio.CancelledError as error:  # the pool was stopped
            raise BrokenProcessPool from error

    def _done(self, working: asyncio.Future[Answer]) -> None:
        """Record the end of a task, even if its request no longer waits for it."""
        self._in_work -= 1
        self._slots.release()
        error = None if working.cancelled() else working.exception()
        if isinstance(error, ProcessExpired):
            _log.warning("a worker died")
            self._metrics.worker_restarts.labels("died").inc()
        elif isinstance(error, TimeoutError):
            _log.warning("a worker took too long and was ended")
            self._metrics.worker_restarts.labels("timeout").inc()

    def _replace_broken_pool(self) -> None:
        """Pebble stops working for good when a worker is killed while all are idle. Raises: WorkersClosed."""
        if self._closed:
            raise WorkersClosed("The service is shutting down.")
        if not self._pool.active:  # another task may have replaced it
            _log.warning("the pool of workers broke and is replaced")
            self._metrics.worker_restarts.labels("pool").inc()
            task = asyncio.create_task(_end(self._pool))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(self._count, context=forking_context(), initializer=learn, initargs=(self._parameters,))


async def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    await asyncio.to_thread(pool.join)
