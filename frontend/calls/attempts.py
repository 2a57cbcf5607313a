"""Attempts to diagnose a call: each is claimed with a lease that expires, and its result is written once.

A claim replaces the version of the record that was read, so of two replicas one gets it. Its result replaces the
version of the claim, so a result that comes after the lease was taken over is dropped. Nobody needs to notice that a
process died: its leases run out.

    claim    lease the call to this process, and start an attempt as a task of its own
    wait     for its result, until a deadline
    release  write the result, which gives the lease back
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from frontend.calls.audio_digest import sha256_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError, StoreUnavailable
from frontend.domain.records import CallRecord, Failure, State, from_now, now
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.observability.json_logs import CALL_ID
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import AudioStore, RecordStore, RecordTooLarge, StaleRecord, Versioned
from runtime.config import Limits
from runtime.errors import AudioError, InferenceError
from runtime.prepare import AudioFile

MAX_ATTEMPTS = 100  # with the pauses between them over an hour of failing; while Triton is away nothing is attempted
MAX_PAUSE_S = 60.0
WRITE_S = 5.0  # the end of each lease, for writing the result of the attempt
POLL_S = 0.2  # while another replica has the call in work

_log = logging.getLogger("tosia.attempts")


class AudioMissing(Exception):
    """The record's audio is not in the store."""

    code = "audio_missing"


class AudioAltered(Exception):
    """The stored audio is not what was received; the next reading may give it whole."""

    code = "audio_altered"


_OUTCOMES = {State.DIAGNOSED: "diagnosed", State.RECEIVED: "unfinished"}

# What an error leaves behind: tried again later, failed for good, or failed until the caller sends it again.
_TRY_AGAIN = (InferenceError, FrontendError, WorkersClosed, AudioAltered)
_FAIL_FOR_GOOD = (AudioError, AudioMissing)
_FAIL_FOR_NOW = (WorkTimeout,)


@dataclass(frozen=True, slots=True)
class Stored:
    """The call as it is stored after the attempt, whoever wrote it."""

    call: Versioned


@dataclass(frozen=True, slots=True)
class Refused:
    """The recording can't be diagnosed."""

    error: AudioError


@dataclass(frozen=True, slots=True)
class Pending:
    """Not finished at the deadline, or the result could not be written: the call is attempted again later."""


@dataclass(frozen=True, slots=True)
class Erased:
    """The call was erased meanwhile."""


AttemptResult = Stored | Refused | Pending | Erased
Attempt = asyncio.Task[AttemptResult]


