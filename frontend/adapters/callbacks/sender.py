"""Sends what is owed, until it is taken or given up: at least once, in no order (docs/callbacks.md).

What is owed stands in the record with the result. The process that wrote the result sends first; the store gives what
that process dropped, or left when it ended, to whichever process looks for it. A try is claimed as an attempt is: by a
write that only one process can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from pydantic import SecretStr

from frontend.adapters.callbacks.connection import Answer, Connections
from frontend.adapters.callbacks.event import CONTENT_TYPE, event_of
from frontend.adapters.callbacks.schedule import pause_s
from frontend.adapters.callbacks.signature import signed_headers
from frontend.calls.outbox import owing
from frontend.configuration.receivers import Receiver, secret_bytes
from frontend.configuration.tuning import CallbackLimits
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import CallRecord, Notice, NoticeState, from_now, now, seconds_since
from frontend.observability.json_logs import CALL_ID
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import RecordStore, StaleRecord, Versioned

STORE_S = 10.0  # for one request to the store
LEASE_SPARE_S = 20.0  # a claim outlasts the request by this
OFFERED = 1000  # ids that wait in memory for one receiver; the store has the others
TRIES = 5  # to write what became of a message, where somebody else changes the record meanwhile

_log = logging.getLogger("tosia.callbacks")


@dataclass(slots=True)
class _Lane:
    """One receiver's work: a slow one delays nobody else.

    offered: ids, and until when their first try is ours; free: for a message on its way, whoever sends it
    """

    receiver: Receiver
    secrets: tuple[bytes, ...]
    offered: asyncio.Queue[tuple[str, str]]
    free: asyncio.Semaphore


class Callbacks:
    """Satisfies `frontend.calls.outbox.Outbox`; must be made inside the event loop."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        records: RecordStore,
        limits: CallbackLimits,
        metrics: Metrics,
        *,
        allow_inside: bool,
    ) -> None:
        """receivers: by the key's name."""
        self._records = records
        self._limits = limits
        self._metrics = metrics
        self._lanes = {
            name: _Lane(
                one,
                tuple(_bytes_of(secret) for secret in one.secrets),
                asyncio.Queue(OFFERED),
                asyncio.Semaphore(limits.at_once),
            )
            for name, one in receivers.items()
        }
        self._connections = Connections(allow_inside=allow_inside, timeout_s=limits.timeout_s)
        self._lease_s = limits.timeout_s + LEASE_SPARE_S
        self._away = False

    def begun(self, key_name: str | None) -> Notice | None:
        """Return what a new call of this key will owe."""
        return Notice(key_name, NoticeState.NOTHING_YET) if key_name in self._lanes and key_name else None

    def owed(self, record: CallRecord) -> CallRecord:
        """Return a record that has just got its result, with what is owed; its first try is ours if we can send it."""
        ours = record.notice is not None and record.notice.to in self._lanes
        return owing(record, self._lease_s if ours else 0.0)

    def offer(self, record: CallRecord) -> None:
        """Send this record's message soon, or leave it to the store where too many wait."""
        notice = record.notice
        lane = self._lanes.get(notice.to) if notice else None
        if lane is not None and notice is not None and notice.due_at is not None:
            with contextlib.suppress(asyncio.QueueFull):
                lane.offered.put_nowait((record.call_id, notice.due_at))

    async def run(self) -> None:
        """Send until cancelled."""
        works = [self._send_offered(lane) for lane in self._lanes.values() for _ in range(self._limits.at_once)]
        works += [self._send_stored(lane) for lane in self._lanes.values()]
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)

    async def close(self) -> None:
        """Close the connections; what was in work is tried again when its claim runs out."""
        await self._connections.close()

    async def _send_offered(self, lane: _Lane) -> None:
        while True:
            call_id, ours_until = await lane.offered.get()
            with self._surviving():
                async with lane.free:
                    known = await self._records.read(call_id, Deadline.after(STORE_S))
                    notice = known.record.notice if known is not None and _is_owed(known.record) else None
                    # A first try needs no claim: the result was written with ours. Behind a slow receiver it may have
                    # waited until that has run out, or nearly; then the store has it for whoever looks.
                    still_ours = notice is not None and notice.due_at == ours_until
                    if known is not None and still_ours and ours_until > from_now(self._limits.timeout_s):
                        await self._send(lane, known)

    async def _send_stored(self, lane: _Lane) -> None:
        """Look for what is due: tries after the first, and what other processes have left."""
        at_once, more = self._limits.at_once, False
        while True:
            if not more:  # a receiver that was away for hours is owed much, and gets it without pauses
                await asyncio.sleep(self._limits.poll_s * random.uniform(0.8, 1.2))  # noqa: S311 - replicas apart
            more = False
            with self._surviving():
                due = await self._records.notices_due(
                    lane.receiver.key_name, now(), 2 * at_once, Deadline.after(STORE_S)
                )
                random.shuffle(due)  # other replicas see the same list
                sent = await asyncio.gather(*(self._claim_and_send(lane, call) for call in due[:at_once]))
                more = len(due) > at_once and any(sent)
                self._away = False

    async def _claim_and_send(self, lane: _Lane, call: Versioned) -> bool:
        """Return whether it was ours to send."""
        with self._surviving():
            notice = call.record.notice
            if notice is None or not _is_owed(call.record):
                return False
            async with lane.free:
                claimed = replace(call.record, notice=replace(notice, due_at=from_now(self._lease_s)))
                with contextlib.suppress(StaleRecord):
                    await self._send(lane, await self._records.replace(claimed, call.etag, Deadline.after(STORE_S)))
                    return True
        return False

    async def _send(self, lane: _Lane, call: Versioned) -> None:
        """Send one message, and write what became of it."""
        record, notice = call.record, call.record.notice
        assert notice is not None  # noqa: S101 - the callers have looked
        token = CALL_ID.set(record.call_id)
        try:
            answer = await self._post(lane, record, notice)
            changed = self._after(notice, answer)
            self._metrics.callbacks.labels(_OUTCOMES[changed.state]).inc()
            if changed.state is not NoticeState.SENT:
                _log.warning("a receiver did not take a message (%s), try %d", answer.reason, changed.tries)
            await self._note(call, changed)
        finally:
            CALL_ID.reset(token)

    async def _post(self, lane: _Lane, record: CallRecord, notice: Notice) -> Answer:
        try:
            body = event_of(record, notice, lane.receiver.language)
        except StoreUnavailable:
            return Answer(None, "record_unreadable")
        headers = signed_headers(notice.event_id, int(time.time()), body, lane.secrets)
        return await self._connections.post(
            lane.receiver.url.get_secret_value(), body, {"Content-Type": CONTENT_TYPE, **headers}
        )

    def _after(self, notice: Notice, answer: Answer) -> Notice:
        """Return what is owed after a try."""
        tries = notice.tries + 1
        if answer.taken:
            return replace(notice, state=NoticeState.SENT, tries=tries, due_at=None, reason="")
        pause = pause_s(tries, answer.retry_after_s)
        over = seconds_since(notice.since) + pause > self._limits.give_up_after_s
        if over or answer.status == HTTPStatus.GONE:
            return replace(notice, state=NoticeState.DEAD, tries=tries, due_at=None, reason=answer.reason)
        return replace(notice, tries=tries, due_at=from_now(pause), reason=answer.reason)

    async def _note(self, call: Versioned, changed: Notice) -> None:
        """Write what became of a message, unless the call was erased or owes something else by now."""
        for _ in range(TRIES):
            try:
                await self._records.replace(replace(call.record, notice=changed), call.etag, Deadline.after(STORE_S))
            except StaleRecord:
                there = await self._records.read(call.record.call_id, Deadline.after(STORE_S))
                if there is None or there.record.notice is None or there.record.notice.event_id != changed.event_id:
                    return
                call = there
            else:
                return

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Whatever fails here must not end the sending; what is owed stands in the store."""
        try:
            yield
        except CallErased:
            pass
        except StoreUnavailable:
            if not self._away:
                _log.warning("the record store is away; messages wait")
            self._away = True
        except Exception:  # noqa: BLE001 - a defect of ours
            _log.exception("a message could not be sent")


_OUTCOMES = {NoticeState.SENT: "sent", NoticeState.OWED: "again", NoticeState.DEAD: "dead"}


def _is_owed(record: CallRecord) -> bool:
    return record.notice is not None and record.notice.state is NoticeState.OWED


def _bytes_of(secret: SecretStr) -> bytes:
    found = secret_bytes(secret.get_secret_value())
    assert found is not None  # noqa: S101 - the settings were checked
    return found
