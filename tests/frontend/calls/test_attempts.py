"""Attempts: claims, leases, pauses, and what becomes of a result that can't be stored. On real embedded stores; what
stands in is the diagnosis itself, so that it can fail and take its time as a test wants."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from frontend.calls.attempts import (
    MAX_ATTEMPTS,
    WRITE_S,
    AttemptResult,
    Attempts,
    AudioAltered,
    AudioMissing,
    Refused,
    Stored,
)
from frontend.calls.call_service import Calls
from frontend.calls.outbox import NoOutbox
from frontend.configuration.tuning import image_tuning
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, NotReady, StoreUnavailable
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
from frontend.inference.workers import WorkersClosed, WorkTimeout
from frontend.observability.json_logs import JsonLines
from frontend.observability.line_meter import LineMeter
from frontend.observability.metrics import Metrics
from frontend.rollout.rollout import Rollout
from frontend.stores.opening import Stores
from frontend.stores.protocols import RecordTooLarge, Versioned
from runtime.config import Limits, load_limits
from runtime.errors import InferenceError, UndecodableAudio
from runtime.messages.catalogue import sections
from runtime.messages.languages import Language
from runtime.prepare import AudioFile
from tests.frontend.settings import on_stores

_, LIMITS = load_limits()
AUDIO = b"a recording"
FILE = AudioFile.of(AUDIO)
SHA256 = FILE.sha256
STORED = StoredAudio(f"calls/a/{SHA256}", SHA256, len(AUDIO), "audio/ogg")


class Result:
    """As much of a Diagnosis as is stored, and a model that nobody serves."""

    model = None

    def to_dict(self) -> dict[str, Any]:
        return {"status": "ok"}


@dataclass
class Diagnosing:
    """What stands in for workers and Triton; `error` is raised, `until` awaited first, `then` when it is prepared."""

    error: Exception | None = None
    until: asyncio.Event | None = None
    count: int = 0
    available: bool = True
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    prepared: asyncio.Event = field(default_factory=asyncio.Event)
    then: asyncio.Event | None = None

    async def diagnose(
        self, audio: AudioFile, deadline: Deadline, on_prepared: Callable[[None], Awaitable[None]] | None = None
    ) -> Result:
        assert audio == FILE
        self.count += 1
        self.begun.set()
        if self.until is not None:
            await self.until.wait()
        if on_prepared is not None:
            await on_prepared(None)
        self.prepared.set()
        if self.then is not None:
            await self.then.wait()
        if self.error is not None:
            raise self.error
        return Result()


def attempts_on(stores: Stores, diagnosing: Diagnosing, limits: Limits = LIMITS) -> Attempts:
    metrics = Metrics()
    rollout = Rollout(diagnosing, None, None, None, stores.records, image_tuning().rollout, metrics)
    line = LineMeter(metrics, (), lambda: ())
    return Attempts(stores.audio, stores.records, diagnosing, rollout, limits, metrics, line, NoOutbox())


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


async def received(stores: Stores, **changes: Any) -> Versioned:
    """A stored call that waits for its diagnosis, due now."""
    await stores.audio.write(STORED.name, AUDIO, soon())
    record = CallRecord("a", State.RECEIVED, now(), now(), 1, None, STORED, None, due_at=from_now(-1.0))
    return await stores.records.create(replace(record, **changes), soon())


async def stored(stores: Stores) -> CallRecord:
    known = await stores.records.read("a", soon())
    assert known is not None
    return known.record


async def call_of(result: Awaitable[AttemptResult]) -> Versioned:
    """The call that is stored after an attempt."""
    found = await result
    assert isinstance(found, Stored)
    return found.call


def test_of_two_replicas_one_gets_the_call(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores)
        diagnosing = Diagnosing()
        replicas = [attempts_on(stores, diagnosing) for _ in range(2)]
        tasks = await asyncio.gather(*(replica.claim(known, soon()) for replica in replicas))
        (task,) = [item for item in tasks if item is not None]
        await task
        assert diagnosing.count == 1
        assert (await stored(stores)).state is State.DIAGNOSED

    on_stores(tmp_path, check)


def test_a_process_that_knows_no_receiver_writes_down_what_a_call_owes(tmp_path: Path) -> None:
    """Such as an intake, or a front end with other keys, that finishes what another process began."""

    async def check(stores: Stores) -> None:
        known = await received(stores, notice=Notice("clinic-a", NoticeState.NOTHING_YET))
        attempt = await attempts_on(stores, Diagnosing()).claim(known, soon())
        assert attempt is not None
        done = (await call_of(attempt)).record
        assert done.notice is not None
        assert (done.notice.to, done.notice.state, done.notice.tries) == ("clinic-a", NoticeState.OWED, 0)
        assert done.notice.event_id.startswith("msg_")
        (due,) = await stores.records.notices_due("clinic-a", now(), 9, soon())
        assert due.record == done

    on_stores(tmp_path, check)


def test_a_claim_holds_a_lease_over_the_attempt(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        diagnosing = Diagnosing(until=asyncio.Event())
        attempts = attempts_on(stores, diagnosing)
        task = await attempts.claim(await received(stores), soon(30.0))
        assert task is not None
        claimed = await stored(stores)
        assert (claimed.attempts, claimed.state) == (2, State.RECEIVED)
        assert claimed.owner is not None
        assert from_now(25.0) < str(claimed.due_at) <= from_now(30.0 + WRITE_S)
        assert await stores.records.due(now(), 9, soon()) == []
        assert await attempts.claim(Versioned(claimed, "2"), soon()) is None  # we have it in work already
        assert diagnosing.until is not None
        diagnosing.until.set()
        await task
        done = await stored(stores)
        assert (done.state, done.due_at, done.owner) == (State.DIAGNOSED, None, claimed.owner)

    on_stores(tmp_path, check)


def test_a_result_after_the_lease_was_taken_over_is_dropped(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        slow, quick = Diagnosing(until=asyncio.Event()), Diagnosing()
        first, second = attempts_on(stores, slow), attempts_on(stores, quick)
        late = await first.claim(await received(stores), soon())
        known = await stores.records.read("a", soon())
        assert late is not None
        assert known is not None
        task = await second.claim(known, soon())
        assert task is not None
        await task
        done = await stored(stores)
        assert slow.until is not None
        slow.until.set()
        assert (
            (await call_of(late)).record == done == await stored(stores)
        )  # the first one answers with the other's result

    on_stores(tmp_path, check)


def test_a_request_waits_for_the_replica_that_has_the_call(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        busy, idle = Diagnosing(until=asyncio.Event()), Diagnosing()
        working, asked = attempts_on(stores, busy), attempts_on(stores, idle)
        task = await working.claim(await received(stores), soon())
        known = await stores.records.read("a", soon())
        assert known is not None
        waiting = asyncio.create_task(asked.wait(known, soon()))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert busy.until is not None
        busy.until.set()
        assert (await call_of(waiting)).record.state is State.DIAGNOSED
        assert idle.count == 0
        assert task is not None
        await task

    on_stores(tmp_path, check)


def test_a_request_takes_the_call_over_when_the_lease_has_run_out(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores, owner="a process that died", due_at=from_now(0.5))
        call = await call_of(attempts_on(stores, Diagnosing()).wait(known, soon()))
        assert (call.record.state, call.record.attempts) == (State.DIAGNOSED, 2)

    on_stores(tmp_path, check)


def test_a_request_does_not_wait_beyond_its_deadline(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores, owner="another process", due_at=from_now(60.0))
        call = await call_of(attempts_on(stores, Diagnosing()).wait(known, soon(0.5)))
        assert call.record.state is State.RECEIVED

    on_stores(tmp_path, check)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InferenceError("away"), "inference_unavailable"),
        (NotReady("another model"), "not_ready"),
        (StoreUnavailable("away"), "store_unavailable"),
    ],
)
def test_an_attempt_that_failed_is_tried_again_after_a_pause_and_given_up_in_the_end(
    tmp_path: Path, error: Exception, code: str
) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores, attempts=0)
        attempts = attempts_on(stores, Diagnosing(error))
        pauses = []
        for _ in range(MAX_ATTEMPTS):
            task = await attempts.claim(known, soon())
            assert task is not None
            known = await call_of(task)
            if known.record.due_at is not None:
                assert known.record.owner is None
                pauses.append(_seconds_until(known.record.due_at))
        assert [round(pause) for pause in pauses[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert len(pauses) == MAX_ATTEMPTS - 1
        assert (known.record.state, known.record.attempts) == (State.FAILED, MAX_ATTEMPTS)
        assert known.record.failure == Failure(code, retryable=True)

    on_stores(tmp_path, check)


def _seconds_until(moment: str) -> float:
    from datetime import UTC, datetime

    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def test_a_call_whose_attempts_all_ended_with_their_process_is_given_up(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores, attempts=MAX_ATTEMPTS)
        assert await attempts_on(stores, Diagnosing()).claim(known, soon()) is None
        record = await stored(stores)
        assert (record.state, record.failure) == (State.FAILED, Failure("attempts_never_ended", retryable=True))

    on_stores(tmp_path, check)


def test_an_attempt_that_was_begun_twice_and_never_ended_is_not_begun_again(tmp_path: Path) -> None:
    """Each claim by another process, whose predecessor died with its lease."""

    async def check(stores: Stores) -> None:
        known = await received(stores, owner="died-first")
        task = await attempts_on(stores, never := Diagnosing(until=asyncio.Event())).claim(known, soon())
        assert task is not None
        await never.begun.wait()
        again = await _as_stored(stores)
        assert again.record.in_doubt
        assert await attempts_on(stores, Diagnosing()).claim(again, soon()) is None
        record = await stored(stores)
        assert (record.state, record.failure) == (State.FAILED, Failure("attempts_never_ended", retryable=True))
        assert never.until is not None
        never.until.set()
        await task  # it lives after all, and its result is dropped
        assert (await stored(stores)).state is State.FAILED
        # Whoever sends it again asks for it.
        result = await attempts_on(stores, Diagnosing()).wait(await _as_stored(stores), soon())
        assert isinstance(result, Stored)
        assert result.call.record.state is State.DIAGNOSED

    on_stores(tmp_path, check)


@pytest.mark.parametrize("where", ["before it is prepared", "after it was prepared"])
def test_processes_that_die_elsewhere_cost_no_call(tmp_path: Path, where: str) -> None:
    """Only the recording that is being prepared can be what ends a process."""

    async def check(stores: Stores) -> None:
        known = await received(stores, owner="died-first")
        dead: list[asyncio.Task[AttemptResult]] = []
        for n in range(4):
            if where.startswith("after"):
                dying = Diagnosing(then=asyncio.Event())
                task = await attempts_on(stores, dying).claim(known, soon())
                assert task is not None
                await dying.prepared.wait()
                dead.append(task)
            else:
                leased = replace(known.record, owner=f"died-{n}", due_at=from_now(-1.0))
                await stores.records.replace(leased, known.etag, soon())
            known = await _as_stored(stores)
            assert not known.record.in_doubt
        last = await attempts_on(stores, Diagnosing()).claim(known, soon())
        assert last is not None
        assert (await call_of(last)).record.state is State.DIAGNOSED
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)

    on_stores(tmp_path, check)


async def _as_stored(stores: Stores) -> Versioned:
    known = await stores.records.read("a", soon())
    assert known is not None
    return known


def test_attempts_that_ended_in_between_are_not_counted(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores, owner="died-first")
        for _ in range(5):
            task = await attempts_on(stores, Diagnosing(InferenceError("away"))).claim(known, soon())
            assert task is not None
            known = await call_of(task)
            assert (known.record.state, known.record.owner) == (State.RECEIVED, None)

    on_stores(tmp_path, check)


def test_a_process_that_closes_gives_its_leases_back_at_once(tmp_path: Path) -> None:
    """Otherwise the next would count its attempt as one that never ended, and wait for its lease."""

    async def check(stores: Stores) -> None:
        diagnosing = Diagnosing(until=asyncio.Event())
        limits = replace(LIMITS, request_deadline_s=0.05)
        attempts = attempts_on(stores, diagnosing, limits)
        task = await attempts.claim(await received(stores), soon())
        assert task is not None
        await diagnosing.begun.wait()
        await attempts.close()
        (due,) = await stores.records.due(now(), 9, soon())
        assert (due.record.owner, due.record.in_doubt) == (None, False)

    on_stores(tmp_path, check)


def test_a_call_that_was_given_up_is_begun_anew_by_a_request(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        failed = Failure("inference_unavailable", retryable=True)
        known = await received(stores, attempts=MAX_ATTEMPTS, state=State.FAILED, failure=failed, due_at=None)
        call = await call_of(attempts_on(stores, Diagnosing()).wait(known, soon()))
        record = call.record
        assert (record.state, record.attempts, record.failure) == (State.DIAGNOSED, 1, None)

    on_stores(tmp_path, check)


def test_a_call_that_is_begun_anew_and_takes_longer_than_its_request_waits(tmp_path: Path) -> None:
    """It is told as `received`, for a 202, and not with the failure that it had."""

    async def check(stores: Stores) -> None:
        failed = await received(stores, state=State.FAILED, failure=Failure("not_ready", True), due_at=None)
        diagnosing = Diagnosing(until=asyncio.Event())
        attempts = attempts_on(stores, diagnosing)
        first = asyncio.create_task(call_of(attempts.wait(failed, soon(0.3))))
        await diagnosing.begun.wait()
        both = [await first, await call_of(attempts.wait(failed, soon(0.01)))]
        assert [(call.record.state, call.record.failure) for call in both] == 2 * [(State.RECEIVED, None)]
        assert diagnosing.until is not None
        diagnosing.until.set()
        await asyncio.gather(*attempts._running.values())
        assert (await stored(stores)).state is State.DIAGNOSED

    on_stores(tmp_path, check)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (UndecodableAudio("broken"), Failure("undecodable_audio", retryable=False)),
        (WorkTimeout(), Failure("preparation_timeout", retryable=True)),
        (ZeroDivisionError(), Failure("internal_error", retryable=True)),
    ],
)
def test_what_trying_again_does_not_help_fails_at_once(tmp_path: Path, error: Exception, failure: Failure) -> None:
    async def check(stores: Stores) -> None:
        task = await attempts_on(stores, Diagnosing(error)).claim(await received(stores), soon())
        assert task is not None
        result = await task
        assert (result == Refused(error)) == isinstance(error, UndecodableAudio)
        record = await stored(stores)
        assert (record.state, record.failure, record.due_at) == (State.FAILED, failure, None)

    on_stores(tmp_path, check)


def test_a_process_that_ends_leaves_the_call_to_the_others(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        task = await attempts_on(stores, Diagnosing(WorkersClosed())).claim(await received(stores), soon())
        assert task is not None
        await task
        (due,) = await stores.records.due(from_now(2.1), 9, soon())  # the pause after a second attempt
        assert due.record.owner is None

    on_stores(tmp_path, check)


def test_audio_that_is_gone_or_altered(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        known = await received(stores)
        path = tmp_path / "audio" / STORED.name
        path.write_bytes(b"something else")
        diagnosing = Diagnosing()
        attempts = attempts_on(stores, diagnosing)
        task = await attempts.claim(known, soon())
        assert task is not None
        call = await call_of(task)
        assert call.record.state is State.RECEIVED  # it may have been read half, or be mended
        path.unlink()
        task = await attempts.claim(call, soon())
        assert task is not None
        await task
        assert (await stored(stores)).failure == Failure("audio_missing", retryable=False)
        assert diagnosing.count == 0

    on_stores(tmp_path, check)


def test_altered_audio_is_not_served(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        await received(stores)
        calls = Calls(stores.audio, stores.records, attempts_on(stores, Diagnosing()), LIMITS, Metrics())
        assert (await calls.read_audio("a", soon()))[1] == AUDIO
        (tmp_path / "audio" / STORED.name).write_bytes(b"something else")
        with pytest.raises(StoreUnavailable):
            await calls.read_audio("a", soon())

    on_stores(tmp_path, check)


class Small:
    """A record store that takes no diagnosis: too large."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        if record.diagnosis is not None:
            raise RecordTooLarge
        known: Versioned = await self._records.replace(record, etag, deadline)
        return known


