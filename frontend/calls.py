"""The life of a call, without HTTP: audio is stored, the record is created, then the work starts.

    received --> diagnosed
             \\-> failed       the recording can't be diagnosed, or inference stayed away for MAX_ATTEMPTS

What was accepted is finished, whether the caller waits or not: a call in work has a task here, and `finisher.py`
takes up what a restart or an outage left behind. Results are written with the version that was read, so a call has one result.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from frontend.diagnoser import Diagnoser
from frontend.errors import (
    AUDIO_ERRORS_BY_CODE,
    BodyTooLarge,
    CallConflict,
    CallErased,
    CallNotFound,
    FrontendError,
    NotDiagnosed,
    NotReady,
    Overloaded,
    http_error,
)
from frontend.records import CallRecord, Failure, State, StoredAudio, now
from frontend.stores.protocols import AudioStore, CallExists, Page, RecordStore, StaleRecord, Versioned
from frontend.workers import WorkersClosed, WorkTimeout
from runtime.config import Limits
from runtime.diagnosis import Diagnosis
from runtime.errors import AudioError, InferenceError

MAX_ATTEMPTS = 100  # with finisher.py's back-off this is over an hour of Triton being away

_log = logging.getLogger("tosia.calls")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call after a request; created: by this request; its state is `received` where it is finished later."""

    record: CallRecord
    created: bool


