"""Services under load: ours as `make run` starts it, and the baselines; each on loopback with stores of its own."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports

API_KEY = "bench"
PEERS_PYTHON = CHECKOUT / ".venv-bench" / "bin" / "python"
READY_S = 120.0
# Two a core: no worse than one a core for any baseline, and a fifth better for one (docs/decisions/0013-speed.md).
PEERS_PROCESSES = 2 * len(os.sched_getaffinity(0))
# Enough to keep every core busy; at 12 on 2 cores admission refuses some, who in a closed loop ask again at once:
# overload.
CONNECTIONS = 4 * len(os.sched_getaffinity(0))


class PeerError(Exception):
    """A baseline can't be started."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service. processes: the ids of those that lead its sessions."""

    name: str
    port: int
    processes: tuple[int, ...]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Its processes get no CPU inside: those that only wait shall cost the others nothing."""
        everyone = [item for leader in self.processes for item in session(leader)]
        for item in everyone:
            with suppress(ProcessLookupError):
                os.kill(item, signal.SIGSTOP)
        try:
            yield
        finally:
            for item in everyone:
                with suppress(ProcessLookupError):
                    os.kill(item, signal.SIGCONT)


@contextmanager
def folder() -> Iterator[Path]:
    """For stores; removed with what is in it."""
    path = Path(tempfile.mkdtemp(prefix="tosia-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def our_service() -> Iterator[tuple[Service, Running]]:
    """Triton and the front end, one worker a core."""
    port, metrics_port = free_ports(2)
    with folder() as var, Service(port=port, metrics_port=metrics_port, api_key=API_KEY, var=var) as service:
        leaders = tuple(children(os.getpid()))
        yield service, Running("rest", port, leaders)


@contextmanager
def baseline(name: str, ready_path: str) -> Iterator[Running]:
    """Raises: PeerError."""
    (port,) = free_ports(1)
    with folder() as var:
        command = [
            str(PEERS_PYTHON),
            "-m",
            f"bench.baselines.{name}",
            "--port",
            str(port),
            "--var",
            str(var / "stores"),
        ]
        command += ["--workers", str(PEERS_PROCESSES)]
        with (var / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_ready(name, process, port, ready_path, var / "log")
            yield Running(name, port, (process.pid,))
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                for item in session(process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(item, signal.SIGKILL)
                process.wait()


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text("utf-8", "replace").strip().splitlines() or ["no output"]
            raise PeerError(f"{name} has ended ({process.returncode}): {lines[-1]}")
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
            connection.request("GET", path)
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(0.2)
    raise PeerError(f"{name} is not ready after {READY_S:.0f} s")


def children(parent: int) -> list[int]:
    """Processes that this one has started and that still run."""
    return [pid for pid, fields in _processes() if int(fields[1]) == parent and fields[0] != "Z"]


def session(leader: int) -> list[int]:
    """All processes of a session, and those that its members have started in sessions of their own."""
    table = _processes()
    found = {pid for pid, fields in table if int(fields[3]) == leader}
    while more := {pid for pid, fields in table if int(fields[1]) in found} - found:
        found |= more
    return sorted(found)


def memory_mb(pid: int) -> float:
    """Resident, with what it shares."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _processes() -> list[tuple[int, list[str]]]:
    """Process ids, and the fields of their `stat` from the state on."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                found.append((int(path.name), (path / "stat").read_text().rpartition(")")[2].split()))
    return found
