"""CPU work in processes of its own: librosa, decoders and figures never touch the event loop.

A recording that crashes or hangs a decoder ends one worker and costs one request; pebble starts another.
"""

from __future__ import annotations

import asyncio
import io
import logging
import multiprocessing
import time
import wave
from concurrent.futures import CancelledError
from typing import Any

from pebble import ProcessExpired, ProcessPool

from runtime.config import Limits, load_config, load_limits
from runtime.errors import UndecodableAudio
from runtime.prepare import Prepared, prepare

_log = logging.getLogger("tosia.workers")


class WorkersClosed(Exception):
    """The pool is shutting down; the call is finished after the next start."""


class Workers:
    """A pool of processes, each with the parameters of config.yml."""

    def __init__(self, count: int, limits: Limits) -> None:
        # spawn: a fork of a process with gRPC threads may hang.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(count, initializer=_warm_up, context=context)
        self._count = count
        self._timeout_s = limits.worker_timeout_s

    async def start(self) -> None:
        """Returns when every worker has imported what it needs."""
        futures = [self._pool.schedule(_wait_a_moment, timeout=120.0) for _ in range(self._count)]
        await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))

    async def prepare(self, data: bytes) -> Prepared:
        """`runtime.prepare.prepare` with the parameters of config.yml.

        Raises: AudioError; WorkersClosed.
        """
        answer: Prepared = await self._run(_prepare, data)
        return answer

    async def draw_figure(self, data: bytes, diagnosis: dict[str, Any]) -> bytes:
        """PNG. Raises: AudioError; WorkersClosed."""
        answer: bytes = await self._run(_draw_figure, data, diagnosis)
        return answer

    async def draw_segment(self, data: bytes, diagnosis: dict[str, Any], n: int) -> bytes:
        """PNG. Raises: IndexError; AudioError; WorkersClosed."""
        answer: bytes = await self._run(_draw_segment, data, diagnosis, n)
        return answer

    async def close(self) -> None:
        """Running work is ended; calls in work stay `received` and are finished after the next start."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(self._pool.join)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        try:
            future = self._pool.schedule(function, args=arguments, timeout=self._timeout_s)
        except RuntimeError as error:
            raise WorkersClosed("The service is shutting down.") from error
        try:
            return await asyncio.wrap_future(future)
        except (ProcessExpired, TimeoutError) as error:
            if not self._pool.active:
                raise WorkersClosed("The service is shutting down.") from error
            _log.warning("a worker was ended", extra={"reason": type(error).__name__})
            raise UndecodableAudio("The file can't be decoded: record again and send the whole file.") from error
        except CancelledError as error:
            if self._pool.active:
                raise
            raise WorkersClosed("The service is shutting down.") from error


def _warm_up() -> None:
    """Import and compute once, so that no request pays for it."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        # Half a second of silence around a burst, so that every stage runs.
        file.writeframes(bytes(16_000) + bytes(range(256)) * 50 + bytes(16_000))
    _prepare(buffer.getvalue())


def _wait_a_moment() -> None:
    """Long enough that each of the tasks given at the start lands on another worker."""
    time.sleep(0.05)


def _prepare(data: bytes) -> Prepared:
    _, limits = load_limits()
    return prepare(data, *load_config(), limits.decode)


def _draw_figure(data: bytes, diagnosis: dict[str, Any]) -> bytes:
    from runtime.diagnosis import diagnosis_from_dict  # noqa: PLC0415
    from runtime.figure import draw_figure  # noqa: PLC0415 - matplotlib only where a figure is asked for

    _, mel_spec, color_spec = load_config()
    _, limits = load_limits()
    return draw_figure(data, diagnosis_from_dict(diagnosis), mel_spec, color_spec, limits.decode)


def _draw_segment(data: bytes, diagnosis: dict[str, Any], n: int) -> bytes:
    from runtime.diagnosis import diagnosis_from_dict  # noqa: PLC0415
    from runtime.figure import draw_segment  # noqa: PLC0415

    _, mel_spec, color_spec = load_config()
    _, limits = load_limits()
    return draw_segment(data, diagnosis_from_dict(diagnosis), n, mel_spec, color_spec, limits.decode)
