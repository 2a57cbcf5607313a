"""Attempts to diagnose a call: each is claimed with a lease that expires, and its result is written once.

A claim replaces the version of the record that was read, so only one of two replicas gets it. The result replaces the
version of the claim, so a result is dropped if another process has taken over the lease. The death of a process needs
no detection: its leases expire.

    claim    lease the call to this process, and start an attempt as a task of its own
    wait     for its result, until a deadline
    release  write the result, which gives the lease back
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from opentelemetry.trace import Span

from frontend.calls.audio_digest import sha256_of
from frontend.calls.outbox import Outbox
from frontend.calls.stored_audio import file_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError, StoreUnavailable
from frontend.domain.records import (
    CallRecord,
    Failure,
    Notice,
    NoticeState,
    State,
    StoredAudio,
    from_now,
    id_sha256,
    now,
)
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.observability.json_logs import CALL_ID
from frontend.observability.line_meter import LineMeter
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import CALL, OFF, Tracing, mark_failed, span, traceparent
from frontend.rollout.rollout import Diagnosed, Rollout
from frontend.stores.protocols import AudioStore, CallExists, RecordStore, RecordTooLarge, StaleRecord, Versioned
from runtime.config import Limits
from runtime.errors import AudioError, InferenceError
from runtime.prepare import AudioFile

MAX_ATTEMPTS = 100  # over an hour of failures, with the pauses; nothing is attempted while Triton is away
MAX_PAUSE_S = 60.0
WRITE_S = 5.0  # reserved at the end of each lease for writing the result
POLL_S = 0.2  # pause between two reads while another replica works on the call

_log = logging.getLogger("tosia.attempts")


class AudioMissing(Exception):
    """The record's audio is not in the store."""

    code = "audio_missing"


class AudioAltered(Exception):
    """The stored audio differs from the received audio; the next read may return it complete."""

    code = "audio_altered"


_OUTCOMES = {State.DIAGNOSED: "diagnosed", State.RECEIVED: "unfinished"}

# The state after an error: attempted again later, failed for good, or failed until the caller sends the call again.
_TRY_AGAIN = (InferenceError, FrontendError, WorkersClosed, AudioAltered)
_FAIL_FOR_GOOD = (AudioError, AudioMissing)
_FAIL_FOR_NOW = (WorkTimeout,)


@dataclass(frozen=True, slots=True)
class Stored:
    """The call as it is stored after the attempt; this or another process wrote it."""

    call: Versioned


@dataclass(frozen=True, slots=True)
class Refused:
    """The recording can't be diagnosed."""

    error: AudioError


@dataclass(frozen=True, slots=True)
class Pending:
    """The attempt missed the deadline, or its result could not be written: the call is attempted again later."""


@dataclass(frozen=True, slots=True)
class Erased:
    """The call was erased during the attempt."""


AttemptResult = Stored | Refused | Pending | Erased
Attempt = asyncio.Task[AttemptResult]


