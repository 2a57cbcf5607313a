"""The life of a call, without HTTP: audio is stored, the record is created, then the work starts.

    received --> diagnosed
             \\-> failed       the recording can't be diagnosed, or its attempts came to nothing (attempts.py)

An accepted call is always finished, even if the caller does not wait: `reconciler.py` claims the calls that a restart
or an outage left unfinished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from frontend.calls.attempts import AttemptResult, Attempts, Erased, Refused, Stored
from frontend.calls.audio_digest import sha256_of
from frontend.calls.stored_audio import PiecewiseAudio, format_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import (
    AUDIO_ERRORS_BY_CODE,
    BodyTooLarge,
    CallConflict,
    CallErased,
    CallNotFound,
    NotDiagnosed,
    NotReady,
    StoreUnavailable,
)
from frontend.domain.records import CallRecord, State, StoredAudio, is_drawable
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import span
from frontend.stores.protocols import UNREADABLE, AudioStore, Page, RecordStore, Versioned
from runtime.config import Limits
from runtime.prepare import AudioFile, headerless_by_name


def _hold_nothing(audio_bytes: int) -> None:
    """For callers who count no memory."""


class NotLanded(Exception):
    """There is no such audio, or it is empty: created, and not yet written."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call after a request. created: by this request. The state is `received` if the call is finished later."""

    record: CallRecord
    created: bool


