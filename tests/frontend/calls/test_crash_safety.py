"""A record and its audio are whole or absent: the writer is killed in the middle, or the disk is full."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from frontend.domain.deadline import Deadline
from frontend.domain.records import record_from_dict
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from runtime.config import ROOT

WRITER = """
import asyncio, hashlib, os, resource, signal, sys, time
from dataclasses import replace
from pathlib import Path
from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.domain.records import CallRecord, State, StoredAudio, new_call_id, now
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore

async def main(folder, most):
    audio, records = FolderAudioStore(folder / "audio"), SqliteRecordStore(folder / "calls.sqlite", 30)
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    async def one():
        data = os.urandom(200_000)
        call_id, sha256 = new_call_id(), hashlib.sha256(data).hexdigest()
        name = f"calls/{call_id}/{sha256}"
        soon = Deadline.after(30.0)
        await audio.write(name, data, soon)
        stored = StoredAudio(name, sha256, len(data), "audio/ogg")
        known = await records.create(CallRecord(call_id, State.RECEIVED, now(), now(), 0, None, stored, None), soon)
        diagnosis = {"status": "ok", "padding": "x" * 5000}
        await records.replace(replace(known.record, state=State.DIAGNOSED, diagnosis=diagnosis), known.etag, soon)
        print(call_id, flush=True)
    try:
        while True:
            await asyncio.gather(*(one() for _ in range(4)))
    except StoreUnavailable as error:
        print("unavailable:", error, flush=True)

folder, most = Path(sys.argv[1]), int(sys.argv[2])
if most:
    asyncio.run(main(folder, most))
for line in sys.stdin:  # seconds until the writer is killed
    if not (writer := os.fork()):
        asyncio.run(main(folder, 0))
        os._exit(1)
    time.sleep(float(line))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    print("killed", flush=True)
"""


def start_writer(folder: Path, most_bytes_a_file: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(most_bytes_a_file)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_after(writers: subprocess.Popen[str], seconds: float) -> set[str]:
    """Start a writer and kill it so much later; what it has acknowledged until then."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write(f"{seconds}\n")
    writers.stdin.flush()
    acknowledged = set()
    while not (line := writers.stdout.readline()).endswith("killed\n"):
        assert line.endswith("\n"), "the process that starts the writers has ended"
        acknowledged.add(line.strip())
    return acknowledged


def assert_whole(folder: Path) -> dict[str, str]:
    """Every record parses and has its audio, every blob has its own digest; returns states by id."""
    with closing(sqlite3.connect(folder / "calls.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT id, state, document FROM calls").fetchall()
    for call_id, state, document in rows:
        record = record_from_dict(json.loads(document))
        assert (record.call_id, record.state) == (call_id, state)
        assert (record.diagnosis is not None) == (state == "diagnosed")
        assert (folder / "audio" / record.audio.name).stat().st_size == record.audio.bytes
    blobs = [path for path in (folder / "audio" / "calls").glob("*/*") if not path.name.startswith(".")]
    for path in blobs:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return {call_id: state for call_id, state, _ in rows}


@pytest.mark.system
def test_killed_while_writing(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    writers = start_writer(tmp_path)
    for round_ in range(12):
        acknowledged |= kill_after(writers, 0.2 + 0.03 * round_)
        states = assert_whole(tmp_path)
        assert {states.get(call_id) for call_id in acknowledged} <= {"diagnosed"}
    writers.communicate()
    assert len(acknowledged) >= 12


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    """No file may grow beyond 400 kB: the blobs fit, the database's log soon does not."""
    writer = start_writer(tmp_path, 400_000)
    output, _ = writer.communicate(timeout=60)
    *acknowledged, last = output.splitlines()
    assert writer.returncode == 0
    assert last == "unavailable: The record store can't be used now: try again."
    assert acknowledged
    states = assert_whole(tmp_path)
    assert {states.get(call_id) for call_id in acknowledged} == {"diagnosed"}


def test_audio_on_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, 100_000)
    output, _ = writer.communicate(timeout=60)
    assert output.splitlines() == ["unavailable: The audio store can't be used now: try again."]
    assert list((tmp_path / "audio" / "calls").rglob("*")) == []


def test_what_was_erased_is_not_on_the_disk_any_more(tmp_path: Path) -> None:
    async def write_and_erase() -> None:
        audio, records = FolderAudioStore(tmp_path / "audio"), SqliteRecordStore(tmp_path / "calls.sqlite", 30)
        soon = Deadline.after(30.0)
        for row in rows:
            await records.create(record_from_dict(row), soon)
            await audio.write(row["audio"]["name"], b"the recording of somebody", soon)
        for row in rows:
            await records.erase(row["call_id"], without_record=False, deadline=soon)
            await audio.erase(row["call_id"], soon)
        await records.close()

    moment = "2026-01-02T03:04:05.000000Z"
    rows = [
        {
            "call_id": f"somebody-{n}", "state": "received", "received_at": moment, "updated_at": moment, "attempts": 0,
            "failure": None, "diagnosis": None,
            "audio": {"name": f"calls/somebody-{n}/0", "sha256": "0", "bytes": 25, "content_type": "audio/ogg"},
        }
        for n in range(20)
    ]  # fmt: skip
    asyncio.run(write_and_erase())
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"somebody" not in path.read_bytes(), path
