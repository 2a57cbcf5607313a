"""The sweep: audio without a record, and calls older than the retention period, in each pair of stores."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from frontend.calls.retention_sweeper import SUSPICIOUS_COUNT, Sweeper, Swept
from frontend.configuration.tuning import image_tuning
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased
from frontend.domain.records import CallRecord, StoredAudio, from_now, now
from frontend.stores.opening import open_stores
from tests.frontend.settings import embedded_settings
from tests.frontend.stores import test_stores
from tests.frontend.stores.test_stores import Check, Pair, run

OURS = "f" * 64  # as our own writes are named
ORPHAN_AGE_S = image_tuning().service.orphan_age_s

__all__ = ["run"]  # the fixture


def record(call_id: str) -> CallRecord:
    """Received now."""
    known = test_stores.record(call_id)
    return replace(known, received_at=now(), audio=replace(known.audio, name=f"calls/{call_id}/{OURS}"))


def sweeper(pair: Pair, orphan_age_s: float = 0.0) -> Sweeper:
    return Sweeper(pair.stores.audio, pair.stores.records, orphan_age_s)


async def names(pair: Pair) -> set[str]:
    return {blob.name async for blob in pair.stores.audio.blobs(30.0)}


def test_audio_without_a_record_is_removed(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        for name in (f"calls/known/{OURS}", f"calls/known/{'e' * 64}", f"calls/never/{OURS}", f"calls/erased/{OURS}"):
            await pair.audio.write(name, b"abc")
        pair.put("phone.wav", b"the telephone system's own")
        await pair.audio.write("calls/exchange/recording", b"somebody else's, which may wait for the intake")
        await pair.records.create(record("known"))  # its audio is the first of them
        await pair.records.create(record("erased"))
        await pair.records.erase("erased", without_record=False)
        assert await sweeper(pair).sweep() == Swept(orphans=3, expired=0)
        assert await names(pair) == {f"calls/known/{OURS}", "calls/exchange/recording"}
        assert await pair.audio.find("phone") == "phone.wav"
        assert await sweeper(pair).sweep() == Swept(orphans=0, expired=0)

    run(check)


def test_a_quarter_of_an_hour_passes_first(run: Callable[[Check], None]) -> None:
    assert ORPHAN_AGE_S == 15 * 60

    async def check(pair: Pair) -> None:
        await pair.audio.write(f"calls/a/{OURS}", b"abc")
        assert await sweeper(pair, ORPHAN_AGE_S).sweep() == Swept(orphans=0, expired=0)
        assert await names(pair) == {f"calls/a/{OURS}"}

    run(check)


def test_where_nearly_nothing_has_a_record_nothing_is_removed(
    run: Callable[[Check], None], caplog: pytest.LogCaptureFixture
) -> None:
    """As with a record store that is another one's: whoever mistypes COSMO_CONTAINER must not lose all audio."""

    async def check(pair: Pair) -> None:
        for n in range(SUSPICIOUS_COUNT + 1):
            await pair.audio.write(f"calls/{n}/{OURS}", b"abc")
        assert await sweeper(pair).sweep() == Swept(orphans=0, expired=0)
        assert len(await names(pair)) == SUSPICIOUS_COUNT + 1
        await pair.audio.erase("0")
        assert await sweeper(pair).sweep() == Swept(orphans=SUSPICIOUS_COUNT, expired=0)

    with caplog.at_level(logging.ERROR, "tosia.sweeper"):
        run(check)
    assert "nothing is removed" in caplog.text


def test_each_blob_is_asked_about_once_where_there_are_many(run: Callable[[Check], None]) -> None:
    async def check(pair: Pair) -> None:
        pair.stores.audio.lookback_s = 3600.0
        one = sweeper(pair)
        await pair.audio.write(f"calls/a/{OURS}", b"abc")
        assert one._from is not None
        assert timedelta(hours=1) <= datetime.now(UTC) - one._from < timedelta(hours=1, minutes=1)
        one._from = datetime.now(UTC) + timedelta(seconds=5.0)  # as far as it has looked
        assert await one.sweep() == Swept(orphans=0, expired=0)
        one._from = datetime.now(UTC) - timedelta(seconds=5.0)
        assert await one.sweep() == Swept(orphans=1, expired=0)
        assert timedelta(seconds=60) <= datetime.now(UTC) - one._from < timedelta(seconds=90)

    run(check)


@pytest.mark.parametrize("run", ["embedded"], indirect=True)
def test_calls_older_than_the_retention_period_are_removed_with_their_audio(
    run: Callable[[Check], None], caplog: pytest.LogCaptureFixture
) -> None:
    """In the embedded stores."""

    async def check(pair: Pair) -> None:
        for call_id, days in (("old", 31), ("young", 29)):
            await pair.audio.write(f"calls/{call_id}/{OURS}", b"abc")
            await pair.records.create(replace(record(call_id), received_at=from_now(-days * 86_400.0)))
        pair.put("phone.wav", b"abc")
        phone = StoredAudio("phone.wav", "ff", 3, "audio/wav")
        await pair.records.create(replace(record("phone"), received_at=from_now(-31 * 86_400.0), audio=phone))
        assert await sweeper(pair, ORPHAN_AGE_S).sweep() == Swept(orphans=0, expired=2)
        assert await names(pair) == {f"calls/young/{OURS}"}
        assert await pair.audio.find("phone") is None
        assert await pair.records.read("old") is None  # no tombstone: its id may come again
        try:
            assert await pair.records.read("young") is not None
        except CallErased:
            pytest.fail("a young call was erased")

    with caplog.at_level(logging.INFO, "tosia.audit"):
        run(check)
    assert len([item for item in caplog.records if "expire key=retention call=" in item.getMessage()]) == 2


def test_a_record_that_can_not_be_read_keeps_its_audio_and_stops_no_sweep(tmp_path: Path) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        soon = Deadline.after(30.0)
        for name in (f"calls/broken/{OURS}", f"calls/orphan/{OURS}"):
            await stores.audio.write(name, b"abc", soon)
        await stores.records.create(record("broken"), soon)
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as store:
            store.execute("UPDATE calls SET document = '{}'")
        assert await Sweeper(stores.audio, stores.records, 0.0).sweep() == Swept(orphans=1, expired=0)
        assert [blob.name async for blob in stores.audio.blobs(30.0)] == [f"calls/broken/{OURS}"]
        await stores.close()

    asyncio.run(check())


def test_half_written_files_are_removed(tmp_path: Path) -> None:
    """What a writer leaves that was killed in the middle."""

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        (tmp_path / "audio" / "calls" / "a").mkdir(parents=True)
        (tmp_path / "audio" / "calls" / "a" / ".0123.part").write_bytes(b"ab")
        assert await Sweeper(stores.audio, stores.records, 0.0).sweep() == Swept(orphans=1, expired=0)
        assert not (tmp_path / "audio" / "calls" / "a").exists()
        await stores.close()

    asyncio.run(check())
