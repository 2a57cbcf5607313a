"""Admission of requests: a request with work is refused, from its headers, if its work could not be done soon.

There are three limits: recordings in work, bytes of bodies and answers in memory, and the time that a recording would
wait for a worker.

Bytes count as they arrive, in steps. A declared length that does not fit is refused from the head, but a sender who
declares much, or nothing, takes no memory from others before it fills it. Answers count until they are sent.

The limit of the wait keeps the admitted requests fast at overload: a full queue makes every answer as late as
allowed, and completes no more requests (docs/decisions/0013-speed.md). It applies only above a few recordings per
worker: if a machine slows down suddenly, the expected wait alone would refuse all requests but the first.

A key alone may use all of it. If another key, which is below its share (`max_key_share`), would be refused, it takes
the place of a key that has reached its share: there the body that has been read for the longest time ends, or the
answer that has been sent for the longest time. Recordings in work are never ended: they finish within their deadline.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from frontend.domain.errors import Overloaded
from frontend.observability.metrics import Metrics
from runtime.config import Limits

STEP_BYTES = 256 * 1024  # most voice notes are smaller, so the first step is their only one


@dataclass(eq=False, slots=True)
class Ticket:
    """A place for one request, or the memory of one answer.

    key_name: None where the key is unknown
    body_bytes: what its body may hold now; `Admission.grow` raises it
    answer: it holds memory only, and no place
    reading: until the body is read; its recording waits for a worker only after that
    waiting: set while its caller is waited for: only then may another key take its place
    ended: another key has taken its place
    """

    key_name: str | None
    body_bytes: int
    answer: bool = False
    reading: bool = True
    waiting: asyncio.Timeout | None = field(default=None, repr=False)
    ended: bool = False


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
        self.tickets: dict[Ticket, None] = {}  # in the order of their admission
        self.body_bytes = 0  # of all tickets
        self._answers = 0  # of the tickets
        self._places_of: Counter[str | None] = Counter()
        self._bytes_of: Counter[str | None] = Counter()

    @property
    def in_work(self) -> int:
        """Count the recordings in work: those of open requests, and those of requests that were answered early."""
        return max(len(self.tickets) - self._answers, len(self._running))

    def admit(self, body_bytes: int | None, key_name: str | None = None) -> Ticket:
        """Return a place that must be released; it holds the first step of the body.

        body_bytes: the whole body's length, which must fit now; None where it is not known. Raises: Overloaded.
        """
        limits = self._limits
        step = min(STEP_BYTES, limits.max_body_bytes if body_bytes is None else body_bytes)
        if self.in_work >= limits.max_in_flight:
            self._make_place(key_name)
        elif self.in_work >= self._always and self._is_wait_too_long(key_name):
            self._refuse("wait")
        needed = step if body_bytes is None else body_bytes
        if self.body_bytes + needed > limits.max_in_flight_bytes:
            self._make_room(needed, key_name)
        self._places_of[key_name] += 1
        return self._hold(Ticket(key_name, step))

    def hold_answer(self, answer_bytes: int, key_name: str | None) -> Ticket:
        """Return the memory of an answer, which must be released when it is sent. Raises: Overloaded."""
        self._make_room(answer_bytes, key_name)
        self._answers += 1
        return self._hold(Ticket(key_name, answer_bytes, answer=True, reading=False))

    def grow(self, ticket: Ticket, body_bytes: int) -> None:
        """Let a body that is being read hold so many bytes, in whole steps, up to the largest body.

        Raises: Overloaded.
        """
        steps = -(-body_bytes // STEP_BYTES)
        more = min(steps * STEP_BYTES, self._limits.max_body_bytes) - ticket.body_bytes
        self._make_room(more, ticket.key_name)
        ticket.body_bytes += more
        self._count(ticket, more)

    def release(self, ticket: Ticket) -> None:
        """Give the place back; a second release does nothing."""
        if ticket in self.tickets:
            del self.tickets[ticket]
            self._count(ticket, -ticket.body_bytes)
            if ticket.answer:
                self._answers -= 1
            else:
                self._places_of[ticket.key_name] -= 1

    @contextmanager
    def admitted(self, key_name: str | None = None) -> Iterator[Ticket]:
        """Hold a place around a request that has work but no body. Raises: Overloaded."""
        ticket = self.admit(0, key_name)
        ticket.reading = False
        try:
            yield ticket
        finally:
            self.release(ticket)

    def _on_their_way(self) -> int:
        """Count the recordings that are read and being stored: they reach the workers next.

        The workers already know the other running recordings.
        """
        stored = sum(not (ticket.reading or ticket.answer) for ticket in self.tickets)
        return max(0, stored - len(self._running))

    def _is_wait_too_long(self, key_name: str | None) -> bool:
        if key_name is not None and not self._places_of[key_name]:
            return False  # another key's recordings are the ones that wait: each known key gets one in
        return self._wait_s(self._on_their_way()) > self._limits.max_wait_s

    def _make_place(self, key_name: str | None) -> None:
        """Free the place of a key that has reached its share. Raises: Overloaded."""
        limits = self._limits
        share = max(1.0, limits.max_key_share * limits.max_in_flight)
        # Early answered calls go on: an ended body would make no place.
        if len(self._running) >= limits.max_in_flight or not self._take(
            1, key_name, self._places_of, share, lambda ticket: 0 if ticket.answer else 1
        ):
            self._refuse("recordings")

    def _make_room(self, more: int, key_name: str | None) -> None:
        """Return when so many bytes more fit into the memory. Raises: Overloaded."""
        limits = self._limits
        excess = self.body_bytes + more - limits.max_in_flight_bytes
        if excess > 0:
            share = limits.max_key_share * limits.max_in_flight_bytes
            if self._bytes_of[key_name] + more > share or not self._take(
                excess, key_name, self._bytes_of, share, lambda ticket: ticket.body_bytes
            ):
                self._refuse("bytes")

    def _take(
        self,
        needed: int,
        key_name: str | None,
        held: Counter[str | None],
        share: float,
        amount: Callable[[Ticket], int],
    ) -> bool:
        """End bodies and answers of keys that have reached the share, the oldest first; none where that is not enough.

        An unknown key takes nothing from others: whoever has no key could otherwise end everybody's bodies.
        """
        if key_name is None or held[key_name] + 1 > share:
            return False
        left, chosen = held.copy(), []
        for ticket in self.tickets:
            if needed <= 0:
                break
            if ticket.waiting is not None and amount(ticket) and left[ticket.key_name] >= share:
                chosen.append(ticket)
                left[ticket.key_name] -= amount(ticket)
                needed -= amount(ticket)
        if needed > 0:
            return False
        for ticket in chosen:
            self._end(ticket)
        return True

    def _end(self, ticket: Ticket) -> None:
        self._metrics.refusals.labels("share").inc()
        ticket.ended = True
        if ticket.waiting is not None and not ticket.waiting.expired():
            ticket.waiting.reschedule(asyncio.get_running_loop().time())
        self.release(ticket)

    def _hold(self, ticket: Ticket) -> Ticket:
        self.tickets[ticket] = None
        self._count(ticket, ticket.body_bytes)
        return ticket

    def _count(self, ticket: Ticket, more: int) -> None:
        self.body_bytes += more
        self._bytes_of[ticket.key_name] += more

    def _refuse(self, limit: str) -> NoReturn:
        self._metrics.refusals.labels(limit).inc()
        raise Overloaded("overloaded")
