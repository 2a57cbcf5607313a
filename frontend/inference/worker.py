"""A worker process: it takes one task after the other from its socket, and ends when the front end does."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import traceback
from dataclasses import dataclass

from frontend.inference import cage, wire
from frontend.inference.wire import Kind
from frontend.inference.worker_tasks import Function, WorkerParameters
from runtime.errors import AudioError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a worker may use.

    memory_bytes: more than an idle worker; cpu_s: for each task
    caged: no descriptors, programs, processes; see `cage`
    """

    memory_bytes: int
    cpu_s: float
    caged: bool


def work(connection: socket.socket, bounds: Bounds) -> None:
    """Work until the front end ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the front end ends us
    cage.limit_memory(bounds.memory_bytes)
    cage.keep_freed_memory()
    filtered = cage.close_cage(connection.fileno()) if bounds.caged else True
    known: dict[str, WorkerParameters] = {}
    try:
        wire.send(connection, Kind.READY if filtered else Kind.UNFILTERED, b"", b"")
        while (message := wire.receive(connection)) is not None:
            head, data = message
            kind, facts, found = _answer(head, data, known, bounds.cpu_s)
            wire.send(connection, kind, facts, found)
            if kind is Kind.SHORT:
                return  # what a library holds after a failed allocation is unknown
            del head, data, message, found
    except OSError:
        pass  # the front end has ended
    finally:
        os._exit(0)  # nothing of the process that this one was forked from is to be ended or flushed


def _answer(head: bytes, data: bytes, known: dict[str, WorkerParameters], cpu_s: float) -> tuple[Kind, bytes, bytes]:
    """Run one task. head: see `task_head`; known: the parameters of this worker, by digest."""
    cage.limit_cpu(cpu_s)
    try:
        function, arguments, sha256, parameters = pickle.loads(head)  # noqa: S301 - the front end wrote it
        if parameters is not None:
            known[sha256] = parameters
        facts, found = function(data, known[sha256], *arguments)
    except AudioError as error:
        return Kind.REFUSED, wire.of_refusal(error), b""
    except MemoryError:
        return Kind.SHORT, b"", b""
    except Exception as error:  # noqa: BLE001 - a defect of ours; its message may hold what a caller sent
        places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        return Kind.DEFECT, json.dumps([type(error).__name__, *places]).encode(), b""
    else:
        return Kind.DONE, facts, found
    finally:
        cage.limit_cpu(0.0)


def task_head(
    function: Function, arguments: tuple[object, ...], sha256: str, parameters: WorkerParameters | None
) -> bytes:
    """Return a task without its data. parameters: where the worker does not know those of this digest."""
    return pickle.dumps((function, arguments, sha256, parameters), pickle.HIGHEST_PROTOCOL)
