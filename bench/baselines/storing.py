"""Our embedded stores for code that is not asynchronous, with the sequence that our service has for a new recording.

The stores live on an event loop in a thread of their own, one for each process and for as long as the process lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from frontend.answers.http_errors import http_error
from frontend.calls.attempts import WRITE_S
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallConflict
from frontend.domain.records import CallRecord, Failure, State, StoredAudio, checked_call_id, from_now, new_call_id, now
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.protocols import Versioned
from runtime.config import load_limits
from runtime.errors import AudioError

Diagnose = Callable[
    [bytes], dict[str, Any]
]  # a recording's bytes -> its diagnosis, only JSON's types; raises AudioError

Answer = TypeVar("Answer")


class Storing:
    """The stores of this process. Several processes may share one folder:

    SQLite is in WAL mode, and audio is renamed in.
    """

    def __init__(self, var: Path) -> None:
        """Raises: StoreUnavailable."""
        _, limits = load_limits()
        self._deadline_s = limits.request_deadline_s
        self._owner = uuid.uuid4().hex
        self._audio = FolderAudioStore(var / "audio")
        self._records = SqliteRecordStore(var / "calls.sqlite", limits.retention_days)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stores", daemon=True)
        self._thread.start()

    def diagnosed(
        self, call_id: str | None, audio: bytes, content_type: str | None, diagnose: Diagnose
    ) -> dict[str, Any]:
        """Store a recording, diagnose it here, store what came out; returns the call as our service answers with it.

        call_id: None for a new one

        Raises: InvalidCallId, CallConflict, CallErased, StoreUnavailable; AudioError where it was stored and can't be
        diagnosed.
        """
        checked = checked_call_id(call_id) if call_id is not None else new_call_id()
        sha256 = hashlib.sha256(audio).hexdigest()
        stored = StoredAudio(
            f"calls/{checked}/{sha256}", sha256, len(audio), content_type or "application/octet-stream"
        )
        known, created = self._wait(self._receive(checked, stored, audio, new=call_id is None))
        if known.record.audio.sha256 != sha256:
            raise CallConflict("This call_id already has other audio: send this recording under another call_id.")
        if not created:
            return known.record.to_answer()
        try:
            result = replace(known.record, state=State.DIAGNOSED, diagnosis=diagnose(audio))
        except AudioError as error:
            self._wait(self._finish(_failed(known.record, error), known.etag))
            raise
        return self._wait(self._finish(result, known.etag)).record.to_answer()

    def close(self) -> None:
        """Give back what is held; nothing may be in work."""
        self._wait(self._records.close())
        self._wait(self._audio.close())
        self._wait(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _receive(self, call_id: str, stored: StoredAudio, audio: bytes, *, new: bool) -> tuple[Versioned, bool]:
        """The call as it is stored now, and whether this has created it; new: the id was just made, so nothing is
        stored yet.
        """
        deadline = Deadline.after(self._deadline_s)
        known = None if new else await self._records.read(call_id, deadline)
        if known is not None:
            return known, False
        await self._audio.write(stored.name, audio, deadline)
        moment = now()
        record = CallRecord(
            *(call_id, State.RECEIVED, moment, moment, 1, None, stored, None),
            owner=self._owner,
            due_at=from_now(deadline.remaining_s + WRITE_S),
        )
        return await self._records.create(record, deadline), True

    async def _finish(self, record: CallRecord, etag: str) -> Versioned:
        ended = replace(record, due_at=None, updated_at=now())
        return await self._records.replace(ended, etag, Deadline.after(WRITE_S))

    def _wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def make_stores(var: Path) -> None:
    """Before several processes open them: two that make the same database at once get in each other's way.

    Raises: StoreUnavailable.
    """
    Storing(var).close()


def _failed(record: CallRecord, error: AudioError) -> CallRecord:
    return replace(record, state=State.FAILED, failure=Failure(http_error(error).code, retryable=False))
