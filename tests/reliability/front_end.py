"""`python -m tests.reliability.front_end`: the front end, ended, frozen or held at one point of a call's life.

The real stores and the real classifier, with a signal to the own process just before or after one of their operations:
every step of a call is one of these. TOSIA_TEST_AT: `operation:before` or `operation:after`, with `:n` for the nth
time;
TOSIA_TEST_SIGNAL: KILL (default), STOP, or HOLD: from the point on no call is claimed until the file TOSIA_TEST_GATE is
there. A process that is stopped may hold the lock of the embedded store; one that is held does not.
"""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    from frontend.inference.fork_server import start_preloading

    start_preloading()

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from frontend.__main__ import main
from frontend.app import create_app
from frontend.configuration.settings import Settings
from frontend.domain.records import CallRecord, State
from frontend.stores.azure_records import CosmosRecordStore
from frontend.stores.opening import Stores, open_stores
from runtime.errors import InferenceError
from runtime.triton_classifier import AsyncTritonClassifier

# In the order in which a call goes through them; `claim`, `release` and `result` are all replacements of the record.
# Those that say that a call is in doubt, and no more, are no points: to die between them is what fails a call.
POINTS = (
    "records.read:before",
    "audio.write:before",
    "audio.write:after",
    "records.create:before",
    "records.create:after",
    "classify:before",
    "classify:after",
    "result:before",
    "result:after",
    "release:before",
    "release:after",
    "claim:before",
    "claim:after",
    "audio.find:after",
    "audio.read:after",
    "records.erase:after",
    "audio.erase:after",
)
# Inside of what Cosmos needs several requests for: after the record was created and before the tombstone is looked for
# (it was looked for once before, when the record was not there), and after the tombstone was written and before the
# record is removed.
POINTS_OF_COSMOS = ("records._is_erased:before:2", "records._delete:before")  # fmt: skip


_GATE = Path(os.environ.get("TOSIA_TEST_GATE", ""))


class Point:
    """Where the signal falls: once."""

    def __init__(self, where: str, name: str) -> None:
        operation, moment, *count = where.split(":")
        self._where, self._left = f"{operation}:{moment}", int(count[0]) if count else 1
        self._name = name

    async def around(self, operation: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """The work, with the signal before or after it where this is the operation."""
        await self._at(f"{operation}:before")
        answer = await work()
        await self._at(f"{operation}:after")
        return answer

    def means(self, operation: str) -> bool:
        return self._where.startswith(operation)

    async def _at(self, place: str) -> None:
        if self._name == "HOLD" and place.startswith("claim") and self._left <= 0:
            while not _GATE.exists():  # noqa: ASYNC110, ASYNC240 - another process opens it; a stat takes microseconds
                await asyncio.sleep(0.05)
        if place != self._where:
            return
        self._left -= 1
        if self._left == 0 and self._name != "HOLD":
            os.kill(os.getpid(), signal.Signals[f"SIG{self._name}"])


class Watched:
    """A store whose operations pass the point."""

    def __init__(self, store: Any, name: str, point: Point) -> None:
        self._store = store
        self._name = name
        self._point = point
        self._in_doubt: set[str] = set()

    def _kind(self, record: CallRecord) -> str:
        if record.state is not State.RECEIVED:
            return "result"
        if record.in_doubt or record.call_id in self._in_doubt:
            (self._in_doubt.add if record.in_doubt else self._in_doubt.discard)(record.call_id)
            return "doubt"
        return "claim" if record.owner else "release"

    def __getattr__(self, method: str) -> Any:
        attribute = getattr(self._store, method)
        if not callable(attribute) or method in ("blobs", "due", "expired", "ping", "close"):
            return attribute

        async def passing(*args: Any, **more: Any) -> Any:
            operation = self._kind(args[0]) if method == "replace" else f"{self._name}.{method}"
            return await self._point.around(operation, lambda: attribute(*args, **more))

        return passing


def _passing(method: Callable[..., Awaitable[Any]], operation: str, point: Point) -> Callable[..., Awaitable[Any]]:
    async def passing(*args: Any) -> Any:
        return await point.around(operation, lambda: method(*args))

    return passing


class WatchedClassifier:
    """Triton's, at the point; for a release, which happens only when inference fails, it fails."""

    def __init__(self, classifier: AsyncTritonClassifier, point: Point) -> None:
        self._classifier = classifier
        self._point = point

    def __getattr__(self, method: str) -> Any:
        return getattr(self._classifier, method)

    async def classify(self, *args: Any) -> Any:
        if self._point.means("release"):
            raise InferenceError("The test wants this attempt to fail.")
        return await self._point.around("classify", lambda: self._classifier.classify(*args))


def create(settings: Settings, *, worker_count: int) -> FastAPI:
    """`create_app` around watched parts."""
    point = Point(os.environ["TOSIA_TEST_AT"], os.environ.get("TOSIA_TEST_SIGNAL", "KILL"))
    real = open_stores(settings, settings.tuning.limits.retention_days)
    if isinstance(real.records, CosmosRecordStore):
        for method in ("_is_erased", "_delete"):
            setattr(real.records, method, _passing(getattr(real.records, method), f"records.{method}", point))
    stores = Stores(Watched(real.audio, "audio", point), Watched(real.records, "records", point), real.credential)
    classifier = WatchedClassifier(_Lazy(settings.triton_url), point)
    return create_app(settings, worker_count=worker_count, classifier=classifier, stores=stores)


class _Lazy:
    """The asynchronous client must be made inside the event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: AsyncTritonClassifier | None = None

    def __getattr__(self, method: str) -> Any:
        if self._made is None:
            self._made = AsyncTritonClassifier(self._url)
        return getattr(self._made, method)


if __name__ == "__main__":
    sys.exit(main(create=create))
