"""Workers are replaced whatever happens to the process that forks them, in real processes."""

from __future__ import annotations

import asyncio
import multiprocessing.forkserver
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from frontend.domain.deadline import Deadline
from frontend.inference.workers import Workers, WorkTimeout
from runtime.prepare import Prepared
from tests.frontend.inference.test_cage import NOTE, PATIENCE_S, check, prepared, running, same
from tests.integration.processes import is_running


def fork_server() -> int:
    return int(multiprocessing.forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]


def pids(workers: Workers) -> list[int]:
    return [worker._process.pid for worker in workers._decoding._workers]  # type: ignore[union-attr, misc]


async def hears(workers: Workers) -> Prepared:
    return await workers.prepare(NOTE, Deadline.after(PATIENCE_S))


async def all_back(workers: Workers, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(workers._decoding._workers) < count:  # noqa: ASYNC110 - a test
            await asyncio.sleep(0.02)


def test_the_process_that_forks_is_killed_and_all_workers_with_it() -> None:
    async def test() -> None:
        async with running(2) as (workers, _):
            for pid in (fork_server(), *pids(workers)):
                os.kill(pid, signal.SIGKILL)
            assert same(await hears(workers), prepared(NOTE))
            await all_back(workers, 2)

    check(test)


def test_a_worker_that_hangs_is_killed_although_the_process_that_forked_it_is_dead() -> None:
    """multiprocessing takes it for dead, and kills nothing."""

    async def test() -> None:
        async with running(2, worker_timeout_s=1.0) as (workers, _):
            first, hangs = pids(workers)
            os.kill(fork_server(), signal.SIGKILL)
            os.kill(first, signal.SIGKILL)
            while first in pids(workers):  # noqa: ASYNC110 - a test
                await asyncio.sleep(0.02)
            await all_back(workers, 2)
            os.kill(hangs, signal.SIGSTOP)
            found = await asyncio.gather(*(hears(workers) for _ in range(4)), return_exceptions=True)
            assert sorted(type(one) for one in found if not isinstance(one, Prepared)) == [WorkTimeout]
            async with asyncio.timeout(PATIENCE_S):
                while is_running(hangs):  # noqa: ASYNC110 - a test
                    await asyncio.sleep(0.02)

    check(test)


def test_the_others_go_on_while_no_worker_can_be_forked() -> None:
    """Also with the recording whose worker died; and the end does not wait for what hangs."""

    async def test() -> None:
        async with running(2) as (workers, _):
            os.kill(fork_server(), signal.SIGSTOP)
            os.kill(pids(workers)[0], signal.SIGKILL)
            for found in await asyncio.gather(*(hears(workers) for _ in range(10))):
                assert same(found, prepared(NOTE))
            assert len(pids(workers)) == 1

    check(test)


def test_no_thread_can_be_started_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the pod has all processes that it may have."""

    async def test() -> None:
        async with running(2) as (workers, _):
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(8))  # without threads that wait
            tried = asyncio.Event()

            def refuse(thread: threading.Thread) -> None:
                tried.set()
                raise RuntimeError("can't start new thread")

            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                for pid in pids(workers):
                    os.kill(pid, signal.SIGKILL)
                await tried.wait()
                while pids(workers):  # noqa: ASYNC110 - a test
                    await asyncio.sleep(0.02)
            await all_back(workers, 2)
            assert same(await hears(workers), prepared(NOTE))

    check(test)
