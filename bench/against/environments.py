"""Virtual environments made from a lock alone, by hash; kept in build/against/, so that the next run is quick."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.load.generator import BUILD

_PIP = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--require-hashes")


class AgainstError(Exception):
    """The other build can't be made or started; says why in one sentence."""


def environment(lock: Path, what: str, options: Sequence[str] = ()) -> Path:
    """The environment of a lock, made at the first use. options: of `pip install`.

    what: the environment's name in messages. Raises: AgainstError.
    """
    digest = hashlib.sha256(lock.read_bytes() + " ".join(options).encode()).hexdigest()
    folder = BUILD / "against" / f"{digest[:16]}-{platform.python_version()}"
    finished = folder / ".installed"
    if finished.exists():
        return folder
    print(f"Setting up {what} (once) ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)  # one that was interrupted
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(folder)], what)
    _run([python, "-m", "pip", "install", *_PIP, *options, "-r", str(lock)], what)
    subprocess.run([python, "-m", "compileall", "-q", "-j", "0", str(folder / "lib")], check=False, env=bytecode())
    finished.touch()
    return folder


def bytecode() -> dict[str, str]:
    """This process's environment, in which Python keeps what it compiles."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "no output").splitlines()[-1]
        raise AgainstError(f"{what} can't be made with Python {platform.python_version()}: {said}")
