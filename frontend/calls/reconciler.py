"""Claim accepted calls that a restart or an outage left unfinished, in this replica or in another."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from frontend.calls.attempts import Attempt, Attempts
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import now
from frontend.inference.serving_model import ServingModel
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import RecordStore, Versioned
from runtime.config import Limits

COUNT_S = 10.0  # while Triton is away no call is attempted, but waiting calls are counted: the count may wake Triton

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
            except StoreUnavailable:
                _log.warning("the record store is away")
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
        due = await self._due()
        self._metrics.due.set(len(due))
        random.shuffle(due)
        for call in due[:free]:
            # Long enough to detect a recording that hangs a worker, so that it is not attempted for ever.
            deadline = Deadline.after(self._limits.worker_timeout_s + self._limits.request_deadline_s)
            try:
                attempt = await self._attempts.claim(call, deadline)
            except CallErased:
                continue
            if attempt is not None:
                self._metrics.taken_up.inc()
                self._running.add(attempt)
                attempt.add_done_callback(self._running.discard)
        return len(due)

    async def _due(self) -> list[Versioned]:
        return await self._records.due(now(), 4 * self._at_once, Deadline.after(self._limits.request_deadline_s))