class Calls:
    """Submits, reads and erases calls; the routes use it."""

    def __init__(
        self, audio: AudioStore, records: RecordStore, attempts: Attempts, limits: Limits, metrics: Metrics
    ) -> None:
        self._audio = audio
        self._records = records
        self._attempts = attempts
        self._limits = limits
        self._metrics = metrics

    async def submit(
        self,
        call_id: str,
        audio: AudioFile,
        content_type: str,
        deadline: Deadline,
        *,
        new: bool = False,
        key: str | None = None,
    ) -> Outcome:
        """Store a recording and diagnose it, until the deadline at most.

        new: the id was just made, so nothing is stored under it yet; key: the name of the API key that brings it

        Raises: CallConflict, CallErased, StoreUnavailable; AudioError or NotReady where the recording was stored and
        can't be diagnosed.
        """
        call, created = None, False
        if not new:
            with span("read_record"):
                call = await self._records.read(call_id, deadline)
        if call is None:
            stored = StoredAudio(
                f"calls/{call_id}/{audio.sha256}", audio.sha256, len(audio.data), content_type, format_of(audio)
            )
            with self._metrics.stage("store_audio"):
                await self._audio.write(stored.name, audio.data, deadline)
            try:
                call, created = await self._attempts.claim_new(call_id, stored, audio, deadline, key)
            except CallErased:
                await self._audio.erase(call_id, deadline)
                raise
        known = call.record.audio
        if (known.sha256, known.format) != (audio.sha256, format_of(audio)):
            raise CallConflict("call_id_taken")
        return await self._finish(call, deadline, created=created)

    async def diagnose_stored(
        self,
        call_id: str,
        deadline: Deadline,
        hold: Callable[[int], None] = _hold_nothing,
        *,
        key: str | None = None,
    ) -> Outcome:
        """Diagnose a call whose audio is already in the store.

        hold: gets the bytes of audio before they are read; key: the name of the API key that asks

        Raises: CallNotFound, CallErased, BodyTooLarge, StoreUnavailable; AudioError or NotReady where it can't be
            diagnosed.
        """
        with span("read_record"):
            call = await self._records.read(call_id, deadline)
        if call is not None:
            return await self._finish(call, deadline, created=False)
        name = await self._audio.find(call_id, deadline)
        taken = await self._take(call_id, name, deadline, hold, key) if name else None
        if taken is None:
            raise CallNotFound("neither_record_nor_audio")
        call, created = taken
        return await self._finish(call, deadline, created=created)

    async def diagnose_landed(
        self, call_id: str, name: str, deadline: Deadline, key: str | None, *, again: bool
    ) -> Outcome:
        """Diagnose audio that somebody has written to the store under this name. A call whose record stands is left to
        whoever works on it, unless it has failed and may be tried again. Audio of an erased call is erased again.

        key: of the key to which it belongs; again: it was begun before, so its record is looked for first

        Raises: NotLanded, CallConflict, CallErased, BodyTooLarge, StoreUnavailable; AudioError or NotReady where it
            can't be diagnosed.
        """
        try:
            call, created = (await self._records.read(call_id, deadline) if again else None), False
            if call is None:
                most = self._limits.max_body_bytes
                data = await self._audio.read_piece(name, 0, most + 1, deadline)
                if data and len(data) > most:
                    raise BodyTooLarge("stored_audio_too_large")
                if data:
                    call, created = await self._begin(call_id, name, data, deadline, key)
                else:
                    call = await self._records.read(call_id, deadline)
        except CallErased:
            await self._audio.erase(call_id, deadline)
            raise
        if call is None:
            raise NotLanded
        record = call.record
        if record.audio.name != name:
            raise CallConflict("call_id_taken")
        if created or (record.failure and record.failure.retryable):
            return await self._finish(call, deadline, created=created)
        return Outcome(record, created=False)  # its result, or it is in work

    async def read(self, call_id: str, deadline: Deadline) -> CallRecord:
        """Raises: CallNotFound, CallErased, StoreUnavailable."""
        known = await self._records.read(call_id, deadline)
        if known is None:
            raise CallNotFound("no_such_call")
        return known.record

    def piecewise(self, record: CallRecord) -> PiecewiseAudio:
        """Return a call's audio, to be verified and sent in pieces."""
        return PiecewiseAudio(self._audio, record.audio)

    async def read_audio(
        self, call_id: str, deadline: Deadline, hold: Callable[[int], None] = _hold_nothing
    ) -> tuple[CallRecord, bytes]:
        """Return a call and its whole audio. hold: gets the bytes of audio before they are read

        Raises: CallNotFound, CallErased, StoreUnavailable; all that `hold` raises.
        """
        record = await self.read(call_id, deadline)
        hold(record.audio.bytes)
        data = await self._audio.read(record.audio.name, deadline)
        if data is None:
            raise CallNotFound("audio_no_longer_stored")
        if await sha256_of(data) != record.audio.sha256:
            raise StoreUnavailable("stored_audio_altered")
        return record, data

    async def read_diagnosed(
        self, call_id: str, deadline: Deadline, hold: Callable[[int], None] = _hold_nothing
    ) -> tuple[CallRecord, bytes]:
        """Return a diagnosed call and its whole audio. Raises: as `read_audio`; NotDiagnosed."""
        record, data = await self.read_audio(call_id, deadline, hold)
        if record.diagnosis is None:
            raise NotDiagnosed("nothing_to_draw", state=record.state.value)
        if not is_drawable(record.diagnosis):
            raise StoreUnavailable(UNREADABLE, retry_after_s=60)
        return record, data

    async def page(
        self, limit: int, after: str | None, state: State | None, status: str | None, deadline: Deadline
    ) -> Page:
        """Raises: StoreUnavailable."""
        return await self._records.page(limit, after, state, status, deadline)

    async def erase(self, call_id: str, deadline: Deadline) -> None:
        """Erase the record, then the audio: every listed call has audio. Raises: CallNotFound, StoreUnavailable."""
        there = await self._audio.find(call_id, deadline) is not None
        if not await self._records.erase(call_id, without_record=there, deadline=deadline):
            raise CallNotFound("no_such_call")
        await self._audio.erase(call_id, deadline)

    async def _take(
        self, call_id: str, name: str, deadline: Deadline, hold: Callable[[int], None], key: str | None
    ) -> tuple[Versioned, bool] | None:
        """Begin a call with audio that is in the store; None where it is not. The second value: whether it is new.

        Raises: BodyTooLarge, CallErased, StoreUnavailable.
        """
        size = await self._audio.size(name, deadline) or 0
        if size > self._limits.max_body_bytes:
            raise BodyTooLarge("stored_audio_too_large")
        hold(size)
        with span("read_audio"):
            data = await self._audio.read(name, deadline)
        return None if data is None else await self._begin(call_id, name, data, deadline, key)

    async def _begin(
        self, call_id: str, name: str, data: bytes, deadline: Deadline, key: str | None
    ) -> tuple[Versioned, bool]:
        """Begin a call with the audio that was read under this name. Raises: CallErased, StoreUnavailable."""
        audio = AudioFile(data, await sha256_of(data), headerless_by_name(name))
        stored = StoredAudio(name, audio.sha256, len(data), "application/octet-stream", format_of(audio))
        return await self._attempts.claim_new(call_id, stored, audio, deadline, key)

    async def _finish(self, call: Versioned, deadline: Deadline, *, created: bool) -> Outcome:
        """Wait for the call's result. created: by this request.

        Raises: CallErased; AudioError for a recording that can't be diagnosed; NotReady for a call that failed and may
        be sent again.
        """
        record = call.record
        result: AttemptResult = Stored(call)
        if record.state is State.RECEIVED or (record.failure and record.failure.retryable):
            result = await self._attempts.wait(call, deadline)
        match result:
            case Refused(error):
                raise error
            case Erased():
                raise CallErased("call_erased_meanwhile")
            case Stored(found):
                record = found.record
        failure = record.failure
        if failure and failure.code in AUDIO_ERRORS_BY_CODE:
            raise AUDIO_ERRORS_BY_CODE[failure.code](f"again_{failure.code}")
        if failure and failure.retryable:
            raise NotReady("stored_not_diagnosed", code=failure.code)
        return Outcome(record, created=created)
