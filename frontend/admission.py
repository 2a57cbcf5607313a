"""Who gets in: a request that brings work is refused from its headers where its work could not be done soon.

Three limits: recordings in work, bytes of bodies in memory, and how long a recording would wait for a worker. The last one keeps
the answers of those that are taken quick when many times as many come: a queue that is as long as it may be makes every answer
as late as it may be, and completes no more (docs/decisions/0013-speed.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from frontend.errors import Overloaded, http_error
from frontend.metrics import Metrics
from frontend.problems import PROBLEM_TYPE, problem_document
from runtime.config import Limits

_GATED = frozenset({"/v1/diagnoses"})


class Ticket:
    """A request that was let in. `body_is_read`: to be called then, since only from there on its recording waits for a worker."""

    def __init__(self) -> None:
        self.reading = True

    def body_is_read(self) -> None:
        self.reading = False


class Admission:
    """running: how many calls are in work, those included whose request was answered; wait_s: how long so many would wait."""

    def __init__(
        self, limits: Limits, metrics: Metrics, running: Callable[[], int], wait_s: Callable[[int], float]
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._running = running
        self._wait_s = wait_s
        self._tickets: set[Ticket] = set()
        self._bytes = 0

    @property
    def in_work(self) -> int:
        """Recordings in work: those of requests, and those that are finished after their request was answered."""
        return max(len(self._tickets), self._running())

    @property
    def body_bytes(self) -> int:
        """Of the requests in work, as they have declared."""
        return self._bytes

    @contextmanager
    def admitted(self, body_bytes: int = 0) -> Iterator[Ticket]:
        """Held around a request that brings work, from before its body is read. Raises: Overloaded."""
        self._refuse_beyond_limits(body_bytes)
        ticket = Ticket()
        self._tickets.add(ticket)
        self._bytes += body_bytes
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            self._bytes -= body_bytes

    def _refuse_beyond_limits(self, body_bytes: int) -> None:
        reading = sum(one.reading for one in self._tickets)
        wait_s = self._wait_s(self.in_work - reading)
        if self.in_work >= self._limits.max_in_flight:
            limit = "recordings"
        elif self._bytes + body_bytes > self._limits.max_in_flight_bytes:
            limit = "bytes"
        elif wait_s > self._limits.max_wait_s:
            limit = "wait"
        else:
            return
        self._metrics.refusals.labels(limit).inc()
        raise Overloaded("As many recordings are in work as this service takes at once: try again in a moment.")


class AdmissionGate:
    """ASGI middleware in front of the routes that take uploads: a refusal costs no routing, no key and no form."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in _GATED:
            await self._app(scope, receive, send)
            return
        admission: Admission = scope["app"].state.admission
        declared = Headers(scope=scope).get("content-length", "")
        # More than a body may have is refused as that, and a body without a length may have so much.
        told = declared.isdecimal() and len(declared) < 16
        claim = min(int(declared), self._max_body_bytes) if told else self._max_body_bytes
        try:
            with admission.admitted(claim) as ticket:
                scope["state"]["ticket"] = ticket
                await self._app(scope, receive, send)
        except Overloaded as error:
            scope["state"]["refused"] = True
            await _refuse(error, scope, send)


async def _refuse(error: Overloaded, scope: Scope, send: Send) -> None:
    known = http_error(error)
    body = json.dumps(problem_document(known, str(error), scope["state"]["request_id"])).encode()
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(error.retry_after_s).encode()),
    ]
    await send({"type": "http.response.start", "status": known.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
