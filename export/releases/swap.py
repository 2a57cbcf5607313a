"""Replace one directory by another, so that a reader always finds the old or the new directory."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

_AT_FDCWD = -100  # fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP)


def replace_directory(made: Path, target: Path) -> None:
    """`made`, complete and beside `target`, becomes `target`; what was there is removed.

    One system call exchanges the two (renameat2). A file system that can't (some overlays) gets two renames with a
    moment between them in which `target` is away under `.before`; `recover` puts it back after an interruption just
    there.
    """
    target = target.resolve()  # of a link, what it points to
    if not target.exists():
        made.replace(target)
        return
    try:
        _exchange(made, target)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        before = _before(target)
        shutil.rmtree(before, ignore_errors=True)
        target.replace(before)
        made.replace(target)
        shutil.rmtree(before)
    else:
        shutil.rmtree(made)


def recover(target: Path) -> None:
    """Undo a replacement that was interrupted between its two renames."""
    if not target.exists() and _before(target).is_dir():
        _before(target).replace(target)


def _before(target: Path) -> Path:
    return target.with_name(target.name + ".before")


def _exchange(first: Path, second: Path) -> None:
    """Exchange two directories. Raises: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    if libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))
