"""Write a file or a folder whole or not at all, also where the process ends in between; a file also through a power
cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def atomic_write(path: Path, content: bytes) -> None:
    """On disk when this returns. An interruption leaves at most a hidden `.part` file beside.

    Raises: OSError; then nothing is left beside.
    """
    finish(open_beside(path), path, content)


def open_beside(path: Path) -> BinaryIO:
    """A new hidden file in the same folder, for `finish`. Raises: OSError."""
    return path.with_name(f".{uuid.uuid4().hex}.part").open("xb")


def finish(file: BinaryIO, path: Path, content: bytes) -> None:
    """Fill the file and rename it to `path`. Raises: OSError; then it is removed."""
    beside = Path(file.name)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside, which becomes `target` where what is inside ends without an error.

    An interruption leaves `target` as it was, and a `.part` folder that the next try removes.
    """
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    yield beside
    beside.replace(target)
