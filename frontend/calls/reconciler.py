"""Claim accepted calls that a restart or an outage left unfinished, in this replica or in another."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from frontend.calls.attempts import MAX_PAUSE_S, WRITE_S, Attempt, Attempts
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import from_now, now
from frontend.inference.serving_model import ServingModel
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import RecordStore, Versioned
from runtime.config import Limits

COUNT_S = 10.0  # while Triton is away no call is attempted, but waiting calls are counted: the count may wake Triton
FAR_S = 10.0  # between two looks for leases that lie further ahead than any lease can be

_log = logging.getLogger("tosia.reconciler")


class Reconciler:
    """Finds calls that are due and claims them for this replica."""

    def __init__(
        self,
        attempts: Attempts,
        records: RecordStore,
        model: ServingModel,
        limits: Limits,
        metrics: Metrics,
        *,
        at_once: int,
        every_s: float,
    ) -> None:
        """Keep the settings.

        at_once: how many calls of a backlog run together; calls of requests wait behind them
        every_s: seconds between two searches
        """
        self._every_s = every_s
        self._at_once = at_once
        self._attempts = attempts
        self._records = records
        self._model = model
        self._limits = limits
        self._metrics = metrics
        self._running: set[Attempt] = set()
        # Long enough to detect a recording that hangs a worker, so that it is not attempted for ever.
        self._attempt_s = limits.worker_timeout_s + limits.request_deadline_s
        self._longest_lease_s = max(self._attempt_s + WRITE_S, MAX_PAUSE_S)
        self._far: dict[tuple[str, str], float] = {}  # id and version -> when it was first seen, on the loop's clock
        self._next_far = 0.0
        self._away = False

    async def run(self) -> None:
        """Search for calls that are due, until cancelled; while Triton is away no call is attempted."""
        next_count = 0.0
        while True:
            found = 0
            try:
                if self._model.available:
                    found = await self._claim_due()
                elif time.monotonic() >= next_count:
                    next_count = time.monotonic() + COUNT_S
                    self._metrics.due.set(len(await self._due()))
                if self._away:
                    _log.warning("the record store is back")
                self._away = False
            except StoreUnavailable:
                if not self._away:
                    _log.warning("the record store is away")
                self._away = True
            except Exception:  # noqa: BLE001 - a defect of ours must not end the loop that keeps "nothing is lost"
                _log.exception("looking for calls that are due failed")
            if found and self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED, timeout=self._every_s)
            else:
                apart = random.uniform(0.8, 1.2)  # noqa: S311 - so that replicas don't search at the same moment
                await asyncio.sleep(self._every_s * apart)

    async def _claim_due(self) -> int:
        free = self._at_once - len(self._running)
        if free <= 0:
            return 1
        # Read more calls than we take, and shuffle them: other replicas read the same list.
        due = await self._due() + await self._abandoned()
        self._metrics.due.set(len(due))
        random.shuffle(due)
        for call in due[:free]:
            try:
                attempt = await self._attempts.claim(call, Deadline.after(self._attempt_s))
            except CallErased:
                continue
            if attempt is not None:
                self._metrics.taken_up.inc()
                self._running.add(attempt)
                attempt.add_done_callback(self._running.discard)
        return len(due)

    async def _abandoned(self) -> list[Versioned]:
        """Return calls whose lease no living process can hold: it ends further ahead than any lease, and the record has
        not changed for as long as the longest lease takes.

        Such a lease was written before our clock was set back, or by a process whose clock is ahead. That process may
        be at work, so no clock of the wall tells when to take over, but the time for which we have watched.
        """
        present = asyncio.get_running_loop().time()
        if present < self._next_far:
            return []
        self._next_far = present + FAR_S
        deadline = Deadline.after(self._limits.request_deadline_s)
        found = await self._records.leased_beyond(from_now(self._longest_lease_s), 4 * self._at_once, deadline)
        seen = {(call.record.call_id, call.etag): call for call in found}
        self._far = {key: self._far.get(key, present) for key in seen}
        return [call for key, call in seen.items() if present - self._far[key] >= self._longest_lease_s]

    async def _due(self) -> list[Versioned]:
        return await self._records.due(now(), 4 * self._at_once, Deadline.after(self._limits.request_deadline_s))
