"""Audio in a folder. A blob is written to another file and renamed: it is whole or absent, also after a power cut."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.stores.disk_threads import DiskThreads
from frontend.stores.protocols import Blob
from frontend.stores.sqlite_file import DAMAGED
from frontend.stores.troubles import Trouble, Troubles
from runtime.atomic_write import finish, open_beside, sync_folder

Answer = TypeVar("Answer")

_OPEN_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_THREADS = 8  # each may wait for its own recording; what else the process does in threads does not wait for these


class FolderAudioStore:
    """Satisfies `protocols.AudioStore`. Names come from checked call ids, so they stay inside the folder."""

    lookback_s: float | None = None

    def __init__(self, folder: Path, troubles: Troubles | None = None) -> None:
        """Keep the folder's path; it is made at the first write. troubles: where a full disk is noted."""
        self._folder = folder
        self._lock = folder / ".lock"
        self._troubles = troubles or Troubles()
        self._threads = DiskThreads(_THREADS, "audio")

    async def write(self, name: str, data: bytes, deadline: Deadline) -> None:
        if Trouble.RECORD_STORE_DAMAGED in self._troubles.present:
            # No record can follow, and no sweep removes what is left: refused calls would fill the disk.
            raise StoreUnavailable(DAMAGED, retry_after_s=60)
        await self._run(partial(self._write, self._folder / name, data), deadline)
        self._troubles.end(Trouble.AUDIO_STORE_FULL)

    async def read(self, name: str, deadline: Deadline) -> bytes | None:
        return await self._run(partial(_or_none, (self._folder / name).read_bytes), deadline)

    async def read_piece(self, name: str, start: int, end: int, deadline: Deadline) -> bytes | None:
        def read() -> bytes:
            with (self._folder / name).open("rb") as file:
                file.seek(start)
                return file.read(end - start)

        return await self._run(partial(_or_none, read), deadline)

    async def size(self, name: str, deadline: Deadline) -> int | None:
        status = await self._run(partial(_or_none, (self._folder / name).stat), deadline)
        return None if status is None else status.st_size

    async def find(self, call_id: str, deadline: Deadline) -> str | None:
        return await self._run(partial(self._find, call_id), deadline)

    async def erase(self, call_id: str, deadline: Deadline) -> None:
        await self._run(partial(self._erase, call_id), deadline)

    async def blobs(self, page_s: float) -> AsyncIterator[Blob]:
        for blob in await self._run(self._list, Deadline.after(page_s)):
            yield blob

    async def remove(self, blob: Blob, deadline: Deadline) -> bool:
        return await self._run(partial(self._remove, blob), deadline)

    async def ping(self, deadline: Deadline) -> None:
        await self._run(lambda: self._folder.exists() and next(self._folder.iterdir(), None), deadline)

    async def close(self) -> None:
        self._threads.close()

    async def _run(self, work: Callable[[], Answer], deadline: Deadline) -> Answer:
        """Run the work on a thread, since a disk may be slow; after the deadline the thread continues to its end."""
        try:
            return await self._threads.run(work, deadline)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._troubles.begin(Trouble.AUDIO_STORE_FULL)
            raise StoreUnavailable("audio_store_unusable") from error

    def _write(self, path: Path, data: bytes) -> None:
        new_folder = _make_folder(path.parent)
        if new_folder:  # nothing in it can be swept, and no sweep removes a folder in which it removed nothing
            file = open_beside(path)
        else:
            with self._locked():
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)  # it is there; the new time protects the blob from sweeps
                    return
                new_folder = _make_folder(path.parent)  # a sweep may have removed it meanwhile
                file = open_beside(path)
        try:
            finish(file, path, data)
        except OSError:
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # succeeds only for an empty folder
            raise
        if new_folder:
            sync_folder(path.parent.parent)

    def _find(self, call_id: str) -> str | None:
        # No glob with the call id: it may contain characters of a pattern.
        if not self._folder.is_dir():
            return None
        names = sorted(
            path.name for path in self._folder.iterdir() if path.stem == call_id and path.suffix and path.is_file()
        )
        return names[0] if names else None

    def _erase(self, call_id: str) -> None:
        while name := self._find(call_id):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder / "calls" / call_id)
            sync_folder(self._folder / "calls")  # a power cut must not bring it back

    def _list(self) -> list[Blob]:
        """List all blobs, including half-written files that a crash has left."""
        found = []
        for path in (self._folder / "calls").glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                found.append(_blob(path.relative_to(self._folder).as_posix(), path.stat()))
        return found

    def _remove(self, blob: Blob) -> bool:
        path = self._folder / blob.name
        with self._locked(), contextlib.suppress(FileNotFoundError):
            if _blob(blob.name, path.stat()).etag != blob.etag:
                return False
            path.unlink()
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            return True
        return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold a lock while a blob is found and then kept or removed, so that no other process does the opposite."""
        try:
            descriptor = os.open(self._lock, _OPEN_LOCK)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, _OPEN_LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _make_folder(folder: Path) -> bool:
    """Make a folder; return whether it is new."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    return True


def _or_none(read: Callable[[], Answer]) -> Answer | None:
    try:
        return read()
    except FileNotFoundError:
        return None


def _blob(name: str, status: os.stat_result) -> Blob:
    return Blob(name, datetime.fromtimestamp(status.st_mtime, UTC), str(status.st_mtime_ns))
