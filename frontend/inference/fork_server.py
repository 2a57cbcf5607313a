"""Start early the process that workers are forked from. Keep imports minimal: this module runs before all others."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
from multiprocessing.context import ForkServerContext


def forking_context() -> ForkServerContext:
    """Return the context for workers: they are forked from a process that has imported preloaded.py.

    A fork of this process may hang, because of gRPC's threads.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["frontend.inference.preloaded"])
    return context


def start_preloading() -> None:
    """Start the process that imports preloaded.py; return at once."""
    forking_context()
    multiprocessing.forkserver.ensure_running()


def end_fork_server() -> None:
    """Kill that process: whoever waits for it gets an error, and the next start of a worker starts another one."""
    pid = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
