"""A clock of ours that is wrong by days: nothing expires by it, and nothing waits for it.

No test may set the machine's clock, so the `datetime` of the modules that read it is shifted; the time of files and the
Cosmos server's clock stay right, as those of other machines would.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from frontend.calls import retention_sweeper
from frontend.calls.retention_sweeper import Sweeper, Swept
from frontend.domain import records
from frontend.domain.errors import CallErased
from frontend.domain.records import CallRecord, from_now, now
from frontend.stores import azure_identity, sqlite_moments
from frontend.stores.azure_records import MIN_TTL_S
from frontend.stores.opening import open_stores
from frontend.stores.troubles import Trouble
from laptop.service import CHECKOUT
from tests.frontend.settings import azure_settings, embedded_settings
from tests.frontend.stores import test_stores
from tests.frontend.stores.test_azure_faults import soon
from tests.services.azure import Azure

OURS = "f" * 64  # as our own writes are named
DAY_S = 86_400.0
RETENTION_DAYS = 30
NOTHING = Swept(orphans=0, expired=0)

Shift = Callable[[float], None]


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Sets our clock so many seconds ahead of the right time."""

    def by(seconds: float) -> None:
        class Shifted(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + timedelta(seconds=seconds)

        class ShiftedTime:
            time = staticmethod(lambda: real_time() + seconds)
            monotonic = staticmethod(real_monotonic)

        for module in (records, retention_sweeper, sqlite_moments):
            monkeypatch.setattr(module, "datetime", Shifted)
        monkeypatch.setattr(azure_identity, "time", ShiftedTime)

    real_time, real_monotonic = azure_identity.time.time, azure_identity.time.monotonic
    return by


def record(call_id: str) -> CallRecord:
    known = test_stores.record(call_id)
    return replace(known, received_at=now(), audio=replace(known.audio, name=f"calls/{call_id}/{OURS}"))


def test_nothing_expires_while_the_clock_is_a_month_ahead(
    tmp_path: Path, shift: Shift, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        sweeper = Sweeper(stores.audio, stores.records, 900.0)
        for call_id in ("kept", "erased"):
            await stores.audio.write(f"calls/{call_id}/{OURS}", b"abc", soon())
            await stores.records.create(record(call_id), soon())
        await stores.records.erase("erased", without_record=False, deadline=soon())
        await stores.audio.erase("erased", soon())
        assert await sweeper.sweep() == NOTHING
        shift(31 * DAY_S)
        for _ in range(3):
            assert await sweeper.sweep() == NOTHING
        with pytest.raises(CallErased):  # nor may an erased call come back
            await stores.records.create(record("erased"), soon())
        assert await stores.look(soon()) == (Trouble.CLOCK_AHEAD,)
        shift(0.0)
        assert await sweeper.sweep() == NOTHING
        assert await stores.look(soon()) == ()
        assert await stores.records.read("kept", soon()) is not None
        assert await stores.audio.read(f"calls/kept/{OURS}", soon()) == b"abc"
        with pytest.raises(CallErased):
            await stores.records.read("erased", soon())
        await stores.close()

    with caplog.at_level(logging.INFO, "tosia"):
        asyncio.run(check())
    assert len([entry for entry in caplog.records if "clock --accept" in entry.getMessage()]) == 1


def test_a_recording_whose_record_is_just_created_is_no_orphan_by_a_clock_that_is_ahead(
    tmp_path: Path, shift: Shift
) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        sweeper = Sweeper(stores.audio, stores.records, 900.0)
        shift(31 * DAY_S)
        await stores.audio.write(f"calls/in-work/{OURS}", b"abc", soon())
        assert await sweeper.sweep() == NOTHING
        assert await stores.audio.read(f"calls/in-work/{OURS}", soon()) == b"abc"
        # After a quarter of an hour on a clock that can't be set it is an orphan, unless its record has come.
        sweeper._seen = {blob: at - 901.0 for blob, at in sweeper._seen.items()}
        await stores.records.create(record("in-work"), soon())
        assert await sweeper.sweep() == NOTHING
        await stores.records.forget("in-work", soon())
        assert await sweeper.sweep() == NOTHING  # seen anew
        sweeper._seen = {blob: at - 901.0 for blob, at in sweeper._seen.items()}
        assert await sweeper.sweep() == Swept(orphans=1, expired=0)
        await stores.close()

    asyncio.run(check())


def test_time_that_passes_is_no_jump(tmp_path: Path, shift: Shift) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        sweeper = Sweeper(stores.audio, stores.records, 900.0)
        await stores.audio.write(f"calls/a/{OURS}", b"abc", soon())
        await stores.records.create(record("a"), soon())
        half_days = 0
        while (swept := await sweeper.sweep()) == NOTHING:
            half_days += 1
            shift(half_days * DAY_S / 2)
        assert swept == Swept(orphans=0, expired=1)
        assert half_days / 2 == pytest.approx(RETENTION_DAYS, abs=0.5)
        await stores.close()

    asyncio.run(check())


def clock(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "API_KEY": "x" * 32,
        "TRITON_URL": "127.0.0.1:1",
        "TOSIA_STORES": "embedded",
        "TOSIA_VAR": str(folder),
    }
    command = [sys.executable, "-m", "frontend", "clock", *options]
    return subprocess.run(
        command, check=False, cwd=CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_a_service_that_was_off_for_a_week_asks_the_operator(tmp_path: Path) -> None:
    """It can't tell a long sleep from a jump. The verb works beside the running service, whose next sweep expires."""

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        sweeper = Sweeper(stores.audio, stores.records, 900.0)
        await stores.audio.write(f"calls/old/{OURS}", b"abc", soon())
        await stores.records.create(replace(record("old"), received_at=from_now(-31 * DAY_S)), soon())
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as other:
            other.execute("UPDATE moments SET moment = ? WHERE name = 'clock'", (from_now(-7 * DAY_S),))
        assert await sweeper.sweep() == NOTHING
        asked = await asyncio.to_thread(clock, tmp_path)
        assert (asked.returncode, asked.stderr) == (1, "")
        assert "168 hours after" in asked.stdout
        accepted = await asyncio.to_thread(clock, tmp_path, "--accept")
        assert (accepted.returncode, accepted.stderr) == (0, "")
        assert (await asyncio.to_thread(clock, tmp_path)).returncode == 0
        assert await sweeper.sweep() == Swept(orphans=0, expired=1)
        assert await stores.look(soon()) == ()
        await stores.close()

    asyncio.run(check())


@pytest.mark.parametrize("seen", ["", "9", "yesterday"])
def test_a_moment_that_was_altered_is_no_evidence(tmp_path: Path, seen: str) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        await stores.records.create(replace(record("old"), received_at=from_now(-31 * DAY_S)), soon())
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as other:
            other.execute("UPDATE moments SET moment = ?", (seen,))
        assert await stores.records.expired(9, soon()) == []
        assert stores.troubles.present == (Trouble.CLOCK_AHEAD,)
        await stores.close()

    asyncio.run(check())


def test_a_database_of_an_older_version_goes_by_its_newest_call(tmp_path: Path) -> None:
    """It has seen no time yet."""

    async def check() -> None:
        for newest_days, expired in ((0.5, ["old"]), (3.0, [])):
            folder = tmp_path / str(newest_days)
            stores = open_stores(embedded_settings(folder), RETENTION_DAYS)
            for call_id, days in (("old", 31.0), ("newest", newest_days)):
                await stores.records.create(replace(record(call_id), received_at=from_now(-days * DAY_S)), soon())
            with closing(sqlite3.connect(folder / "calls.sqlite", isolation_level=None)) as other:
                other.execute("DELETE FROM moments")
            assert await stores.records.expired(9, soon()) == expired
            await stores.close()

    asyncio.run(check())


@pytest.mark.parametrize("days", [-31, 0, 31])
def test_a_record_in_cosmos_lives_by_cosmos_clock(azure: Azure, shift: Shift, days: int) -> None:
    """It was received by the right clock, and its result is written by one that is wrong."""
    account = azure.new_containers()
    retention_s = RETENTION_DAYS * DAY_S

    async def check() -> None:
        stores = open_stores(azure_settings(account), RETENTION_DAYS)
        known = await stores.records.create(record("a"), soon())
        assert lifetime() == retention_s
        shift(days * DAY_S)
        await stores.records.replace(replace(known.record, attempts=1), known.etag, soon())
        assert lifetime() == pytest.approx(retention_s, abs=600.0)
        await stores.close()

    def lifetime() -> float:
        (item,) = azure.items(account)
        return float(str(item["ttl"]))

    asyncio.run(check())


@pytest.mark.parametrize("days", [-400, 400])
def test_a_call_received_by_a_wrong_clock_lives_a_day_at_least_and_a_period_at_most(
    azure: Azure, shift: Shift, days: int
) -> None:
    account = azure.new_containers()

    async def check() -> None:
        stores = open_stores(azure_settings(account), RETENTION_DAYS)
        shift(days * DAY_S)
        known = await stores.records.create(record("a"), soon())
        shift(0.0)
        await stores.records.replace(replace(known.record, attempts=1), known.etag, soon())
        (item,) = azure.items(account)
        assert item["ttl"] == (MIN_TTL_S if days < 0 else RETENTION_DAYS * DAY_S)
        await stores.close()

    asyncio.run(check())


def test_the_clock_of_the_store_is_noted_seldom(tmp_path: Path) -> None:
    """A write for each sweep would be one a minute, for ever."""

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), RETENTION_DAYS)
        before = (tmp_path / "calls.sqlite-wal").stat().st_size
        for _ in range(20):
            await stores.records.expired(9, soon())
        assert (tmp_path / "calls.sqlite-wal").stat().st_size == before
        await stores.close()

    assert timedelta(days=1) == sqlite_moments.CLOCK_TRUST
    asyncio.run(check())
