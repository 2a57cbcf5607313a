"""Score stored calls again, bounded, with a progress bar; after an interruption the same command goes on.

`backfill` does so with the release that serves now, `rollout --replay` with a candidate.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tqdm import tqdm

from frontend.calls.audio_digest import sha256_of
from frontend.calls.stored_audio import file_of
from frontend.cli.diagnosed import diagnosed_calls
from frontend.configuration.settings import SettingsError
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError
from frontend.domain.records import CallRecord, moment, now
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.stores.opening import Stores
from frontend.stores.protocols import RecordTooLarge, StaleRecord
from runtime.config import Limits
from runtime.diagnosis import Diagnosis
from runtime.errors import AudioError, InferenceError
from runtime.prepare import AudioFile

RETRIES = 5  # where the record changes meanwhile, or a store or Triton is away briefly


@dataclass(slots=True)
class Rescored:
    """What became of the calls. failed: one word for each; unreadable: stored records that can't be read"""

    scored: int = 0
    before: int = 0
    failed: list[str] = field(default_factory=list)
    unreadable: int = 0

    @property
    def whole(self) -> bool:
        return not self.failed and not self.unreadable

    @property
    def in_words(self) -> str:
        """Return what failed, as the end of a sentence about what did not, and a sentence about what can't be read."""
        failed = f": {', '.join(sorted(set(self.failed)))}" if self.failed else ""
        unreadable = f" Stored records that can't be read: {self.unreadable}." if self.unreadable else ""
        return f"{len(self.failed)} failed{failed}.{unreadable}"


@dataclass(frozen=True, slots=True)
class Rescoring:
    """How calls are scored again.

    score: a recording's diagnosis; is_scored: whether a record has a result already (KeyError, TypeError: it is none)
    entry: of the record's history, besides `at` and `diagnosis`
    """

    name: str
    stores: Stores
    limits: Limits
    score: Callable[[AudioFile, Deadline], Awaitable[Diagnosis]]
    is_scored: Callable[[CallRecord], bool]
    entry: dict[str, Any] = field(default_factory=dict)

    async def run(self, since: str, limit: int | None, at_once: int) -> Rescored:
        """Score the diagnosed calls since then, the newest first. limit: of calls; at_once: so many in parallel.

        Raises: StoreUnavailable.
        """
        found = Rescored()
        todo: list[str] = []
        async for record in self.diagnosed_since(since, found):
            try:
                scored = self.is_scored(record)
            except (KeyError, TypeError):  # its diagnosis lacks what every diagnosis has
                found.unreadable += 1
                continue
            if scored:
                found.before += 1
            else:
                todo.append(record.call_id)
            if limit is not None and len(todo) >= limit:
                break
        queue = iter(todo)

        async def work() -> None:
            for call_id in queue:
                why = await self._score(call_id)
                if why is not None:
                    found.failed.append(why)
                bar.update()

        with tqdm(total=len(todo), desc=self.name, unit="call", file=sys.stderr) as bar:
            await asyncio.gather(*(work() for _ in range(at_once)))
        found.scored = len(todo) - len(found.failed)
        return found

    async def diagnosed_since(self, since: str, found: Rescored | None = None) -> AsyncIterator[CallRecord]:
        """Yield the diagnosed calls since then, newest first. found: counts those that can't be read"""

        def unreadable(more: int) -> None:
            if found is not None:
                found.unreadable += more

        async for record in diagnosed_calls(self.stores.records, since, self._deadline, unreadable):
            yield record

    async def _score(self, call_id: str) -> str | None:
        """Score one call; return None, or one word for the failure."""
        why = ""
        for attempt in range(RETRIES):
            if attempt:
                await asyncio.sleep(2.0**attempt / 10.0)
            try:
                known = await self.stores.records.read(call_id, self._deadline())
                if known is None or self.is_scored(known.record):
                    return None  # expired, or another process was faster
                data = await self.stores.audio.read(known.record.audio.name, self._deadline())
                if data is None or await sha256_of(data) != known.record.audio.sha256:
                    why = "audio_missing" if data is None else "audio_altered"
                    continue
                audio = file_of(data, known.record.audio)
                diagnosis = (await self.score(audio, self._deadline())).to_dict()
                changed = self._with(known.record, diagnosis)
                await self.stores.records.replace(changed, known.etag, self._deadline())
            except CallErased:
                return None
            except (StaleRecord, FrontendError, InferenceError, WorkTimeout, WorkersClosed) as error:
                why = type(error).__name__
            except AudioError as error:
                return type(error).__name__
            except RecordTooLarge:
                return "the record's history is full"
            else:
                return None
        return why

    def _with(self, record: CallRecord, diagnosis: dict[str, Any]) -> CallRecord:
        history, at = record.history, now()
        if not self.entry and all("role" in entry for entry in history):  # what callers get begins with their answer
            history = [{"at": record.updated_at, "diagnosis": record.diagnosis}, *history]
        changed = replace(record, history=[*history, {"at": at, "diagnosis": diagnosis, **self.entry}])
        return changed if self.entry else replace(changed, updated_at=at)

    def _deadline(self) -> Deadline:
        return Deadline.after(self.limits.worker_timeout_s + self.limits.request_deadline_s)


def since_moment(text: str) -> str:
    """Return a `--since` as records have times. Raises: SettingsError."""
    return moment_of("--since", text)


def moment_of(option: str, text: str) -> str:
    """Return an option's date or time as records have times; UTC unless it says otherwise. Raises: SettingsError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{option} is {text!r}: give a date or time like 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return moment(time if time.tzinfo is not None else time.replace(tzinfo=UTC))
