"""Erasing on a full disk, which is how room is made: on a real file system of 12 MiB where this process may mount one
(root, or a user namespace), and everywhere with a limit for the size of a file, which SQLite's log meets in the same
way.

Not shown: a disk that is so full that not even the reserve's blocks can be used, because another program takes them in
the moment in which they are given up.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from laptop.service import CHECKOUT

CHILD = """
import asyncio, json, os, resource, sys
from dataclasses import replace
from pathlib import Path
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.domain.records import from_now
from frontend.calls.retention_sweeper import Sweeper
from frontend.stores.opening import open_stores
from tests.frontend.settings import embedded_settings
from tests.frontend.stores.test_erased import call, places

folder, most, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def soon():
    return Deadline.after(30.0)

def fill():
    # To the last byte, as another program may.
    with (folder / "filling").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass

async def main():
    stores = open_stores(embedded_settings(folder / "var"), 30)
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    kept, told = [], {}
    for n in range(10_000):
        call_id = f"somebody-{n:04}"
        age_s = 31 * 86_400.0 if way == "expire" else 0.0
        record = replace(call(call_id, 2000), received_at=from_now(-age_s))
        try:
            await stores.audio.write(f"calls/{call_id}/ff", os.urandom(20_000), soon())
            await stores.records.create(record, soon())
        except StoreUnavailable:
            break
        kept.append(call_id)
    if not most:
        fill()
        for _ in range(2):
            try:
                await stores.records.create(call("one-more", 2000), soon())
            except StoreUnavailable:
                told["refused"] = True
        told["causes"] = [cause for cause in await stores.look(soon())]
    told["calls"] = len(kept)
    if way == "erase":
        for call_id in kept:
            assert await stores.records.erase(call_id, without_record=False, deadline=soon())
            await stores.audio.erase(call_id, soon())
            try:
                await stores.records.read(call_id, soon())
            except CallErased:
                told["erased"] = told.get("erased", 0) + 1
    else:
        told["erased"] = (await Sweeper(stores.audio, stores.records, 900.0).sweep()).expired
    await stores.audio.erase(f"somebody-{len(kept):04}", soon())
    await stores.records.maintain(soon())
    told["left"] = [name for call_id in kept for name in places(folder / "var", call_id)]
    await stores.audio.write("calls/after/ff", bytes(20_000), soon())
    await stores.records.create(call("after", 100), soon())
    told["after"] = [cause for cause in await stores.look(soon())]
    told["reserve"] = (folder / "var" / "calls.sqlite.reserve").exists()
    await stores.close()
    print(json.dumps(told))

asyncio.run(main())
"""


@functools.cache
def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"],
        check=False,
        capture_output=True,
    )
    return tried.returncode == 0


def told_by(folder: Path, most_bytes_a_file: int, way: str, disk: str = "") -> dict[str, object]:
    """What the child has seen; disk: the size of the file system that is mounted for it."""
    command = [sys.executable, "-c", CHILD, str(folder), str(most_bytes_a_file), way]
    if disk:
        mount = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh", disk, str(folder), *command]
    done = subprocess.run(command, check=False, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("way", ["erase", "expire"])
@pytest.mark.parametrize("disk", ["12m"] if can_mount() else [])
def test_calls_are_erased_on_a_full_disk_and_make_room(tmp_path: Path, way: str, disk: str) -> None:
    told = told_by(tmp_path, 0, way, disk)
    assert told["refused"]
    assert told["causes"] == ["record_store_full", "audio_store_full"]
    assert isinstance(told["calls"], int)
    assert told["calls"] > 20
    assert (told["erased"], told["left"]) == (told["calls"], [])
    assert (told["after"], told["reserve"]) == ([], True)


@pytest.mark.parametrize("way", ["erase", "expire"])
def test_calls_are_erased_where_no_file_may_grow(tmp_path: Path, way: str) -> None:
    told = told_by(tmp_path, 1_000_000, way)
    assert isinstance(told["calls"], int)
    assert told["calls"] > 5
    assert (told["erased"], told["left"]) == (told["calls"], [])
