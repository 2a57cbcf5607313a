"""Write a file or a folder whole or not at all, even if the process ends meanwhile; files also survive a power cut."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from runtime.random_bytes import random_bytes


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file; it is on disk when this returns. An interruption leaves at most a hidden `.part` file beside it.

    Raises: OSError; then no `.part` file is left.
    """
    finish(open_beside(path), path, content)


def open_beside(path: Path) -> FileIO:
    """Open a new hidden file in the same folder, for `finish`. Raises: OSError."""
    return path.with_name(f".{random_bytes(16).hex()}.part").open("xb", buffering=0)


def finish(file: FileIO, path: Path, content: bytes) -> None:
    """Fill the file and rename it to `path`. Raises: OSError; then it is removed."""
    beside = Path(file.name)
    try:
        with file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]  # the kernel may take less
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder to disk: a rename survives a power cut only after that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder next to `target`, and rename it to `target` if the block ends without an error.

    An interruption leaves `target` as it was, and a `.part` folder that the next try removes.
    """
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    yield beside
    beside.replace(target)
