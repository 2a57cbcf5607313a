"""CPU work in processes of its own: librosa, decoders and figures never touch the event loop.

A recording that crashes or hangs a decoder ends a worker and costs its own request; pebble starts another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from frontend.domain.deadline import Deadline
from frontend.domain.errors import NotReady
from frontend.inference.fork_server import forking_context
from frontend.observability.metrics import Metrics
from runtime.config import Limits
from runtime.diagnosis import diagnosis_from_dict
from runtime.errors import InferenceTimeout, UndecodableAudio
from runtime.figures.playback import channel_wav
from runtime.prepare import Prepared, prepare

_log = logging.getLogger("tosia.workers")

Parameters = tuple[Any, Any, Any]  # as `runtime.load_config` returns them


class WorkersClosed(Exception):
    """There are no workers now; the call is finished later, or after the next start."""


class WorkTimeout(Exception):
    """The work took longer than a worker may take; on a machine with less to do it may succeed."""


class _WorkerDied(Exception):
    """The work ended two workers."""


class Workers:
    """A pool of processes that work with the parameters that were checked against the model, whatever config.yml says
    later.
    """

    def __init__(self, count: int, params: Parameters, limits: Limits, metrics: Metrics) -> None:
        self._count = count
        self._metrics = metrics
        self._mean_s = 0.0  # of a worker's time for one recording, lately
        self._waiting = 0
        self._in_work = 0
        self._params = params
        self._limits = limits
        self._pool = self._new_pool()
        self._slots = asyncio.Semaphore(2 * count)  # one in work and one at hand for each worker
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many recordings and figures wait for a worker."""
        return self._waiting

    def wait_s(self, n: int) -> float:
        """How long a recording would wait behind those in work and n more, going by those that were prepared lately."""
        before = self._in_work + self._waiting + n
        return max(0, before - self._count + 1) * self._mean_s / self._count

    async def start(self) -> None:
        """Returns when every worker has imported what it needs."""
        futures = [self._pool.schedule(_wait_a_moment, timeout=120.0) for _ in range(self._count)]
        await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))

    async def prepare(self, data: bytes, deadline: Deadline) -> Prepared:
        """`runtime.prepare.prepare`.

        Raises: AudioError; WorkTimeout; WorkersClosed; InferenceTimeout at the deadline.
        """
        try:
            answer: Prepared = await self._run(_prepare, data, deadline=deadline)
        except _WorkerDied as error:
            raise UndecodableAudio("The file can't be decoded: record again and send the whole file.") from error
        worked_s = sum(answer.timings_ms.values()) / 1000.0
        self._mean_s += (worked_s - self._mean_s) * _LATELY
        return answer

    async def draw_figure(self, data: bytes, diagnosis: dict[str, Any], language: str, deadline: Deadline) -> bytes:
        """PNG; language: of `runtime.figures.labels`. Raises: NotReady."""
        return await self._make(_draw_figure, data, diagnosis, language, deadline=deadline)

    async def draw_segment(self, data: bytes, diagnosis: dict[str, Any], n: int, deadline: Deadline) -> bytes:
        """PNG. Raises: IndexError; NotReady."""
        return await self._make(_draw_segment, data, diagnosis, n, deadline=deadline)

    async def to_wav(self, data: bytes, diagnosis: dict[str, Any], deadline: Deadline) -> bytes:
        """WAV of the channel that was diagnosed. Raises: NotReady."""
        return await self._make(_to_wav, data, diagnosis, deadline=deadline)

    async def close(self) -> None:
        """Running work is ended; calls in work stay `received` and are finished after the next start."""
        self._closed = True
        await asyncio.gather(_end(self._pool), *self._ending)

    async def _make(self, function: Any, *arguments: Any, deadline: Deadline) -> bytes:
        try:
            made: bytes = await self._run(function, *arguments, deadline=deadline)
        except (_WorkerDied, WorkTimeout, WorkersClosed, InferenceTimeout) as error:
            raise NotReady("The figure or the sound can't be made now: try again.") from error
        return made

    async def _run(self, function: Any, *arguments: Any, deadline: Deadline) -> Any:
        # Once more where a worker died: others may have killed it (memory), and a good recording must not pay for that.
        died = False
        for _ in range(2):
            await self._take_slot(deadline)
            try:
                future = self._usable_pool().schedule(
                    function, args=(*arguments, self._params, self._limits), timeout=self._limits.worker_timeout_s
                )
            except RuntimeError:  # broken since we looked
                self._slots.release()
                continue
            except WorkersClosed:
                self._slots.release()
                raise
            try:
                return await self._result_by(future, deadline)
            except BrokenProcessPool:
                continue
            except ProcessExpired:
                died = True
            except TimeoutError as error:
                raise WorkTimeout from error
            except asyncio.CancelledError as error:  # of this task, or of the work because the pool was stopped
                if not self._closed:
                    raise
                raise WorkersClosed("The service is shutting down.") from error
        if died:
            raise _WorkerDied
        raise WorkersClosed("The workers can't be started.")

    async def _take_slot(self, deadline: Deadline) -> None:
        """Wait here for a worker, not in pebble's queue: what waits there can't be taken back without ending a worker.

        Raises: InferenceTimeout at the deadline.
        """
        self._waiting += 1
        try:
            with self._metrics.timed("wait_for_worker"):
                async with asyncio.timeout_at(deadline.at):
                    await self._slots.acquire()
        except TimeoutError as error:
            raise InferenceTimeout(_TOO_LATE) from error
        finally:
            self._waiting -= 1

    async def _result_by(self, future: ProcessFuture[Any], deadline: Deadline) -> Any:
        """Raises: InferenceTimeout at the deadline, and whatever the work raises.

        Work that has begun by then goes on to its end or its timeout, and its result is dropped: to stop it would cost
        the worker.
        """
        self._in_work += 1
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(self._done)
        done, _ = await asyncio.wait({waiting}, timeout=deadline.remaining_s)
        if not done:
            raise InferenceTimeout(_TOO_LATE)
        return waiting.result()

    def _done(self, future: asyncio.Future[Any]) -> None:
        """Also where nobody waits for it any more."""
        self._in_work -= 1
        self._slots.release()
        error = None if future.cancelled() else future.exception()
        if isinstance(error, ProcessExpired):
            _log.warning("a worker died")
            self._metrics.worker_restarts.labels("died").inc()
        elif isinstance(error, TimeoutError):
            _log.warning("a worker took too long and was ended")
            self._metrics.worker_restarts.labels("timeout").inc()

    def _usable_pool(self) -> ProcessPool:
        """The pool, or a new one: pebble gives up for good when a worker is killed while none has work.

        Raises: WorkersClosed.
        """
        if self._closed:
            raise WorkersClosed("The service is shutting down.")
        if not self._pool.active:
            _log.warning("the pool of workers broke and is replaced")
            self._metrics.worker_restarts.labels("pool").inc()
            task = asyncio.create_task(_end(self._pool))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            self._pool = self._new_pool()
        return self._pool

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(self._count, context=forking_context())


