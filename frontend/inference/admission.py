"""Who gets in: a request that brings work is refused from its headers where its work could not be done soon.

Three limits: recordings in work, bytes of bodies in memory, and how long a recording would wait for a worker. The last
one keeps the answers of those that are taken quick when many times as many come: a queue that is as long as it may be
makes every answer as late as it may be, and completes no more (docs/decisions/0013-speed.md). It holds from a few
recordings a worker on: where a machine is slow all of a sudden, the expected wait alone would refuse everybody but the
first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frontend.domain.errors import Overloaded
from frontend.observability.metrics import Metrics
from runtime.config import Limits


@dataclass(eq=False, slots=True)
class Ticket:
    """A place for one request.

    reading: until the body was read; only from there on its recording waits for a worker
    """

    body_bytes: int
    reading: bool = True


class Admission:
    """What is in work, and whether more may come.

    running: the calls in work, as they are at each moment; those included whose request was answered
    wait_s: how long a recording would wait for a worker behind those that wait already and so many more
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
        # Not all that may be in work at all, or many workers would leave the wait without effect.
        self._always = min(limits.always_per_worker * worker_count, limits.max_in_flight // 2)
        self.tickets: set[Ticket] = set()
        self.body_bytes = 0  # of the requests in work, as they have declared

    @property
    def in_work(self) -> int:
        """Recordings in work: those of requests, and those that are finished after their request was answered."""
        return max(len(self.tickets), len(self._running))

    def admit(self, body_bytes: int) -> Ticket:
        """A place, to be released. Raises: Overloaded."""
        limit = self._limit_reached(body_bytes)
        if limit is not None:
            self._metrics.refusals.labels(limit).inc()
            raise Overloaded("overloaded")
        ticket = Ticket(body_bytes)
        self.tickets.add(ticket)
        self.body_bytes += body_bytes
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Give the place back; once more does nothing."""
        if ticket in self.tickets:
            self.tickets.remove(ticket)
            self.body_bytes -= ticket.body_bytes

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Held around a request without a body that brings work all the same. Raises: Overloaded."""
        ticket = self.admit(0)
        ticket.reading = False
        try:
            yield
        finally:
            self.release(ticket)

    def _limit_reached(self, body_bytes: int) -> str | None:
        if self.in_work >= self._limits.max_in_flight:
            return "recordings"
        if self.body_bytes + body_bytes > self._limits.max_in_flight_bytes:
            return "bytes"
        if self.in_work < self._always:
            return None
        # Those that were read and are just being stored come to the workers next; the others that run are known to
        # them.
        on_their_way = max(0, sum(not ticket.reading for ticket in self.tickets) - len(self._running))
        return "wait" if self._wait_s(on_their_way) > self._limits.max_wait_s else None
