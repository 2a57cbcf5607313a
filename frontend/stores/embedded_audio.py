"""Audio in a folder. A blob is written beside and renamed, so that it is whole or absent, also after a power cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import uuid
from pathlib import Path

from frontend.errors import StoreUnavailable

_UNAVAILABLE = "The audio store can't be used now: try again."


class FolderAudioStore:
    """Satisfies `protocols.AudioStore`. Names come from checked call ids, so they stay inside the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, name: str, data: bytes) -> None:
        try:
            await asyncio.to_thread(self._write, self._folder / name, data)
        except OSError as error:
            raise StoreUnavailable(_UNAVAILABLE) from error

    async def read(self, name: str) -> bytes | None:
        try:
            return await asyncio.to_thread((self._folder / name).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(_UNAVAILABLE) from error

    async def size(self, name: str) -> int | None:
        try:
            return (await asyncio.to_thread((self._folder / name).stat)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(_UNAVAILABLE) from error

    async def find(self, call_id: str) -> str | None:
        try:
            return await asyncio.to_thread(self._find, call_id)
        except OSError as error:
            raise StoreUnavailable(_UNAVAILABLE) from error

    async def erase(self, call_id: str) -> None:
        try:
            await asyncio.to_thread(self._erase, call_id)
        except OSError as error:
            raise StoreUnavailable(_UNAVAILABLE) from error

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        new_folder = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        _sync_folder(path.parent)
        if new_folder:
            _sync_folder(path.parent.parent)

    def _find(self, call_id: str) -> str | None:
        # Not a glob over the call id: it may hold characters that a pattern would read.
        if not self._folder.is_dir():
            return None
        names = sorted(
            one.name for one in self._folder.iterdir() if one.stem == call_id and one.suffix and one.is_file()
        )
        return names[0] if names else None

    def _erase(self, call_id: str) -> None:
        while name := self._find(call_id):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder / "calls" / call_id)


def _sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