_LATELY = 0.1  # the weight of the latest recording in the mean
_TOO_LATE = "The deadline passed before the recording was prepared."


async def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    await asyncio.to_thread(pool.join)


def _wait_a_moment() -> None:
    """Long enough that each of the tasks given at the start lands on another worker."""
    time.sleep(0.05)


def _prepare(data: bytes, params: Parameters, limits: Limits) -> Prepared:
    return prepare(data, *params, limits.decode)


def _draw_figure(data: bytes, diagnosis: dict[str, Any], language: str, params: Parameters, limits: Limits) -> bytes:
    from runtime.figures.drawing import draw_figure  # noqa: PLC0415 - matplotlib only where a figure is asked for
    from runtime.figures.labels import WORDS  # noqa: PLC0415

    _, mel_spec, color_spec = params
    return draw_figure(data, diagnosis_from_dict(diagnosis), mel_spec, color_spec, limits.decode, WORDS[language])


def _draw_segment(data: bytes, diagnosis: dict[str, Any], n: int, params: Parameters, limits: Limits) -> bytes:
    from runtime.figures.drawing import draw_segment  # noqa: PLC0415

    _, mel_spec, color_spec = params
    return draw_segment(data, diagnosis_from_dict(diagnosis), n, mel_spec, color_spec, limits.decode)


def _to_wav(data: bytes, diagnosis: dict[str, Any], _: Parameters, limits: Limits) -> bytes:
    return channel_wav(data, diagnosis_from_dict(diagnosis), limits.decode)
