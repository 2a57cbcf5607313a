"""Score stored calls again with the release that serves now. The old result stays; the new one is added to the record.

After an interruption the same command continues: it skips calls with a result of this model and these parameters.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tqdm import tqdm

from frontend.calls.audio_digest import sha256_of
from frontend.configuration.settings import Settings, SettingsError
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError
from frontend.domain.records import CallRecord, State, moment, now
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.services import Services, open_foundation
from frontend.stores.opening import Stores
from frontend.stores.protocols import RecordTooLarge, StaleRecord
from runtime.config import Limits
from runtime.contract import ModelContract
from runtime.errors import AudioError, InferenceError
from runtime.prepare import AudioFile

PAGE = 200
RETRIES = 5  # where the record changes meanwhile, or a store or Triton is away briefly


async def backfill(settings: Settings, since: str, limit: int | None) -> int:
    """Run the command and return its exit code. Raises: SettingsError, ConfigError; StoreUnavailable, NotReady."""
    from_moment = _moment(since)
    worker_count = settings.tuning.worker_count
    services = Services(open_foundation(settings), worker_count=worker_count)
    try:
        await services.start()
        work = _Backfill(services.stores, services.diagnoser, services.model.contract(), services.limits)
        return await work.run(from_moment, limit, at_once=2 * worker_count)
    finally:
        await services.close()


class _Backfill:
    def __init__(self, stores: Stores, diagnoser: Diagnoser, contract: ModelContract, limits: Limits) -> None:
        self._stores = stores
        self._diagnoser = diagnoser
        self._contract = contract
        self._limits = limits
        self._unreadable = 0

    async def run(self, since: str, limit: int | None, at_once: int) -> int:
        todo: list[str] = []
        there = 0
        async for record in self._diagnosed_since(since):
            try:
                scored = self._is_scored(record)
            except (KeyError, TypeError):  # its diagnosis lacks what every diagnosis has
                self._unreadable += 1
                continue
            if scored:
                there += 1
            else:
                todo.append(record.call_id)
            if limit is not None and len(todo) >= limit:
                break
        queue = iter(todo)
        failed: list[str] = []

        async def work() -> None:
            for call_id in queue:
                why = await self._score(call_id)
                if why is not None:
                    failed.append(why)
                bar.update()

        with tqdm(total=len(todo), desc="backfill", unit="call", file=sys.stderr) as bar:
            await asyncio.gather(*(work() for _ in range(at_once)))
        model = self._contract.model
        unreadable = f" Stored records that can't be read: {self._unreadable}." if self._unreadable else ""
        print(
            f"{len(todo) - len(failed)} calls scored by {model.name} {model.version}, {there} had been before, "
            f"{len(failed)} failed{': ' + ', '.join(sorted(set(failed))) if failed else ''}.{unreadable}"
        )
        return 1 if failed or self._unreadable else 0

    async def _diagnosed_since(self, since: str) -> AsyncIterator[CallRecord]:
        """Yield the diagnosed calls since then, newest first."""
        after: str | None = None
        while True:
            page = await self._stores.records.page(PAGE, after, State.DIAGNOSED, None, self._deadline())
            self._unreadable += page.unreadable
            for record in page.items:
                if record.received_at < since:
                    return
                yield record
            after = page.next
            if after is None:
                return

    async def _score(self, call_id: str) -> str | None:
        """Score one call; return None, or one word for the failure."""
        why = ""
        for attempt in range(RETRIES):
            if attempt:
                await asyncio.sleep(2.0**attempt / 10.0)
            try:
                known = await self._stores.records.read(call_id, self._deadline())
                if known is None or self._is_scored(known.record):
                    return None  # expired, or another process was faster
                data = await self._stores.audio.read(known.record.audio.name, self._deadline())
                if data is None or await sha256_of(data) != known.record.audio.sha256:
                    why = "audio_missing" if data is None else "audio_altered"
                    continue
                audio = AudioFile(data, known.record.audio.sha256)
                diagnosis = (await self._diagnoser.diagnose(audio, self._deadline())).to_dict()
                await self._stores.records.replace(_with(known.record, diagnosis), known.etag, self._deadline())
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

    def _is_scored(self, record: CallRecord) -> bool:
        results = [record.diagnosis or {}, *(item["diagnosis"] for item in record.history)]
        ours = (self._contract.model.version, self._contract.model.sha256, self._contract.preprocess_sha256)
        return any(
            (result["model"]["version"], result["model"]["sha256"], result["preprocess_sha256"]) == ours
            for result in results
            if result
        )

    def _deadline(self) -> Deadline:
        return Deadline.after(self._limits.worker_timeout_s + self._limits.request_deadline_s)


def _with(record: CallRecord, diagnosis: dict[str, Any]) -> CallRecord:
    first = record.history or [{"at": record.updated_at, "diagnosis": record.diagnosis}]
    at = now()
    return replace(record, history=[*first, {"at": at, "diagnosis": diagnosis}], updated_at=at)


def _moment(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"--since is {text!r}: give a date or time like 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return moment(time if time.tzinfo is not None else time.replace(tzinfo=UTC))
