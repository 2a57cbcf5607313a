"""CPU of a page of `GET /v1/calls` in the embedded store among 100,000 calls against 1,000, by every filter."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from bench.load.audio import note
from bench.report.rows import Row, median_row, ratios
from bench.report.targets import target_of
from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, Failure, State, StoredAudio, moment
from frontend.stores.embedded_records import SqliteRecordStore
from runtime.config import load_config, load_limits
from runtime.diagnosis import Status
from runtime.execute import execute
from runtime.work_unit import WorkUnit

FEW, MANY = 1_000, 100_000
FEW_MATCH = 20  # calls, in both databases: of a status and of two states
LIMIT = 50  # calls on a page
REPEATS = 9  # of a page in one round; their median counts
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=30)
_RARE = (State.RECEIVED, State.FAILED, Status.INCONCLUSIVE)
_USUAL = (Status.OK, Status.OK, Status.NO_COUGH, Status.POOR_QUALITY)


def listing(rounds: int, few: int = FEW, many: int = MANY) -> list[Row]:
    """The filter and page with the highest ratio, and what a page costs without a filter."""
    with tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder:
        return asyncio.run(_listing(Path(folder), rounds, few, many))


async def _listing(folder: Path, rounds: int, few: int, many: int) -> list[Row]:
    days = load_limits()[1].retention_days
    async with AsyncExitStack() as stack:
        stores = []
        for calls in (few, many):
            path = folder / f"{calls}.sqlite"
            await SqliteRecordStore(path, days).close()
            fill(path, calls)
            stores.append(SqliteRecordStore(path, days))
            stack.push_async_callback(stores[-1].close)
        ends: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(rounds):
            for state, status, after in product([None, *State], [None, *Status], [None, moment(_FIRST + _SPAN / 2)]):
                name = f"state={state or ''}&status={status or ''}&after={after or ''}"
                times = await _times_ms(stores, after, state, status)
                for values, each in zip(ends.setdefault(name, ([], [])), times, strict=True):
                    values.append(statistics.median(each))
    by_filter = {name: ratios(at_many, at_few) for name, (at_few, at_many) in ends.items()}
    worst = max(by_filter, key=lambda name: statistics.median(by_filter[name]))
    said = f"CPU among {many} calls to among {few}, {LIMIT} a page; the highest of {len(ends)} filters and pages"
    name, plain = "listing_page_ratio", ends["state=&status=&after="][1]
    return [
        median_row(name, by_filter[worst], "", target_of(name), f"{said}: {worst}"),
        median_row("listing_page_cpu_ms", plain, "ms", note=f"CPU among {many} calls, without a filter"),
    ]


async def _times_ms(
    stores: list[SqliteRecordStore], after: str | None, state: State | None, status: str | None
) -> list[list[float]]:
    """CPU of this process for a page of each store, in turns."""
    times: list[list[float]] = [[] for _ in stores]
    for _ in range(REPEATS):
        for store, each in zip(stores, times, strict=True):
            started = time.process_time()
            await store.page(LIMIT, after, state, status, Deadline.after(60.0))
            each.append((time.process_time() - started) * 1000.0)
    return times


def fill(path: Path, calls: int) -> None:
    """Write calls past the store, which syncs each: every status and state, in ids as callers may choose them.

    path: of a closed database of the embedded store
    """
    statement = "INSERT INTO calls (id, sort_key, state, status, version, document) VALUES (?, ?, ?, ?, 1, ?)"
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            statement,
            (
                (record.call_id, record.sort_key, record.state, record.status, json.dumps(record.to_dict()))
                for record in _records(calls)
            ),
        )
        connection.commit()


def _records(calls: int) -> Iterator[CallRecord]:
    diagnosis = execute(WorkUnit(note(), *load_config())).to_dict()
    chance = random.Random(0)  # noqa: S311 - ids, no secrets
    every = calls // FEW_MATCH
    for number in range(calls):
        call_id = str(uuid.UUID(int=chance.getrandbits(128)))
        at = moment(_FIRST + _SPAN * (number / calls))
        rare = _RARE[number % every] if number % every < len(_RARE) else None
        state = rare if isinstance(rare, State) else State.DIAGNOSED
        status = rare if isinstance(rare, Status) else _USUAL[number % len(_USUAL)]
        failure = Failure("undecodable_audio", retryable=False) if state is State.FAILED else None
        found: dict[str, Any] | None = {**diagnosis, "status": str(status)} if state is State.DIAGNOSED else None
        audio = StoredAudio(f"calls/{call_id}/{'0' * 64}", "0" * 64, 30_000, "audio/ogg")
        yield CallRecord(call_id, state, at, at, 1, failure, audio, found)
