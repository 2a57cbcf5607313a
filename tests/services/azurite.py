"""Azurite, the real blob service for a laptop, on loopback and in memory."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
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
PROGRAM = ROOT / ".venv-node" / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT = "tosiatest"
START_S = 20.0  # about 1 s is usual


class Azurite:
    """As a context manager: entered when it listens, left when it has ended."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def connection(self, key: str | None = None) -> str:
        """As BLOB_CONNECTION; key: another one than the account's."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key or self.key};BlobEndpoint={self.endpoint};"

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            [
                *(str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--silent"),
                *("--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"),
            ],
            cwd=self._folder,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    raise RuntimeError("Azurite does not start") from None
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10.0)
        shutil.rmtree(self._folder, ignore_errors=True)


def require_azurite() -> None:
    """Skips where there is no node, or `make test` has not set Azurite up."""
    if shutil.which("node") is None or not PROGRAM.exists():
        pytest.skip("Azurite needs node and npm; `make test` sets it up where they are")
