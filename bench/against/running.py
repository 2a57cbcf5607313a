"""Triton and the front end of one build, each as its own code starts it, on loopback; and what they have used so far.

Only what every build has is used: `local_triton.TritonServer`, `python -m frontend`, `/readyz`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.against.builds import Build
from bench.against.environments import AgainstError
from bench.load.served import API_KEY, folder, memory_mb, session
from laptop.service import GRACE_S, LOOPBACK, end_with_parent
from local_triton.ports import free_ports

READY_S = 60.0
_POLL_S = 0.02
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Triton in the build's own way; it ends with its standard input, so also when this process is killed.
_TRITON = """
import sys
from pathlib import Path
from local_triton import TritonServer
http, grpc, metrics = map(int, sys.argv[2:])
with TritonServer(
    Path("model_repository"), log=Path(sys.argv[1]), http_port=http, grpc_port=grpc, metrics_port=metrics
):
    print("ready", flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """process: the id of the one that leads its session."""

    process: int
    http_port: int
    grpc_port: int

    def candidates(self) -> int:
        """How many spectrograms it has scored so far."""
        url = f"http://{LOOPBACK}:{self.http_port}/v2/models/cough_cnn/stats"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum(version["inference_count"] for version in json.load(answer)["model_stats"])


@dataclass(frozen=True, slots=True)
class RunningFrontEnd:
    """process: the main process; start_s: from the command to the first 200 of /readyz."""

    process: int
    port: int
    start_s: float

    def worker_memory_mb(self) -> float:
        """The largest worker, resident, with what it shares."""
        servers = [pid for pid in session(self.process) if "multiprocessing.forkserver" in _command(pid)]
        return max(memory_mb(pid) for pid in servers if int(_stat(pid)[1]) in servers)


def cpu_s(leader: int) -> float:
    """CPU time of a session so far, with that of its processes that have ended."""
    ticks = 0
    for pid in session(leader):
        with suppress(OSError):
            ticks += sum(map(int, _stat(pid)[11:15]))
    return ticks / _TICKS_PER_S


def own_cpu_s(pid: int) -> float:
    """CPU time of one process so far, with all its threads."""
    return sum(map(int, _stat(pid)[11:13])) / _TICKS_PER_S


@contextmanager
def triton(build: Build) -> Iterator[RunningTriton]:
    """Raises: AgainstError."""
    with folder() as scratch:
        http_port, grpc_port, metrics_port = free_ports(3)
        log = scratch / "driver.log"
        arguments = [str(scratch / "triton.log"), *map(str, (http_port, grpc_port, metrics_port))]
        more = {"TOSIA_TRITON_ENV": str(build.triton)}
        with _started(build, ["-c", _TRITON, *arguments], more, log, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
            if process.stdout.readline() != b"ready\n":
                raise AgainstError(f"Triton of {build.name} does not start: {_last_line(log)}")
            try:
                yield RunningTriton(process.pid, http_port, grpc_port)
            finally:
                process.stdin.close()
                process.wait(GRACE_S)


@contextmanager
def front_end(
    build: Build, server: RunningTriton, variables: Mapping[str, str] | None = None
) -> Iterator[RunningFrontEnd]:
    """With embedded stores that are new. variables: more of its environment. Raises: AgainstError."""
    with folder() as scratch:
        port, metrics_port = free_ports(2)
        more = {"API_KEY": API_KEY, "TOSIA_STORES": "embedded", "TOSIA_VAR": str(scratch / "var")}
        more |= variables or {}
        more["TRITON_URL"] = f"{LOOPBACK}:{server.grpc_port}"
        log = scratch / "log"
        options = ["--host", LOOPBACK, "--port", str(port), "--metrics-port", str(metrics_port)]
        started = time.perf_counter()
        with _started(build, ["-m", "frontend", *options], more, log) as process:
            while not _is_ready(port):
                if process.poll() is not None or time.perf_counter() - started > READY_S:
                    raise AgainstError(f"The front end of {build.name} is not ready: {_last_line(log)}")
                time.sleep(_POLL_S)
            yield RunningFrontEnd(process.pid, port, time.perf_counter() - started)


@contextmanager
def _started(
    build: Build, command: Sequence[str], more: Mapping[str, str], log: Path, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a build in a session of its own; nothing of it runs at the end. Its settings are `more` alone."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(build.serving / "bin" / "python"), *command],
            cwd=build.checkout,
            env={**environ, **more},
            stdin=stdin,
            stdout=subprocess.PIPE if stdin == subprocess.PIPE else output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - nothing of ours runs in another thread then
        )
    try:
        yield process
    finally:
        everyone = session(process.pid)
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            for pid in everyone:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    return (log.read_text("utf-8", "replace").strip().splitlines() or ["no output"])[-1]


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on. Raises: OSError where it has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
