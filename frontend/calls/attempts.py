"""One attempt to diagnose a call: claimed with a lease that expires, ended within the lease, and written once.

A claim replaces the version of the record that was read, so of two replicas one gets it; its result replaces the
version of the claim, so what comes after the lease was taken over is dropped. Nobody needs to notice that a process
died: its leases run out.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from frontend.calls.audio_digest import sha256_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError, StoreUnavailable
from frontend.domain.records import CallRecord, Failure, State, from_now, now
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import AudioStore, RecordStore, RecordTooLarge, StaleRecord, Versioned
from runtime.config import Limits
from runtime.errors import AudioError, InferenceError

MAX_ATTEMPTS = 100  # with the pauses between them over an hour of failing; while Triton is away nothing is attempted
MAX_PAUSE_S = 60.0
WRITE_S = 5.0  # the end of each lease, for storing what the attempt has brought
POLL_S = 0.2  # while another replica has the call in work

_log = logging.getLogger("tosia.attempts")


@dataclass(frozen=True, slots=True)
class Attempted:
    """known: the call as it is stored now, or None where that could not be seen; refused: what is wrong with the
    recording.

    erased: it is gone, and whoever asked for it must be told so.
    """

    known: Versioned | None
    refused: AudioError | None
    erased: bool = False


class Attempts:
    """Those of this process."""

    def __init__(
        self, audio: AudioStore, records: RecordStore, diagnoser: Diagnoser, limits: Limits, metrics: Metrics
    ) -> None:
        self._audio = audio
        self._records = records
        self._diagnoser = diagnoser
        self._limits = limits
        self._metrics = metrics
        self._owner = uuid.uuid4().hex
        self._running: dict[str, asyncio.Task[Attempted]] = {}
        self._beginning: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """How many calls this process has in work."""
        return len(self._running)

    async def begin(
        self, record: CallRecord, audio: bytes, deadline: Deadline
    ) -> tuple[Versioned, asyncio.Task[Attempted]]:
        """Create the record, leased to us, and start its first attempt.

        Raises: CallExists, CallErased, StoreUnavailable.
        """
        with self._beginning_of(record.call_id):
            with self._metrics.timed("create_record"):
                known = await self._records.create(self._leased(record, deadline), deadline)
            return known, self._start(known, audio, deadline)

    @contextmanager
    def _beginning_of(self, call_id: str) -> Iterator[None]:
        """Until we hear that the lease is ours, other requests of this process may read so, and must not claim the call
        as well.
        """
        self._beginning[call_id] += 1
        try:
            yield
        finally:
            self._beginning[call_id] -= 1
            if not self._beginning[call_id]:
                del self._beginning[call_id]

    def _leased(self, record: CallRecord, deadline: Deadline) -> CallRecord:
        """The record with a lease of ours over an attempt that ends at the deadline; a failed call begins anew."""
        return replace(
            record,
            state=State.RECEIVED,
            failure=None,
            attempts=1 if record.state is State.FAILED else record.attempts + 1,
            owner=self._owner,
            due_at=from_now(deadline.remaining_s + WRITE_S),
            updated_at=now(),
        )

    def _start(self, leased: Versioned, audio: bytes | None, deadline: Deadline) -> asyncio.Task[Attempted]:
        """Begin the attempt of a call that is leased to us; it goes on whether or not anybody waits for it."""
        call_id = leased.record.call_id
        task = asyncio.create_task(self._attempt(leased, audio, deadline))
        self._running[call_id] = task
        task.add_done_callback(lambda _: self._running.pop(call_id))
        return task

    async def take_up(self, known: Versioned, deadline: Deadline) -> asyncio.Task[Attempted] | None:
        """Claim a call and begin; None where another replica was faster, or the call has had its attempts."""
        if known.record.call_id in self._running or self._beginning[known.record.call_id]:
            return None
        if known.record.attempts >= MAX_ATTEMPTS and known.record.state is State.RECEIVED:
            # Its last attempt never came to an end, or it would have been given up there.
            await self._write(_failed(known.record, "internal_error", retryable=True), known)
            return None
        with self._beginning_of(known.record.call_id):
            try:
                claimed = await self._records.replace(self._leased(known.record, deadline), known.etag, deadline)
            except StaleRecord:
                return None
            return self._start(claimed, None, deadline)

    async def finish(self, known: Versioned, deadline: Deadline) -> Attempted:
        """Wait for a call that is stored, whoever has it in work, or attempt it here; until the deadline at most.

        Raises: CallErased.
        """
        call_id = known.record.call_id
        try:
            while not deadline.passed:
                task = self._running.get(call_id)
                if task is None and self._diagnoser.available and _is_free(known.record, self._owner):
                    task = await self.take_up(known, deadline)
                if task is not None:
                    return await self.outcome(task, known, deadline)
                if not self._diagnoser.available or _is_pausing_beyond(known.record, deadline):
                    break
                await asyncio.sleep(min(POLL_S, deadline.remaining_s))
                known = await self._records.read(call_id, deadline) or known
                if known.record.state is not State.RECEIVED:
                    break
        except StoreUnavailable:
            pass  # it was stored when it was read, so it is finished later
        return Attempted(known, None)

    async def outcome(self, task: asyncio.Task[Attempted], known: Versioned, deadline: Deadline) -> Attempted:
        """What came of an attempt, or the call as it was known where that is open at the deadline.

        Raises: CallErased.
        """
        await asyncio.wait({task}, timeout=deadline.remaining_s)
        attempted = task.result() if task.done() and not task.cancelled() else Attempted(None, None)
        if attempted.erased:
            raise CallErased("This call was erased meanwhile.")
        return attempted if attempted.known is not None else replace(attempted, known=known)

    async def close(self) -> None:
        """Wait for what is in work, as long as one request may take; other replicas take up the rest, or the next
        start.
        """
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._limits.request_deadline_s)
        left = list(self._running.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _attempt(self, leased: Versioned, audio: bytes | None, deadline: Deadline) -> Attempted:
        """Leaves the call `received` where trying again may help."""
        record = leased.record
        refused: AudioError | None = None
        try:
            data = audio if audio is not None else await self._audio.read(record.audio.name, deadline)
            if data is None:
                result = _failed(record, "audio_missing", retryable=False)
            elif audio is None and not await is_whole(data, record):
                result = _unfinished(record, "audio_altered")
            else:
                diagnosis = (await self._diagnoser.diagnose(data, deadline)).to_dict()
                result = _ended(replace(record, state=State.DIAGNOSED, diagnosis=diagnosis))
        except AudioError as error:
            refused = error
            result = _failed(record, error.code, retryable=False)
        except InferenceError as error:
            result = _unfinished(record, error.code)
        except FrontendError as error:
            result = _unfinished(record, error.code)
        except WorkTimeout:
            result = _failed(record, "preparation_timeout", retryable=True)
        except WorkersClosed:
            result = _unfinished(record, "internal_error")  # this process ends: whoever goes on may have it
        except Exception:  # noqa: BLE001 - a defect of ours: the call must neither be lost nor tried for ever
            _log.exception("a call could not be diagnosed")
            result = _failed(record, "internal_error", retryable=True)
        self._metrics.attempts.labels(_outcome(result)).inc()
        try:
            with self._metrics.timed("replace_record"):
                return Attempted(await self._write(result, leased), refused)
        except CallErased:
            return Attempted(None, None, erased=True)

    async def _write(self, result: CallRecord, leased: Versioned) -> Versioned | None:
        """Store what came out, unless the call was erased or taken over meanwhile; the call as it is stored then.

        Raises: CallErased.
        """
        deadline = Deadline.after(WRITE_S)
        try:
            for one in (result, _failed(leased.record, "record_too_large", retryable=False)):
                try:
                    return await self._records.replace(one, leased.etag, deadline)
                except RecordTooLarge:
                    _log.error("a result was larger than the record store takes")
                except StaleRecord:
                    _log.info("a call was erased or finished elsewhere meanwhile")
                    self._metrics.stale_results.inc()
                    return await self._records.read(result.call_id, deadline)
        except StoreUnavailable:
            _log.warning("a result could not be stored; the call is taken up again when its lease ends")
        return None


async def is_whole(data: bytes, record: CallRecord) -> bool:
    """Whether these are the bytes that were received."""
    return await sha256_of(data) == record.audio.sha256


def _is_free(record: CallRecord, owner: str) -> bool:
    """Whether a request may have the call: it had failed, is ours (an answer of the store got lost), or is due.

    The pause after a failed attempt holds for requests, too: whoever sends again every two seconds would use up all
    attempts.
    """
    return record.state is State.FAILED or record.owner == owner or record.due_at is None or record.due_at <= now()


def _is_pausing_beyond(record: CallRecord, deadline: Deadline) -> bool:
    """Whether it is in the pause after a failed attempt until after the deadline, so that waiting is of no use."""
    return record.owner is None and record.due_at is not None and record.due_at > from_now(deadline.remaining_s)


def _outcome(result: CallRecord) -> str:
    """`diagnosed`, `unfinished` (tried again later), or the code of what has failed."""
    if result.failure is not None:
        return result.failure.code
    return "diagnosed" if result.state is State.DIAGNOSED else "unfinished"


def _ended(record: CallRecord) -> CallRecord:
    """Its owner stays: it tells which process made the result."""
    return replace(record, due_at=None, updated_at=now())


def _failed(record: CallRecord, code: str, *, retryable: bool) -> CallRecord:
    return _ended(replace(record, state=State.FAILED, failure=Failure(code, retryable)))


def _unfinished(record: CallRecord, code: str) -> CallRecord:
    """To be tried again after 1, 2, 4 ... 60 s, up to MAX_ATTEMPTS times in all."""
    if record.attempts >= MAX_ATTEMPTS:
        return _failed(record, code, retryable=True)
    pause_s = min(2.0 ** min(record.attempts - 1, 6), MAX_PAUSE_S)
    return replace(record, owner=None, due_at=from_now(pause_s), updated_at=now())
