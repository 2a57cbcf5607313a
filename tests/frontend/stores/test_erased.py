"""What was erased is in no file of the embedded stores any more: not in SQLite's log, nor in free space of a page."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from frontend.calls.retention_sweeper import Sweeper
from frontend.domain.records import CallRecord, State, StoredAudio, from_now, id_sha256, now
from frontend.stores import embedded_records
from frontend.stores.opening import Stores, open_stores
from frontend.stores.protocols import Versioned
from frontend.stores.troubles import Trouble
from tests.frontend.settings import embedded_settings
from tests.frontend.stores.test_azure_faults import soon

MARKER = "somebody-0815"
RECEIVED = now()


def call(call_id: str, words: int = 100) -> CallRecord:
    audio = StoredAudio(f"calls/{call_id}/ff", "ff", 3, "audio/ogg")
    diagnosis = {"status": "ok", "words": f"{call_id} " * words}
    return CallRecord(call_id, State.DIAGNOSED, RECEIVED, RECEIVED, 1, None, audio, diagnosis)


def places(folder: Path, marker: str) -> list[str]:
    """The files that contain it, or whose name does."""
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if marker in path.name or (path.is_file() and marker.encode() in path.read_bytes())
    ]


def content_of(folder: Path) -> bytes:
    """All bytes of the database's files."""
    return b"".join(path.read_bytes() for path in folder.glob("calls.sqlite*"))


async def written(stores: Stores, call_id: str) -> None:
    """A call with audio, whose record was written twice, as every diagnosed call's is."""
    await stores.audio.write(f"calls/{call_id}/ff", f"the voice of {call_id}".encode(), soon())
    first = replace(call(call_id), state=State.RECEIVED, diagnosis=None, due_at=from_now(60.0))
    known = await stores.records.create(first, soon())
    await stores.records.replace(call(call_id), known.etag, soon())


async def erase(stores: Stores, call_id: str) -> None:
    """As `Calls.erase` does."""
    assert await stores.records.erase(call_id, without_record=False, deadline=soon())
    await stores.audio.erase(call_id, soon())


def test_nothing_is_left_when_an_erasure_returns(tmp_path: Path) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        for n in range(5):
            await written(stores, f"other-{n}")
        await written(stores, MARKER)
        assert "calls.sqlite-wal" in places(tmp_path, MARKER)
        await erase(stores, MARKER)
        assert places(tmp_path, MARKER) == []
        # The tombstone is a digest, and the others are whole.
        assert "calls.sqlite" in places(tmp_path, id_sha256(MARKER))
        assert len((await stores.records.page(9, None, None, None, soon())).items) == 5
        await stores.close()

    asyncio.run(check())


def test_nothing_is_left_of_an_expired_call(tmp_path: Path) -> None:
    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        await stores.audio.write(f"calls/{MARKER}/ff", b"abc", soon())
        await stores.records.create(replace(call(MARKER), received_at=from_now(-31 * 86_400.0)), soon())
        assert (await Sweeper(stores.audio, stores.records, 900.0).sweep()).expired == 1
        assert places(tmp_path, MARKER) == []
        await stores.close()

    asyncio.run(check())


def test_a_reader_in_another_process_delays_it_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite can't empty its log under a reader. (Another connection stands for the process: to SQLite it is one.)"""
    monkeypatch.setattr(embedded_records, "CLEAN_EVERY_S", 0.01)
    monkeypatch.setattr(embedded_records, "TELL_AFTER", 3)

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        await written(stores, MARKER)
        with closing(sqlite3.connect(tmp_path / "calls.sqlite", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM calls").fetchone() == (1,)
            await erase(stores, MARKER)
            while Trouble.ERASED_NOT_OVERWRITTEN not in stores.troubles.present:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert places(tmp_path, MARKER) != []  # which the cause says
            assert Trouble.ERASED_NOT_OVERWRITTEN in await stores.look(soon())
            reader.execute("COMMIT")
        while Trouble.ERASED_NOT_OVERWRITTEN in stores.troubles.present:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert places(tmp_path, MARKER) == []
        await stores.close()

    asyncio.run(check())


def test_two_processes_on_one_database_erase_as_well(tmp_path: Path) -> None:
    async def check() -> None:
        one, other = (open_stores(embedded_settings(tmp_path), 30) for _ in range(2))
        await written(one, MARKER)
        assert await other.records.read(MARKER, soon()) is not None
        await erase(other, MARKER)
        assert places(tmp_path, MARKER) == []
        await one.close()
        await other.close()

    asyncio.run(check())


# Of many drawn orders of writing, those in which SQLite 3.40.1 left a copy of the call that was erased last.
@pytest.mark.parametrize(("seed", "most_words", "steps"), [(0, 200, 131), (3, 200, 136), (4, 40, 115), (4, 10, 95)])
def test_copies_that_moving_a_record_has_left_go_with_the_next_sweep(
    tmp_path: Path, seed: int, most_words: int, steps: int
) -> None:
    """`PRAGMA secure_delete` alone leaves them in the free space of pages that were balanced."""
    chance = random.Random(seed)

    async def check() -> None:
        stores = open_stores(embedded_settings(tmp_path), 30)
        living: dict[str, Versioned] = {}
        erased: list[str] = []
        for n in range(steps):
            kind = chance.random()
            if kind < 0.5 or not living:
                call_id = f"{chance.randrange(16**8):08x}-marked-{n}"
                living[call_id] = await stores.records.create(call(call_id, chance.randint(1, 60)), soon())
            elif kind < 0.8:
                call_id = chance.choice(list(living))
                longer = call(call_id, chance.randint(1, most_words))
                living[call_id] = await stores.records.replace(longer, living[call_id].etag, soon())
            else:
                erased.append(chance.choice(list(living)))
                del living[erased[-1]]
                await stores.records.erase(erased[-1], without_record=False, deadline=soon())
        await stores.records.maintain(soon())
        content = content_of(tmp_path)
        assert [call_id for call_id in erased if call_id.encode() in content] == []
        for call_id, known in living.items():
            assert await stores.records.read(call_id, soon()) == known
        await stores.close()

    asyncio.run(check())
