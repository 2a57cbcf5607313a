"""The front end as a process of its own, for tests that start, freeze and kill it apart from Triton."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from laptop.service import CHECKOUT
from local_triton.ports import free_ports

KEY = "a-key-for-tests"
PATIENCE_S = 90.0  # ends a test that hangs; what is waited for takes a few seconds, and longer on a busy machine


class FrontEnd:
    """`python -m frontend`; answers are asked through `api`.

    var: its folder; its log lies there. stores: the environment of its stores; by default embedded ones in `var`
    module: what is run instead of `frontend`
    """

    def __init__(
        self,
        var: Path,
        triton_url: str,
        checkout: Path = CHECKOUT,
        stores: Mapping[str, str] | None = None,
        module: str = "frontend",
    ) -> None:
        self.port, self.metrics_port = free_ports(2)
        self.var = var
        self.environment: dict[str, str] = dict(stores or {"TOSIA_STORES": "embedded", "TOSIA_VAR": str(var)})
        self._checkout = checkout
        self.triton_url = triton_url
        self._module = module
        self.process: subprocess.Popen[bytes] | None = None
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"X-API-Key": KEY, "Accept-Language": "en"},  # as the tests are written
            timeout=20.0,
            trust_env=False,
        )

    def start(self, *options: str) -> None:
        """Returns when it answers, ready or not."""
        self.launch(*options)
        wait_for(lambda: self.get("/healthz") == 200, "the front end answers")

    def launch(self, *options: str) -> None:
        """Returns at once."""
        with (self.var / "frontend.log").open("ab") as log:
            command = [sys.executable, "-m", self._module, "--port", str(self.port)]
            self.process = subprocess.Popen(
                [*command, "--metrics-port", str(self.metrics_port), *options],
                cwd=self._checkout,
                env={**os.environ, "API_KEY": KEY, "TRITON_URL": self.triton_url, **self.environment},
                stdout=log,
                stderr=log,
            )

    def get(self, path: str) -> int:
        """The status, or 0 where nobody answers."""
        try:
            return self.api.get(path).status_code
        except httpx.TransportError:
            return 0

    def state(self, call_id: str) -> str:
        return str(self.api.get(f"/v1/calls/{call_id}").json()["state"])

    def workers(self) -> list[int]:
        """Process ids of the workers that decode: those in the cage. All are forked from a server of
        multiprocessing's.
        """
        return [pid for pid in children(self.fork_server()) if _is_caged(pid)]

    def fork_server(self) -> int:
        """Process id of the process that workers are forked from."""
        assert self.process is not None
        (server,) = [
            pid for pid in children(self.process.pid) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return server

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def _is_caged(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return "\nSeccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    return False


@contextmanager
def front_end(
    var: Path,
    triton_url: str,
    checkout: Path = CHECKOUT,
    stores: Mapping[str, str] | None = None,
    module: str = "frontend",
    settings: str = "",
) -> Iterator[FrontEnd]:
    """Not started yet; ended at exit. settings: the text of its TOSIA_CONFIG."""
    one = FrontEnd(var, triton_url, checkout, stores, module)
    if settings:
        (var / "settings.yml").write_text(settings)
        one.environment["TOSIA_CONFIG"] = str(var / "settings.yml")
    try:
        yield one
    finally:
        if one.process is not None and one.process.poll() is None:
            one.process.send_signal(signal.SIGCONT)  # a test may have failed while it was stopped
            one.process.terminate()
            try:
                one.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                raise
        one.api.close()


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s until {what}"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """Process ids of direct children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    return [descendant for child in children(pid) for descendant in (child, *descendants(child))]


def is_running(pid: int) -> bool:
    """A zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
