"""Start early the process that workers are forked from. Keep imports minimal: this runs before all others."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
from multiprocessing.context import ForkServerContext


def forking_context() -> ForkServerContext:
    """Where workers come from: forks of a process that has preloaded.py.

    A fork of this one, with gRPC's threads, may hang.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["frontend.inference.preloaded"])
    return context


def start_preloading() -> None:
    """Returns at once."""
    forking_context()
    multiprocessing.forkserver.ensure_running()
