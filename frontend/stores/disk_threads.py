"""Threads that wait for a disk, so that the event loop does not.

An executor of asyncio takes 70 µs of CPU for each piece of work, half of them for a second future with a lock and a
copied context (Python 3.11, uvloop 0.23). Three pieces are done for each recording.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable

Answer = TypeVar("Answer")

EXIT_S = 10.0
_Queue = SimpleQueue[Callable[[], None] | None]
_all: weakref.WeakSet[DiskThreads] = weakref.WeakSet()


class DiskThreads:
    """Some threads with one queue. They end with this object, or at `close`. At its end the process waits until they
    have done what was given to them, EXIT_S at most.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start nothing yet. count: of the threads; name: their names begin with it."""
        self._count, self._name = count, name
        self._threads: list[threading.Thread] = []
        self._queue: _Queue = SimpleQueue()
        self._end = weakref.finalize(self, _end, self._queue, count)

    async def run(self, work: Callable[[], Answer], deadline: Deadline | None) -> Answer:
        """Do work on a thread and return its answer. After the deadline, work that has begun goes on to its end, and
        work that has not is dropped.

        Raises: StoreUnavailable at the deadline; whatever the work raises.
        """
        loop = asyncio.get_running_loop()
        if deadline is not None and deadline.passed:
            raise StoreUnavailable("store_too_slow")
        answered: asyncio.Future[Answer] = loop.create_future()
        self._put(partial(_do, work, answered, loop))
        due = None if deadline is None else loop.call_at(deadline.at, _end_late, answered)
        try:
            return await answered
        finally:
            if due is not None:
                due.cancel()

    def wait_for(self, work: Callable[[], Answer]) -> Answer:
        """Do work on a thread, before there is an event loop, and return its answer. Raises: whatever it raises."""
        answered: Future[Answer] = Future()
        self._put(partial(_do_for, work, answered))
        return answered.result()

    def close(self) -> None:
        """End the threads when they have done what was given to them."""
        self._end()

    def finish(self, until: float) -> None:
        """Close, and wait for the threads. until: on the monotonic clock"""
        self.close()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _put(self, work: Callable[[], None]) -> None:
        if not self._threads:
            _all.add(self)
            for n in range(self._count):
                thread = threading.Thread(target=_serve, args=(self._queue,), name=f"{self._name}_{n}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(work)


@atexit.register
def _finish_all() -> None:
    """Let what was begun come to its end: a disk that hangs may not keep the process for ever."""
    until = time.monotonic() + EXIT_S
    for threads in list(_all):
        threads.finish(until)


def _serve(queue: _Queue) -> None:
    while (work := queue.get()) is not None:
        work()
        del work  # it holds a recording


def _end(queue: _Queue, count: int) -> None:
    for _ in range(count):
        queue.put(None)


def _do(work: Callable[[], Answer], answered: asyncio.Future[Answer], loop: asyncio.AbstractEventLoop) -> None:
    if answered.done():  # nobody waits any more
        return
    try:
        answer = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        _tell(loop, _fail, answered, error)
    else:
        _tell(loop, _succeed, answered, answer)


def _do_for(work: Callable[[], Answer], answered: Future[Answer]) -> None:
    try:
        answered.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        answered.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(tell, *arguments)


def _succeed(answered: asyncio.Future[Answer], answer: Answer) -> None:
    if not answered.done():
        answered.set_result(answer)


def _fail(answered: asyncio.Future[Any], error: BaseException) -> None:
    if not answered.done():
        answered.set_exception(error)


def _end_late(answered: asyncio.Future[Any]) -> None:
    _fail(answered, StoreUnavailable("store_too_slow"))
