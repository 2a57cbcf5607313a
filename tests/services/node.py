"""A server of npm's on loopback: started, waited for, ended."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from local_triton.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / ".venv-node" / "node_modules"
START_S = 120.0  # about 1 s is usual; twenty were not enough on two cores with six processes busy
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class NodeServer:
    """As a context manager: entered when it listens, left when it has ended. It keeps nothing on disk."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            self.command(),
            cwd=self._folder,
            env={**os.environ, "NODE_PATH": str(MODULES), **self.environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - also where the tests are killed
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return self
            except OSError:
                code = self._process.poll()
                if code is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    how = f"after {START_S:g} s" if code is None else f"and ends with {code}"
                    raise RuntimeError(f"{type(self).__name__} does not listen {how}") from None
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10.0)
        shutil.rmtree(self._folder, ignore_errors=True)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def require_node(package: str) -> None:
    """Skips where there is no node, or `make test` has not set the servers up."""
    if shutil.which("node") is None or not (MODULES / package).exists():
        pytest.skip(f"{package} needs node and npm; `make test` sets it up where they are")