def test_a_result_that_is_too_large_for_the_store(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        small = Stores(stores.audio, Small(stores.records))
        task = await attempts_on(small, Diagnosing()).claim(await received(stores), soon())
        assert task is not None
        await task
        assert (await stored(stores)).failure == Failure("record_too_large", retryable=False)

    on_stores(tmp_path, check)


def test_a_call_that_is_erased_while_it_is_in_work_stays_erased(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        diagnosing = Diagnosing(until=asyncio.Event())
        attempts = attempts_on(stores, diagnosing)
        calls = Calls(stores.audio, stores.records, attempts, LIMITS, Metrics())
        sending = asyncio.create_task(calls.submit("a", FILE, "audio/ogg", soon()))
        await diagnosing.begun.wait()
        await calls.erase("a", soon())
        assert diagnosing.until is not None
        diagnosing.until.set()
        with pytest.raises(CallErased):
            await sending
        with pytest.raises(CallErased):
            await calls.read("a", soon())
        assert [blob async for blob in stores.audio.blobs(30.0)] == []
        with pytest.raises(CallErased):
            await calls.submit("a", FILE, "audio/ogg", soon())
        assert [blob async for blob in stores.audio.blobs(30.0)] == []

    on_stores(tmp_path, check)


class Slow:
    """A record store that tells late that it has created a record."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def create(self, record: CallRecord, deadline: Deadline) -> Versioned:
        known: Versioned = await self._records.create(record, deadline)
        await asyncio.sleep(0.3)
        return known


def test_the_same_call_twice_at_once_in_one_process_is_worked_on_once(tmp_path: Path) -> None:
    """The second request reads the record before the first one hears that it was created."""

    async def check(stores: Stores) -> None:
        slow = Stores(stores.audio, Slow(stores.records))
        diagnosing = Diagnosing()
        calls = Calls(slow.audio, slow.records, attempts_on(slow, diagnosing), LIMITS, Metrics())
        first = asyncio.create_task(calls.submit("a", FILE, "audio/ogg", soon()))
        await asyncio.sleep(0.1)
        second = await calls.submit("a", FILE, "audio/ogg", soon())
        outcomes = [await first, second]
        assert [outcome.created for outcome in outcomes] == [True, False]
        assert {outcome.record.state for outcome in outcomes} == {State.DIAGNOSED}
        assert (diagnosing.count, (await stored(stores)).attempts) == (1, 1)

    on_stores(tmp_path, check)


def test_who_sends_again_during_an_outage_does_not_use_up_the_attempts(tmp_path: Path) -> None:
    """Neither while Triton is known to be away, nor in the pause after an attempt that failed."""

    async def check(stores: Stores) -> None:
        diagnosing = Diagnosing(InferenceError("away"))
        calls = Calls(stores.audio, stores.records, attempts_on(stores, diagnosing), LIMITS, Metrics())
        first = await calls.submit("a", FILE, "audio/ogg", soon())
        assert (first.record.state, first.record.attempts) == (State.RECEIVED, 1)
        diagnosing.available = False
        for _ in range(2 * MAX_ATTEMPTS):
            assert (await calls.submit("a", FILE, "audio/ogg", soon())).record.state is State.RECEIVED
        assert diagnosing.count == 1
        diagnosing.available = True
        started = time.monotonic()
        for _ in range(2 * MAX_ATTEMPTS):
            await calls.submit("a", FILE, "audio/ogg", soon(0.02))
        # Pauses of 1, 2, 4 ... s: however long a busy machine takes, no more attempts than fit between them.
        assert diagnosing.count <= 2 + math.log2(2.0 + time.monotonic() - started)
        diagnosing.error = None
        assert (await calls.submit("a", FILE, "audio/ogg", soon())).record.state is State.DIAGNOSED

    on_stores(tmp_path, check)


class SlowClaims(Slow):
    """A record store that tells late that a lease was taken."""

    async def replace(self, record: CallRecord, etag: str, deadline: Deadline) -> Versioned:
        known: Versioned = await self._records.replace(record, etag, deadline)
        if record.state is State.RECEIVED:
            await asyncio.sleep(0.3)
        return known


def test_a_call_that_is_just_being_claimed_is_not_claimed_by_a_request_of_the_same_process(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        slow = Stores(stores.audio, SlowClaims(stores.records))
        diagnosing = Diagnosing()
        attempts = attempts_on(slow, diagnosing)
        claiming = asyncio.create_task(attempts.claim(await received(stores), soon()))
        await asyncio.sleep(0.1)
        known = await stores.records.read("a", soon())
        assert known is not None
        call = await call_of(attempts.wait(known, soon()))
        assert call.record.state is State.DIAGNOSED
        assert await claiming is not None
        assert (diagnosing.count, (await stored(stores)).attempts, len(attempts.running)) == (1, 2, 0)

    on_stores(tmp_path, check)


def test_a_call_whose_audio_is_gone_is_told_and_not_asked_for_again(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        failed = Failure("audio_missing", retryable=False)
        await received(stores, state=State.FAILED, failure=failed, due_at=None)
        calls = Calls(stores.audio, stores.records, attempts_on(stores, Diagnosing()), LIMITS, Metrics())
        outcome = await calls.submit("a", FILE, "audio/ogg", soon())
        assert (outcome.created, outcome.record.failure) == (False, failed)

    on_stores(tmp_path, check)


def test_every_failure_has_a_name_for_people() -> None:
    """Codes of errors that an attempt may meet; those of requests have the title of their problem."""
    texts = sections(Language.SPANISH)
    codes = {AudioMissing.code, AudioAltered.code, InferenceError.code, WorkTimeout.code}
    codes |= {"record_too_large", "attempts_never_ended"}
    assert texts["failure"].keys() == codes
    for code in ("internal_error", "store_unavailable", "not_ready", "undecodable_audio"):
        assert code in texts["title"]


def test_each_log_line_of_an_attempt_carries_the_calls_digest(tmp_path: Path) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("tosia.attempts")

    async def check(stores: Stores) -> None:
        attempt = await attempts_on(stores, Diagnosing(ZeroDivisionError())).claim(await received(stores), soon())
        assert attempt is not None
        await attempt
        known = await stores.records.read("a", soon())
        assert known is not None
        # Its last attempt never ended, and another replica has changed the record meanwhile.
        tired = replace(known.record, state=State.RECEIVED, attempts=MAX_ATTEMPTS)
        assert await attempts_on(stores, Diagnosing()).claim(Versioned(tired, "1"), soon()) is None

    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        on_stores(tmp_path, check)
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert len(said) == 3  # the defect, the call that is given up, and the result that is dropped
    assert {line["call"] for line in said} == {id_sha256("a")}
    assert "ZeroDivisionError" in said[0]["trace"]