class Attempts:
    """Claims, runs and tracks this process's diagnosis attempts."""

    def __init__(
        self,
        audio: AudioStore,
        records: RecordStore,
        diagnoser: Diagnoser,
        rollout: Rollout,
        limits: Limits,
        metrics: Metrics,
        line: LineMeter,
        outbox: Outbox,
        tracing: Tracing = OFF,
    ) -> None:
        self._audio = audio
        self._records = records
        self._diagnoser = diagnoser
        self._rollout = rollout
        self._limits = limits
        self._metrics = metrics
        self._outbox = outbox
        self._line = line
        self._tracing = tracing
        self._owner = uuid.uuid4().hex
        self._running: dict[str, Attempt] = {}
        # Until the store confirms our lease, other requests of this process must not claim the same call.
        self._claiming: Counter[str] = Counter()

    @property
    def running(self) -> Collection[str]:
        """Return a live view of the calls that this process works on."""
        return self._running.keys()

    async def claim_new(
        self, call_id: str, stored: StoredAudio, audio: AudioFile, deadline: Deadline, key: str | None = None
    ) -> tuple[Versioned, bool]:
        """Create the record, leased to this process, and start its first attempt; or return the record that another
        request has created meanwhile. The second value: whether it was created here.

        key: the name of the API key

        Raises: CallErased, StoreUnavailable.
        """
        moment, due_at = now(), from_now(deadline.remaining_s + WRITE_S)
        record = CallRecord(
            call_id,
            State.RECEIVED,
            moment,
            moment,
            1,
            None,
            stored,
            None,
            owner=self._owner,
            due_at=due_at,
            assigned=self._rollout.assign(call_id),
            key=key,
            traceparent=traceparent(),
            notice=self._outbox.begun(key),
        )
        self._claiming[call_id] += 1
        try:
            with self._metrics.stage("create_record"):
                claimed = await self._records.create(record, deadline)
            self._running[call_id] = asyncio.create_task(self._attempt(claimed, deadline, audio))
            return claimed, True
        except CallExists:
            call = await self._records.read(call_id, deadline)
            if call is None:
                raise CallErased("call_erased_while_stored") from None
            return call, False
        finally:
            self._claiming[call_id] -= 1
            self._claiming += Counter()  # removes counts that are not positive

    async def claim(self, call: Versioned, deadline: Deadline) -> Attempt | None:
        """Lease a stored call to this process and start an attempt; None where another process was faster, or no
        attempts are left.

        Raises: CallErased, StoreUnavailable.
        """
        record = call.record
        if record.call_id in self._running or self._claiming[record.call_id]:
            return None
        left = record.state is State.RECEIVED and record.owner not in (None, self._owner)  # by a process that died
        if (left and record.in_doubt) or (record.attempts >= MAX_ATTEMPTS and record.state is State.RECEIVED):
            # With so many attempts, the last never ended: otherwise it would have marked the call as failed.
            token = CALL_ID.set(record.call_id)
            try:
                _log.error("a call is given up: its attempts were begun and never ended")
                await self._release(_failed(record, "attempts_never_ended", retryable=True), call)
            finally:
                CALL_ID.reset(token)
            return None
        self._claiming[record.call_id] += 1
        try:
            leased = replace(
                record,
                state=State.RECEIVED,
                failure=None,
                attempts=1 if record.state is State.FAILED else record.attempts + 1,  # a failed call starts anew
                owner=self._owner,
                due_at=from_now(deadline.remaining_s + WRITE_S),
                updated_at=now(),
                in_doubt=False,
                notice=Notice(record.notice.to, NoticeState.NOTHING_YET) if record.notice else None,
            )
            claimed = await self._records.replace(leased, call.etag, deadline)
            self._running[record.call_id] = attempt = asyncio.create_task(
                self._attempt(claimed, deadline, None, suspect=left)
            )
            return attempt
        except StaleRecord:
            return None
        finally:
            self._claiming[record.call_id] -= 1
            self._claiming += Counter()

    async def wait(self, call: Versioned, deadline: Deadline) -> AttemptResult:
        """Wait for a call that this or another process works on, or attempt it here; until the deadline at most.

        Raises: CallErased.
        """
        record = call.record
        try:
            while not deadline.passed:
                attempt = self._running.get(record.call_id)
                if attempt is None and self._diagnoser.available and _is_free(record, self._owner):
                    attempt = await self.claim(call, deadline)
                if attempt is not None:
                    await asyncio.wait({attempt}, timeout=deadline.remaining_s)
                    result = attempt.result() if attempt.done() and not attempt.cancelled() else Pending()
                    return Stored(_as_begun(call)) if isinstance(result, Pending) else result
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
        """Wait for the running attempts, at most as long as one request may take; other replicas take up the rest."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._limits.request_deadline_s)
        left = list(self._running.values())
        for attempt in left:
            attempt.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _attempt(
        self, claimed: Versioned, deadline: Deadline, audio: AudioFile | None, *, suspect: bool = False
    ) -> AttemptResult:
        """Make an attempt in a span of its own, see `_diagnose`."""
        record = claimed.record
        with self._tracing.attempt(record.traceparent, lambda: {CALL: id_sha256(record.call_id)}) as made:
            return await self._diagnose(claimed, deadline, audio, made, suspect=suspect)

    async def _diagnose(
        self, claimed: Versioned, deadline: Deadline, audio: AudioFile | None, made: Span, *, suspect: bool
    ) -> AttemptResult:
        """Diagnose, then release; a task of its own, which runs on even if no request waits for it. The record stays
        `received` where another attempt may help. audio: by default read from the store.

        suspect: the attempt before this one never ended, and the recording may be what ended its process. The record
        then says while the recording is prepared that it is: if this process ends as well, no other begins it again.
        """
        record, refused = claimed.record, None
        found: Diagnosed | None = None

        async def set_doubt(in_doubt: bool) -> None:
            nonlocal claimed
            claimed = await self._records.replace(replace(record, in_doubt=in_doubt), claimed.etag, deadline)

        CALL_ID.set(record.call_id)  # log lines of this task carry its digest
        try:
            try:
                audio = audio or await self._stored_audio(record, deadline)
                if suspect:
                    await set_doubt(True)
                    found = await self._rollout.diagnose(record.assigned, audio, deadline, lambda _: set_doubt(False))
                else:
                    found = await self._rollout.diagnose(record.assigned, audio, deadline)
                result = replace(
                    record,
                    state=State.DIAGNOSED,
                    diagnosis=found.diagnosis.to_dict(),
                    due_at=None,
                    assigned=found.assigned,
                )
            except StaleRecord:
                return Pending()  # erased, or claimed elsewhere
            except Exception as error:  # noqa: BLE001 - a call must not be lost, nor attempted for ever
                result = _after_error(record, error)
                mark_failed(made, error)
                refused = Refused(error) if isinstance(error, AudioError) else None
            outcome = result.failure.code if result.failure else _OUTCOMES[result.state]
            self._metrics.attempts.labels(outcome).inc()
            made.set_attribute("tosia.outcome", outcome)
            with self._metrics.stage("replace_record"):
                stored = await self._release(result, claimed)
            ours = stored is not None and stored.record.owner == self._owner  # or another replica's result stands
            if stored is not None and ours and found is not None and audio is not None:
                self._line.count(found.diagnosis, record.key)
                self._rollout.answered(stored.record, found, audio)
            return refused or (Pending() if stored is None else Stored(stored))
        except CallErased:
            return Erased()
        except asyncio.CancelledError:  # this process ends, and the recording has no part in that
            with contextlib.suppress(CallErased):
                await self._release(replace(record, owner=None, due_at=now()), claimed)
            raise
        finally:
            del self._running[record.call_id]

    async def _stored_audio(self, record: CallRecord, deadline: Deadline) -> AudioFile:
        """Read the call's audio from the store. Raises: AudioMissing, AudioAltered, StoreUnavailable."""
        with span("read_audio"):
            data = await self._audio.read(record.audio.name, deadline)
        if data is None:
            raise AudioMissing
        if await sha256_of(data) != record.audio.sha256:
            raise AudioAltered
        return file_of(data, record.audio)

    async def _release(self, result: CallRecord, claimed: Versioned) -> Versioned | None:
        """Write the result and return the call as it is now. A call that was erased, or claimed by another process,
        is left as it is.

        The owner stays in the record: it names the process that made the result. Raises: CallErased.
        """
        deadline = Deadline.after(WRITE_S)
        try:
            try:
                return await self._write(result, claimed, deadline)
            except RecordTooLarge:
                _log.error("a result was larger than the record store takes")
                failed = _failed(claimed.record, "record_too_large", retryable=False)
                return await self._write(failed, claimed, deadline)
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

    async def _write(self, result: CallRecord, claimed: Versioned, deadline: Deadline) -> Versioned:
        """Write a record, with what is owed where it has got its result. Raises: as `RecordStore.replace`."""
        ended = result.state is not State.RECEIVED
        if ended:
            result = self._outbox.owed(result)
        stored = await self._records.replace(replace(result, updated_at=now()), claimed.etag, deadline)
        if ended:
            self._outbox.offer(stored.record)
        return stored


