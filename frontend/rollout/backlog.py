"""Answered calls that wait to be scored by the other release, one after the other, within bounds.

Nothing here is waited for by a caller. What has no place is dropped and counted: the sample gets smaller, no call does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from frontend.domain.records import CallRecord
from frontend.observability.metrics import Metrics
from runtime.prepare import AudioFile, Prepared

PAUSE_S = 0.01  # before each call: an answer that is about to be sent goes first

_log = logging.getLogger("tosia.rollout")


@dataclass(frozen=True, slots=True)
class Answered:
    """A call whose caller has the answer.

    prepared: as the answering release had it; audio: where the other one prepares otherwise, else None
    number: of the rollout's step that the call belongs to
    """

    record: CallRecord
    prepared: Prepared
    audio: AudioFile | None
    number: int

    @property
    def bytes(self) -> int:
        """Count what is held for it."""
        return self.prepared.spectrograms.nbytes + (len(self.audio.data) if self.audio else 0)


class Backlog:
    """Bounded in calls and bytes; one task works on it."""

    def __init__(
        self, work: Callable[[Answered], Awaitable[None]], most_calls: int, most_bytes: int, metrics: Metrics
    ) -> None:
        self._work = work
        self._most_calls, self._most_bytes = most_calls, most_bytes
        self._metrics = metrics
        self._waiting: deque[Answered] = deque()
        self._bytes = 0
        self._added = asyncio.Event()

    @property
    def calls(self) -> int:
        """Count the calls that wait."""
        return len(self._waiting)

    @property
    def half_full(self) -> bool:
        """Whether only those should come that are in work already: the other half is theirs."""
        return 2 * len(self._waiting) > self._most_calls or 2 * self._bytes > self._most_bytes

    def add(self, call: Answered) -> None:
        """Take a call, or drop it where there is no place."""
        if len(self._waiting) >= self._most_calls or self._bytes + call.bytes > self._most_bytes:
            self._metrics.rollout_dropped.inc()
            return
        self._waiting.append(call)
        self._bytes += call.bytes
        self._added.set()

    def clear(self) -> None:
        """Drop all: their step of the rollout is over."""
        self._metrics.rollout_dropped.inc(len(self._waiting))
        self._waiting.clear()
        self._bytes = 0

    async def run(self) -> None:
        """Work until cancelled."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                while not self._waiting:
                    self._added.clear()
                    await self._added.wait()
                await asyncio.sleep(PAUSE_S)
                if not self._waiting:  # cleared meanwhile
                    continue
                call = self._waiting.popleft()
                self._bytes -= call.bytes
                try:
                    await self._work(call)
                except Exception:  # noqa: BLE001 - a defect of ours must not end the comparison of all that follows
                    _log.exception("a call could not be compared")
                    self._metrics.rollout_dropped.inc()
