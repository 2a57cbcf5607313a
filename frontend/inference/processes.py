"""A pool of worker processes, each with a socket of its own.

Nothing is shared between them, no lock and no queue: a worker that is killed anywhere, or stops, takes nothing with it
but the task that it had begun. Its successor is forked within milliseconds (`fork_server`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.context import ForkServerProcess
from typing import cast

from frontend.inference import cage, wire
from frontend.inference.fork_server import end_fork_server, forking_context
from frontend.inference.wire import Answer, Kind
from frontend.inference.worker import Bounds, task_head, work
from frontend.inference.worker_tasks import Task, WorkerParameters

START_S = 120.0  # the imports before the first worker take seconds, on a busy machine many
PAUSE_S = 0.5  # between two attempts to start a worker
RETRY_S = 0.5  # until a task whose worker died may go to any worker; by then its own new one should have started
EXIT_S = 2.0  # until a worker whose socket is closed has ended

_KINDS = frozenset(Kind)

_log = logging.getLogger("tosia.workers")


class Loss(Enum):
    """Why a task has no answer; the values are the causes of `tosia_worker_restarts_total`."""

    DIED = "died"
    TIMEOUT = "timeout"
    CPU = "cpu"
    MEMORY = "memory"
    CLOSED = "closed"


@dataclass(eq=False, slots=True)
class Job:
    """A task on its way.

    ended: its answer, or why there is none
    since, begun: when it came and when a worker last got it, on the monotonic clock
    context: of the task that waits for it
    deaths: of workers that ran it; given_up: nobody waits for it any more
    held: the worker that is about to start gets it
    """

    task: Task
    parameters: WorkerParameters
    ended: asyncio.Future[Answer | Loss]
    since: float = field(default_factory=time.monotonic)
    begun: float | None = None
    context: Context = field(default_factory=copy_context)
    deaths: int = 0
    given_up: bool = False
    held: bool = False
    worker: _Worker | None = None

    def end(self, outcome: Answer | Loss) -> None:
        """Tell whoever waits, unless nobody does any more."""
        if not self.ended.done():
            self.ended.set_result(outcome)


class _Worker(asyncio.Protocol):
    """One worker process and its socket, for as long as both live."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._process: ForkServerProcess | None = None
        self._received = bytearray()
        self._known: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._cause: Loss | None = None
        self.job: Job | None = None
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Start the process; return when it takes tasks. Raises: OSError, TimeoutError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        process = forking_context().Process(target=work, args=(theirs, self._pool.bounds), daemon=True)
        try:
            async with asyncio.timeout(START_S):
                await asyncio.to_thread(process.start)
        except TimeoutError:
            end_fork_server()  # it was stopped, or hangs: its successor may do better
            ours.close()
            raise
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        try:
            async with asyncio.timeout(START_S):
                filtered = await asyncio.shield(self.ready)
        except BaseException:
            self.end(Loss.DIED)
            raise
        if not filtered:
            self._pool.unfiltered()

    def give(self, job: Job) -> None:
        """Send a job, and watch its time."""
        assert self._transport is not None  # noqa: S101 - only workers that are ready get jobs
        sha256 = job.parameters.sha256
        told = sha256 in self._known
        head = task_head(job.task.function, job.task.arguments, sha256, None if told else job.parameters)
        self._known.add(sha256)
        job.worker, self.job = self, job
        job.begun = time.monotonic()
        size = len(job.task.data)
        self._transport.writelines([wire.MESSAGE.pack(0, len(head), size), head, job.task.data])
        self._timer = asyncio.get_running_loop().call_later(self._pool.timeout_s, self.end, Loss.TIMEOUT)

    def end(self, cause: Loss) -> None:
        """Kill the process; the socket's end does the rest."""
        self._cause = self._cause or cause
        # Not `Process.kill`: where the process that forks has died, multiprocessing takes all that it forked for dead.
        if self._process is not None and self._process.pid is not None and not self.gone.done():
            with contextlib.suppress(OSError):
                os.kill(self._process.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Read an answer; asyncio calls this.

        A worker says one thing for each that it was given. One that says more might answer what it has not heard yet:
        the next recording, of another caller.
        """
        received = self._received
        received += data
        if len(received) < wire.MESSAGE.size:
            return
        kind, first, second = wire.MESSAGE.unpack_from(received)
        begin, size = wire.MESSAGE.size, wire.MESSAGE.size + first + second
        too_large = first > wire.MOST_FACTS_BYTES or second > self._pool.most_data_bytes
        if kind not in _KINDS or too_large or len(received) > size or self._cause is not None:
            self.end(Loss.DIED)
        elif len(received) == size:
            answer = Answer(Kind(kind), bytes(received[begin : begin + first]), bytes(received[begin + first : size]))
            received.clear()
            self._take(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the job back; asyncio calls this when the process has ended, wherever it was."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.ready.done():
            self.ready.set_exception(OSError("a worker ended before it was ready"))
            return
        self._pool.lost(self)
        self.gone.set_result(None)

    async def cause(self) -> Loss:
        """Return why the process ended, when it has."""
        assert self._process is not None  # noqa: S101 - it has started
        await asyncio.to_thread(self._process.join, EXIT_S)
        code = self._process.exitcode
        if code is None:  # it has closed its socket, and goes on
            self._process.kill()
        else:
            self._process.close()
        return self._cause or (Loss.CPU if code == -cage.CPU_SIGNAL else Loss.DIED)

    def _take(self, answer: Answer) -> None:
        if not self.ready.done():
            self.ready.set_result(answer.kind is Kind.READY)
            return
        job = self.job
        if job is None:
            self.end(Loss.DIED)  # an answer to nothing
            return
        if answer.kind is Kind.SHORT:
            self._cause = Loss.MEMORY  # it ends by itself, and `lost` tells the job
            return
        if self._timer is not None:
            self._timer.cancel()
        self.job = None
        job.end(answer)
        self._pool.answered()


class Pool:
    """Workers of one kind."""

    def __init__(
        self,
        count: int,
        bounds: Bounds,
        timeout_s: float,
        most_data_bytes: int,
        *,
        on_begin: Callable[[float], None],
        on_loss: Callable[[Loss], None],
    ) -> None:
        """Keep the settings.

        timeout_s: wall time of a task, after which its worker is ended
        most_data_bytes: of an answer, see `wire.most_data_bytes`
        on_begin: gets the seconds that a task has waited for a worker, in the context of its job
        on_loss: gets why a worker had to be replaced
        """
        self.count, self.bounds, self.timeout_s, self.most_data_bytes = count, bounds, timeout_s, most_data_bytes
        self._on_begin, self._on_loss = on_begin, on_loss
        self._workers: set[_Worker] = set()  # those that take tasks
        self._waiting: deque[Job] = deque()
        self._tasks: set[asyncio.Task[object]] = set()
        self._unanswered_since: float | None = None
        self._closed = False
        self._told_unfiltered = False

    @property
    def waiting(self) -> int:
        """Count the jobs that no worker has."""
        return len(self._waiting)

    @property
    def in_work(self) -> int:
        """Count the workers that have a job."""
        return sum(worker.job is not None for worker in self._workers)

    @property
    def stuck_s(self) -> float:
        """Return for how many seconds work was given and none has ended; 0.0 where nothing waits."""
        return 0.0 if self._unanswered_since is None else time.monotonic() - self._unanswered_since

    async def start(self) -> None:
        """Start the workers; return when all take tasks. Raises: OSError, TimeoutError."""
        await asyncio.gather(*(self._add() for _ in range(self.count)))

    def start_soon(self) -> None:
        """Start the workers while tasks may already wait for them."""
        for _ in range(self.count):
            self._in_background(self._add_until_one_starts())

    def submit(self, task: Task, parameters: WorkerParameters) -> Job:
        """Queue a task; whoever gives up on it calls `withdraw`."""
        job = Job(task, parameters, asyncio.get_running_loop().create_future())
        if self._closed:
            job.end(Loss.CLOSED)
            return job
        if self._unanswered_since is None:
            self._unanswered_since = job.since
        self._waiting.append(job)
        self._dispatch()
        return job

    def withdraw(self, job: Job) -> None:
        """Forget a job that no worker has. Work that has begun goes on to its end, and its answer is dropped: stopping
        it would end the worker.
        """
        job.given_up = True
        with contextlib.suppress(ValueError):
            self._waiting.remove(job)

    async def close(self) -> None:
        """End all workers, whatever they do."""
        self._closed = True
        for job in self._waiting:
            job.end(Loss.CLOSED)
        self._waiting.clear()
        workers = list(self._workers)
        for worker in workers:
            worker.end(Loss.CLOSED)
        await asyncio.gather(*(worker.gone for worker in workers))
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=EXIT_S)
            if late:
                end_fork_server()  # a thread waits for it, and this process for its threads
            for task in late:  # a worker that was about to start; its socket is closed
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def answered(self) -> None:
        """Note that a job has ended, and give out the next."""
        left = self._waiting or self.in_work
        self._unanswered_since = time.monotonic() if left else None
        self._dispatch()

    def lost(self, worker: _Worker) -> None:
        """Replace a worker that has ended."""
        self._workers.discard(worker)
        self._in_background(self._replace(worker))

    def unfiltered(self) -> None:
        """Say once that the kernel does not filter the workers' system calls."""
        if not self._told_unfiltered:
            _log.warning("this kernel or processor filters no system calls: workers are held by their limits only")
        self._told_unfiltered = True

    async def _replace(self, worker: _Worker) -> None:
        try:
            cause = await worker.cause()
        except Exception as error:  # noqa: BLE001 - no thread could be started, say: that must not cost the worker
            _log.warning("it is not known why a worker ended (%s)", type(error).__name__)
            cause = Loss.DIED
        if cause is not Loss.CLOSED:
            _log.warning("a worker ended: %s", cause.value)
            self._on_loss(cause)
        job, again = worker.job, None
        if job is not None:
            job.deaths += 1
            # One retry if a worker died: another process may have caused it (memory), and a good recording must not
            # fail for it. By a new worker: whatever ended this one may have ended others that we don't know of yet.
            if cause is Loss.DIED and job.deaths == 1 and not self._closed:
                again = job
            else:
                job.end(cause)
                self.answered()
        if again is None:
            await self._add_until_one_starts()
            return
        again.held = True
        later = asyncio.get_running_loop().call_later(RETRY_S, self._requeue, again)
        await self._add_until_one_starts(again)
        later.cancel()
        if self._closed:
            again.end(Loss.CLOSED)

    def _requeue(self, job: Job) -> None:
        """Let any worker have a job that waits for a new one."""
        if job.held and not job.given_up:
            job.held = False
            self._waiting.appendleft(job)
            self._dispatch()

    async def _add_until_one_starts(self, first: Job | None = None) -> None:
        """Start a worker. first: its first job."""
        while not self._closed:
            try:
                await self._add(first)
            except Exception as error:  # noqa: BLE001 - whatever it was (no process or thread could be started), go on
                _log.warning("a worker could not be started (%s)", type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def _add(self, first: Job | None = None) -> None:
        worker = _Worker(self)
        await worker.start()
        if self._closed:
            worker.end(Loss.CLOSED)
            return
        if worker.gone.done():  # it has ended at once, and is replaced already
            if first is not None:
                self._requeue(first)
            return
        self._workers.add(worker)
        if first is not None and first.held and not first.given_up:
            first.held = False
            worker.give(first)
        elif not self._waiting and not self.in_work:
            self._unanswered_since = None
        self._dispatch()

    def _dispatch(self) -> None:
        for worker in self._workers:
            if not self._waiting:
                return
            if worker.job is None:
                job = self._waiting.popleft()
                job.context.run(self._on_begin, time.monotonic() - job.since)
                worker.give(job)

    def _in_background(self, work: Coroutine[None, None, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