class Calls:
    """What the routes call."""

    def __init__(self, audio: AudioStore, records: RecordStore, diagnoser: Diagnoser, limits: Limits) -> None:
        self._audio = audio
        self._records = records
        self._diagnoser = diagnoser
        self._limits = limits
        self._in_work: dict[str, asyncio.Task[AudioError | None]] = {}
        self._requests = 0

    @property
    def in_work(self) -> int:
        """Recordings in work: those of requests, and those that are finished after their request was answered."""
        return max(self._requests, len(self._in_work))

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Held around a request that brings work, from before its body is read. Raises: Overloaded."""
        if self.in_work >= self._limits.max_in_flight:
            raise Overloaded("As many recordings are in work as this service takes at once: try again in a moment.")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def submit(self, call_id: str, audio: bytes, content_type: str, deadline: float) -> Outcome:
        """Store a recording and diagnose it, waiting until `deadline` (event-loop time) at most.

        Raises: CallConflict, CallErased, StoreUnavailable; AudioError or NotReady where it was stored and can't be
        diagnosed.
        """
        sha256 = await asyncio.to_thread(_sha256, audio)  # off the event loop: up to 20 MiB
        known = await self._records.read(call_id)
        created = False
        if known is None:
            name = f"calls/{call_id}/{sha256}"
            await self._audio.write(name, audio)
            try:
                known, created = await self._create(call_id, StoredAudio(name, sha256, len(audio), content_type))
            except CallErased:
                await self._audio.erase(call_id)
                raise
        if known.record.audio.sha256 != sha256:
            raise CallConflict("This call_id already has other audio: send this recording under another call_id.")
        return await self._finish_until(known, audio, created, deadline)

    async def diagnose_stored(self, call_id: str, deadline: float) -> Outcome:
        """Diagnose a call whose audio lies in the store already.

        Raises: CallNotFound, CallErased, BodyTooLarge, StoreUnavailable; AudioError or NotReady where it can't be diagnosed.
        """
        known = await self._records.read(call_id)
        if known is not None:
            return await self._finish_until(known, None, False, deadline)
        name = await self._audio.find(call_id)
        if name and (await self._audio.size(name) or 0) > self._limits.max_body_bytes:
            raise BodyTooLarge("The stored audio is larger than this service takes: store less of it.")
        data = await self._audio.read(name) if name else None
        if name is None or data is None:
            raise CallNotFound("There is neither a record nor audio of this call: check the call_id.")
        stored = StoredAudio(name, await asyncio.to_thread(_sha256, data), len(data), "application/octet-stream")
        known, created = await self._create(call_id, stored)
        return await self._finish_until(known, data, created, deadline)

    async def read(self, call_id: str) -> CallRecord:
        """Raises: CallNotFound, CallErased, StoreUnavailable."""
        known = await self._records.read(call_id)
        if known is None:
            raise CallNotFound("There is no call with this call_id: check it, or list the calls.")
        return known.record

    async def read_audio(self, call_id: str) -> tuple[CallRecord, bytes]:
        """Raises: CallNotFound, CallErased, StoreUnavailable."""
        record = await self.read(call_id)
        data = await self._audio.read(record.audio.name)
        if data is None:
            raise CallNotFound("The audio of this call is no longer stored.")
        return record, data

    async def read_diagnosed(self, call_id: str) -> tuple[CallRecord, bytes]:
        """A diagnosed call and its audio. Raises: as `read_audio`; NotDiagnosed."""
        record, data = await self.read_audio(call_id)
        if record.diagnosis is None:
            raise NotDiagnosed(f"This call is {record.state}: there is no diagnosis to draw.")
        return record, data

    async def page(self, limit: int, after: str | None, state: State | None, status: str | None) -> Page:
        """Raises: StoreUnavailable."""
        return await self._records.page(limit, after, state, status)

    async def erase(self, call_id: str) -> None:
        """Record first, so that nothing that is shown lacks its audio. Raises: CallNotFound, StoreUnavailable."""
        without_record = await self._audio.find(call_id) is not None
        if not await self._records.erase(call_id, without_record=without_record) and not without_record:
            raise CallNotFound("There is no call with this call_id: check it, or list the calls.")
        await self._audio.erase(call_id)

    def start(self, known: Versioned, audio: bytes | None = None) -> asyncio.Task[AudioError | None]:
        """The task that finishes a received call, the running one if there is one; it results in why the audio failed."""
        call_id = known.record.call_id
        task = self._in_work.get(call_id)
        if task is None:
            task = asyncio.create_task(self._finish(known, audio))
            self._in_work[call_id] = task
            task.add_done_callback(lambda _: self._in_work.pop(call_id, None))
        return task

    async def close(self) -> None:
        """Wait for what is in work, as long as one request may take; the rest is finished after the next start."""
        if self._in_work:
            await asyncio.wait(self._in_work.values(), timeout=self._limits.request_deadline_s)
        for task in list(self._in_work.values()):
            task.cancel()

    async def _create(self, call_id: str, audio: StoredAudio) -> tuple[Versioned, bool]:
        """The new record, or the one that another request created in the meantime."""
        moment = now()
        record = CallRecord(call_id, State.RECEIVED, moment, moment, 0, None, audio, None)
        try:
            return await self._records.create(record), True
        except CallExists:
            known = await self._records.read(call_id)
            if known is None:
                raise CallErased("This call was erased while it was being stored: choose another call_id.") from None
            return known, False

    async def _finish_until(self, known: Versioned, audio: bytes | None, created: bool, deadline: float) -> Outcome:
        record = known.record
        if record.state is State.FAILED and record.failure and record.failure.retryable:
            record = replace(record, state=State.RECEIVED, failure=None, attempts=0, updated_at=now())
            known = await self._replaced(record, known.etag)
        if known.record.state is State.RECEIVED:
            task = self.start(known, audio)
            done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            if done and (refused := task.result()):
                raise refused
            known = await self._records.read(record.call_id) or known
        failure = known.record.failure
        if failure and failure.code in AUDIO_ERRORS_BY_CODE:
            raise AUDIO_ERRORS_BY_CODE[failure.code](_REFUSED[failure.code])
        if failure:
            raise NotReady(f"The call is stored but could not be diagnosed ({failure.code}): send it again.")
        return Outcome(known.record, created)

    async def _finish(self, known: Versioned, audio: bytes | None) -> AudioError | None:
        """One attempt. Leaves the call `received` where trying again may help; returns why the audio failed, if so."""
        refused: AudioError | None = None
        record = replace(known.record, attempts=known.record.attempts + 1)
        try:
            data = audio if audio is not None else await self._audio.read(record.audio.name)
            if data is None:
                record = _failed(record, "audio_missing", retryable=False)
            else:
                record = _diagnosed(record, await self._diagnoser.diagnose(data))
        except AudioError as error:
            refused = error
            record = _failed(record, http_error(error).code, retryable=False)
        except (InferenceError, FrontendError):
            record = replace(record, updated_at=now())
            if record.attempts >= MAX_ATTEMPTS:
                record = _failed(record, "inference_unavailable", retryable=True)
        except WorkTimeout:
            record = _failed(record, "preparation_timeout", retryable=True)
        except WorkersClosed:
            return None
        except Exception:  # noqa: BLE001 - a defect of ours: the call must neither be lost nor tried for ever
            _log.exception("a call could not be diagnosed")
            record = _failed(record, "internal_error", retryable=True)
        try:
            await self._records.replace(record, known.etag)
        except StaleRecord:
            _log.info("a call was erased or finished elsewhere meanwhile")
        except FrontendError:
            _log.warning("a result could not be stored; the call stays received")
        return refused

    async def _replaced(self, record: CallRecord, etag: str) -> Versioned:
        try:
            return await self._records.replace(record, etag)
        except StaleRecord:
            known = await self._records.read(record.call_id)
            if known is None:
                raise CallNotFound("The call was erased meanwhile.") from None
            return known


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _diagnosed(record: CallRecord, diagnosis: Diagnosis) -> CallRecord:
    return replace(record, state=State.DIAGNOSED, diagnosis=diagnosis.to_dict(), updated_at=now())


def _failed(record: CallRecord, code: str, *, retryable: bool) -> CallRecord:
    return replace(record, state=State.FAILED, failure=Failure(code, retryable), updated_at=now())


_REFUSED = {
    "unsupported_media": "No decoder knows this format: send OGG, WebM, WAV, FLAC, MP3, M4A/AAC or AMR.",
    "empty_audio": "The file is empty: send the recording's bytes.",
    "undecodable_audio": "The file is broken or holds no usable samples: record again and send the whole file.",
    "audio_too_long": "The recording is longer than the limit: send only the part with the coughs.",
    "too_many_channels": "The recording has too many channels: send one, or the two parties of a call.",
    "unsupported_sample_rate": "The sample rate lies outside the limits: record at 8 to 48 kHz.",
}