class Attempts:
    """Claims, runs and tracks this process's diagnosis attempts."""

    def __init__(
        self, audio: AudioStore, records: RecordStore, diagnoser: Diagnoser, limits: Limits, metrics: Metrics
    ) -> None:
        self._audio = audio
        self._records = records
        self._diagnoser = diagnoser
        self._limits = limits
        self._metrics = metrics
        self._owner = uuid.uuid4().hex
        self._running: dict[str, Attempt] = {}
        # Until the store says that the lease is ours, other requests of this process must not claim the call as well.
        self._claiming: Counter[str] = Counter()

    @property
    def running(self) -> Collection[str]:
        """The calls that this process has in work; always as they are now."""
        return self._running.keys()

    async def claim_new(self, record: CallRecord, audio: AudioFile, deadline: Deadline) -> tuple[Versioned, Attempt]:
        """Create the record, leased to this process, and start its first attempt.

        Raises: CallExists, CallErased, StoreUnavailable.
        """
        self._claiming[record.call_id] += 1
        try:
            with self._metrics.timed("create_record"):
                claimed = await self._records.create(self._leased(record, deadline), deadline)
            return claimed, self._start(claimed, deadline, audio)
        finally:
            self._claiming[record.call_id] -= 1
            self._claiming += Counter()  # keeps positive counts only

    async def claim(self, call: Versioned, deadline: Deadline) -> Attempt | None:
        """Lease a stored call to this process and start an attempt; None where another one was faster, or the call has
        had its attempts.

        Raises: CallErased, StoreUnavailable.
        """
        record = call.record
        if record.call_id in self._running or self._claiming[record.call_id]:
            return None
        if record.attempts >= MAX_ATTEMPTS and record.state is State.RECEIVED:
            # Its last attempt never came to an end, or it would have been given up there.
            token = CALL_ID.set(record.call_id)
            try:
                await self._release(_failed(record, "internal_error", retryable=True), call)
            finally:
                CALL_ID.reset(token)
            return None
        self._claiming[record.call_id] += 1
        try:
            claimed = await self._records.replace(self._leased(record, deadline), call.etag, deadline)
            return self._start(claimed, deadline, None)
        except StaleRecord:
            return None
        finally:
            self._claiming[record.call_id] -= 1
            self._claiming += Counter()

    async def wait(self, attempt: Attempt, deadline: Deadline) -> AttemptResult:
        """The attempt's result, or Pending at the deadline."""
        await asyncio.wait({attempt}, timeout=deadline.remaining_s)
        return attempt.result() if attempt.done() and not attempt.cancelled() else Pending()

    async def wait_for_stored(self, call: Versioned, deadline: Deadline) -> AttemptResult:
        """Wait for a stored call, whichever process has it in work, or attempt it here; until the deadline at most.

        Raises: CallErased.
        """
        record = call.record
        try:
            while not deadline.passed:
                attempt = self._running.get(record.call_id)
                if attempt is None and self._diagnoser.available and _is_free(record, self._owner):
                    attempt = await self.claim(call, deadline)
                if attempt is not None:
                    result = await self.wait(attempt, deadline)
                    return Stored(call) if isinstance(result, Pending) else result
                if not self._diagnoser.available or _is_pausing_beyond(record, deadline):
                    break
                await asyncio.sleep(min(POLL_S, deadline.remaining_s))
                call = await self._records.read(record.call_id, deadline) or call
                record = call.record
                if record.state is not State.RECEIVED:
                    break
        except StoreUnavailable:
            pass  # the call is stored, so it is finished later
        return Stored(call)

    async def close(self) -> None:
        """Wait for the attempts in work, as long as one request may take; other replicas retry the rest."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._limits.request_deadline_s)
        left = list(self._running.values())
        for attempt in left:
            attempt.cancel()
        await asyncio.gather(*left, return_exceptions=True)

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

    def _start(self, claimed: Versioned, deadline: Deadline, audio: AudioFile | None) -> Attempt:
        """The attempt goes on whether or not anybody waits for it. audio: by default read from the store."""
        attempt = asyncio.create_task(self._attempt(claimed, deadline, audio))
        self._running[claimed.record.call_id] = attempt
        return attempt

    async def _attempt(self, claimed: Versioned, deadline: Deadline, audio: AudioFile | None) -> AttemptResult:
        """Diagnose, then release; the record stays `received` where trying again may help."""
        record, refused = claimed.record, None
        CALL_ID.set(record.call_id)  # log lines of this task carry its digest
        try:
            try:
                audio = audio or await self._stored_audio(record, deadline)
                diagnosis = await self._diagnoser.diagnose(audio, deadline)
                result = replace(record, state=State.DIAGNOSED, diagnosis=diagnosis.to_dict(), due_at=None)
            except Exception as error:  # noqa: BLE001 - a call must neither be lost nor tried for ever
                result = _after_error(record, error)
                refused = Refused(error) if isinstance(error, AudioError) else None
            self._metrics.attempts.labels(result.failure.code if result.failure else _OUTCOMES[result.state]).inc()
            with self._metrics.timed("replace_record"):
                stored = await self._release(result, claimed)
            return refused or (Pending() if stored is None else Stored(stored))
        except CallErased:
            return Erased()
        finally:
            del self._running[record.call_id]

    async def _stored_audio(self, record: CallRecord, deadline: Deadline) -> AudioFile:
        """Raises: AudioMissing, AudioAltered, StoreUnavailable."""
        data = await self._audio.read(record.audio.name, deadline)
        if data is None:
            raise AudioMissing
        if await sha256_of(data) != record.audio.sha256:
            raise AudioAltered
        return AudioFile(data, record.audio.sha256)

    async def _release(self, result: CallRecord, claimed: Versioned) -> Versioned | None:
        """Write the result, unless the call was erased or claimed by another process meanwhile; the call as it is now.

        Its owner stays in the record: it tells which process made the result. Raises: CallErased.
        """
        deadline = Deadline.after(WRITE_S)
        try:
            try:
                return await self._records.replace(replace(result, updated_at=now()), claimed.etag, deadline)
            except RecordTooLarge:
                _log.error("a result was larger than the record store takes")
                failed = _failed(claimed.record, "record_too_large", retryable=False)
                return await self._records.replace(replace(failed, updated_at=now()), claimed.etag, deadline)
        except RecordTooLarge:
            _log.error("not even the failure fits into the record store")
        except StaleRecord:
            _log.info("the result is dropped: the call was erased or claimed elsewhere meanwhile")
            self._metrics.stale_results.inc()
            try:
                return await self._records.read(result.call_id, deadline)
            except StoreUnavailable:
                pass
        except StoreUnavailable:
            _log.warning("a result could not be stored; the call is attempted again when its lease ends")
        return None


def _after_error(record: CallRecord, error: Exception) -> CallRecord:
    """The record after an attempt that ended with an error."""
    if isinstance(error, _TRY_AGAIN):
        return _unfinished(record, error.code)
    if isinstance(error, _FAIL_FOR_GOOD):
        return _failed(record, error.code, retryable=False)
    if isinstance(error, _FAIL_FOR_NOW):
        return _failed(record, error.code, retryable=True)
    _log.error("a call could not be diagnosed", exc_info=error)  # a defect of ours
    return _failed(record, "internal_error", retryable=True)


def _failed(record: CallRecord, code: str, *, retryable: bool) -> CallRecord:
    return replace(record, state=State.FAILED, failure=Failure(code, retryable), due_at=None)


def _unfinished(record: CallRecord, code: str) -> CallRecord:
    """To be tried again after 1, 2, 4 ... 60 s, up to MAX_ATTEMPTS times in all."""
    if record.attempts >= MAX_ATTEMPTS:
        return _failed(record, code, retryable=True)
    pause_s = min(2.0 ** min(record.attempts - 1, 6), MAX_PAUSE_S)
    return replace(record, owner=None, due_at=from_now(pause_s))


def _is_free(record: CallRecord, owner: str) -> bool:
    """Whether a request may claim the call: it had failed, is ours (an answer of the store got lost), or is due.

    The pause after a failed attempt holds for requests, too: a caller who sends again every two seconds would use up
    all attempts.
    """
    return record.state is State.FAILED or record.owner == owner or record.due_at is None or record.due_at <= now()


def _is_pausing_beyond(record: CallRecord, deadline: Deadline) -> bool:
    """Whether the pause after a failed attempt lasts until after the deadline, so that waiting is of no use."""
    return record.owner is None and record.due_at is not None and record.due_at > from_now(deadline.remaining_s)
