"""Work for a disk on threads: its answer, its error, its deadline, and the end of the threads."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.stores.disk_threads import DiskThreads
from runtime.config import ROOT

SAFETY_S = 30.0  # no test waits so long unless something is wrong


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}_")]


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(SAFETY_S)
    return not any(thread.is_alive() for thread in threads)


def test_an_answer_and_an_error_reach_their_own_caller() -> None:
    def fail() -> None:
        raise OSError("of the disk")

    async def ask() -> list[object]:
        work = [threads.run(lambda: 1, Deadline.after(SAFETY_S)), threads.run(fail, None), threads.run(lambda: 2, None)]
        return list(await asyncio.gather(*work, return_exceptions=True))

    threads = DiskThreads(2, "own-caller")
    first, error, second = asyncio.run(ask())
    assert (first, second) == (1, 2)
    assert isinstance(error, OSError)
    threads.close()


def test_work_is_done_before_there_is_a_loop() -> None:
    threads = DiskThreads(1, "no-loop")
    assert threads.wait_for(threading.current_thread) in threads_of("no-loop")
    with pytest.raises(ZeroDivisionError):
        threads.wait_for(lambda: 1 // 0)
    threads.close()


def test_work_that_has_begun_goes_on_and_other_work_is_dropped_at_its_deadline() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        assert may_end.wait(SAFETY_S)
        done.append("first")

    async def ask() -> None:
        running = asyncio.create_task(threads.run(first, Deadline.after(SAFETY_S)))
        assert await asyncio.to_thread(begun.wait, SAFETY_S)
        with pytest.raises(StoreUnavailable):
            await threads.run(lambda: done.append("second"), Deadline.after(0.01))
        running.cancel()
        may_end.set()
        await threads.run(lambda: done.append("third"), None)
        with pytest.raises(StoreUnavailable):
            await threads.run(lambda: done.append("after the deadline"), Deadline.after(-1.0))

    threads = DiskThreads(1, "deadline")
    asyncio.run(ask())
    assert done == ["first", "third"]
    threads.close()


def test_threads_end_when_they_are_closed() -> None:
    threads = DiskThreads(3, "closed")
    threads.wait_for(int)
    started = threads_of("closed")
    assert len(started) == 3
    threads.close()
    assert ended(started)


def test_threads_end_with_their_owner() -> None:
    threads = DiskThreads(2, "owner")
    threads.wait_for(int)
    started = threads_of("owner")
    del threads
    gc.collect()
    assert ended(started)


def test_what_was_begun_is_done_before_the_process_ends(tmp_path: Path) -> None:
    lines = (
        "import asyncio, pathlib, sys, time",
        "from frontend.stores.disk_threads import DiskThreads",
        "threads = DiskThreads(2, 'late')",
        "def work(name):",
        "    time.sleep(0.3)",
        "    pathlib.Path(sys.argv[1], name).touch()",
        "async def begun():",
        "    tasks = [asyncio.ensure_future(threads.run(lambda n=n: work(n), None)) for n in ('one', 'other')]",
        "    await asyncio.sleep(0.1)",
        "    sys.exit(0)",
        "asyncio.run(begun())",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines), str(tmp_path)], cwd=ROOT, check=True, timeout=SAFETY_S)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]