def _after_error(record: CallRecord, error: Exception) -> CallRecord:
    """Return the record after an attempt that ended with an error."""
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
    """Return the record with its next attempt due after 1, 2, 4 ... 60 s, up to MAX_ATTEMPTS attempts in all."""
    if record.attempts >= MAX_ATTEMPTS:
        return _failed(record, code, retryable=True)
    pause_s = min(2.0 ** min(record.attempts - 1, 6), MAX_PAUSE_S)
    return replace(record, owner=None, due_at=from_now(pause_s))


def _is_free(record: CallRecord, owner: str) -> bool:
    """Whether a request may claim the call: it has failed, is ours (the store's answer was lost), or is due.

    The pause after a failed attempt also applies to requests: otherwise a caller that sends the call again every two
    seconds would use up all attempts.
    """
    return record.state is State.FAILED or record.owner == owner or record.due_at is None or record.due_at <= now()


def _as_begun(call: Versioned) -> Versioned:
    """Return a call in work as its caller is told of it: one that had failed was begun anew, and waits."""
    if call.record.state is not State.FAILED:
        return call
    return replace(call, record=replace(call.record, state=State.RECEIVED, failure=None))


def _is_pausing_beyond(record: CallRecord, deadline: Deadline) -> bool:
    """Whether the pause after a failed attempt ends after the deadline, so that waiting is useless."""
    return record.owner is None and record.due_at is not None and record.due_at > from_now(deadline.remaining_s)
