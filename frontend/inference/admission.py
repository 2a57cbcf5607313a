"""Admission of requests: a request with work is refused, from its headers, if its work could not be done soon.

There are three limits: recordings in work, bytes of bodies in memory, and the time that a recording would wait for a
worker.

Bytes count as they arrive, in steps. A declared length that does not fit is refused from the head, but a sender who
declares much, or nothing, takes no memory from others before it fills it.

The limit of the wait keeps the admitted requests fast at overload: a full queue makes every answer as late as
allowed, and completes no more requests (docs/decisions/0013-speed.md). It applies only above a few recordings per
worker: if a machine slows down suddenly, the expected wait alone would refuse all requests but the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frontend.domain.errors import Overloaded
from frontend.observability.metrics import Metrics
from runtime.config import Limits

STEP_BYTES = 256 * 1024  # most voice notes are smaller, so the first step is their only one


@dataclass(eq=False, slots=True)
class Ticket:
    """A place for one request.

    body_bytes: what its body may hold now; `Admission.grow` raises it
    reading: until the body is read; its recording waits for a worker only after that
    """

    body_bytes: int
    reading: bool = True


class Admission:
    """Counts the work in progress, and admits or refuses new work.

    running: a live view of the calls in work, including calls whose request was already answered
    wait_s: the time that a recording would wait for a worker behind the waiting recordings and the given number more
    """

    def __init__(
        self,
        limits: Limits,
        metrics: Metrics,
        running: Collection[str],
        wait_s: Callable[[int], float],
        worker_count: int,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._running = running
        self._wait_s = wait_s
        # At most half of max_in_flight; otherwise max_wait_s would never apply with many workers.
        self._always = min(limits.always_per_worker * worker_count, limits.max_in_flight // 2)
        self.tickets: set[Ticket] = set()
        self.body_bytes = 0  # of all tickets

    @property
    def in_work(self) -> int:
        """Count the recordings in work: those of open requests, and those of requests that were answered early."""
        return max(len(self.tickets), len(self._running))

    def admit(self, body_bytes: int | None) -> Ticket:
        """Return a place that must be released; it holds the first step of the body.

        body_bytes: the whole body's length, which must fit now; None where it is not known. Raises: Overloaded.
        """
        limits = self._limits
        step = min(STEP_BYTES, limits.max_body_bytes if body_bytes is None else body_bytes)
        limit = None
        if self.in_work >= limits.max_in_flight:
            limit = "recordings"
        elif self.body_bytes + (step if body_bytes is None else body_bytes) > limits.max_in_flight_bytes:
            limit = "bytes"
        elif self.in_work >= self._always and self._wait_s(self._on_their_way()) > limits.max_wait_s:
            limit = "wait"
        if limit is not None:
            self._metrics.refusals.labels(limit).inc()
            raise Overloaded("overloaded")
        ticket = Ticket(step)
        self.tickets.add(ticket)
        self.body_bytes += step
        return ticket

    def grow(self, ticket: Ticket, body_bytes: int) -> None:
        """Let a body that is being read hold so many bytes, in whole steps, up to the largest body.

        Raises: Overloaded.
        """
        steps = -(-body_bytes // STEP_BYTES)
        more = min(steps * STEP_BYTES, self._limits.max_body_bytes) - ticket.body_bytes
        if self.body_bytes + more > self._limits.max_in_flight_bytes:
            self._metrics.refusals.labels("bytes").inc()
            raise Overloaded("overloaded")
        ticket.body_bytes += more
        self.body_bytes += more

    def release(self, ticket: Ticket) -> None:
        """Give the place back; a second release does nothing."""
        if ticket in self.tickets:
            self.tickets.remove(ticket)
            self.body_bytes -= ticket.body_bytes

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place around a request that has work but no body. Raises: Overloaded."""
        ticket = self.admit(0)
        ticket.reading = False
        try:
            yield
        finally:
            self.release(ticket)

    def _on_their_way(self) -> int:
        """Count the recordings that are read and being stored: they reach the workers next.

        The workers already know the other running recordings.
        """
        return max(0, sum(not ticket.reading for ticket in self.tickets) - len(self._running))
