"""Runs generator.c: closed or open loop against one port of this machine, with real recordings as multipart bodies."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SOURCE = Path(__file__).with_name("generator.c")
BUILD = SOURCE.parents[2] / "build"
_BOUNDARY = "tosia-bench-5d1f0c"


class GeneratorError(Exception):
    """The generator can't be built or run; says what to do."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """In seconds; NaN where there was no such answer. An open loop counts from when the request was due."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. seconds: from the first request to the last answer.

    cpu_s: of the generator itself; latest_s: how much later than due it has sent a request at worst
    accepted: answered 200 or 201, so with a result; a 202 is among the others
    lost: without an answer (cut off, or none within 15 s of the end)
    """

    accepted: Latencies
    refused: Latencies
    other: Latencies
    statuses: dict[str, int]
    without_retry_after: int
    lost: int
    seconds: float
    cpu_s: float
    latest_s: float

    @property
    def accepted_per_s(self) -> float:
        return self.accepted.count / self.seconds


class Generator:
    """As a context manager. recordings: what is sent; each request takes one of them, in an order drawn from
    the seed.
    """

    def __init__(self, recordings: Sequence[bytes], api_key: str = "bench") -> None:
        """Raises: GeneratorError where there is no C compiler."""
        self._program = _build()
        self._folder = tempfile.TemporaryDirectory(prefix="tosia-bench-")
        folder = Path(self._folder.name)
        self._bodies, self._headers = folder / "bodies", folder / "headers"
        bodies = [_form(recording) for recording in recordings]
        self._bodies.write_bytes(b"".join(struct.pack("<I", len(body)) + body for body in bodies))
        lines = ["POST /v1/diagnoses HTTP/1.1", "Host: 127.0.0.1", f"X-API-Key: {api_key}"]
        lines.append(f"Content-Type: multipart/form-data; boundary={_BOUNDARY}")
        self._headers.write_text("".join(f"{line}\r\n" for line in lines), newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def closed(self, port: int, seconds: float, connections: int, seed: int = 0) -> Load:
        """Each connection sends again as soon as it is answered."""
        return self._run(port, seconds, "closed", connections, seed)

    def open(self, port: int, seconds: float, per_s: float, seed: int = 0) -> Load:
        """Arrivals as a Poisson process of that rate, whatever the server does."""
        return self._run(port, seconds, "open", per_s, seed)

    def _run(self, port: int, seconds: float, mode: str, load: float, seed: int) -> Load:
        command = [str(item) for item in (self._program, port, self._bodies, self._headers, seconds, mode, load, seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
        if done.returncode:
            raise GeneratorError(done.stderr.strip())
        return _load(json.loads(done.stdout))


def _load(found: dict[str, Any]) -> Load:
    return Load(
        accepted=_latencies(found["accepted"]),
        refused=_latencies(found["refused"]),
        other=_latencies(found["other"]),
        statuses=found["statuses"],
        without_retry_after=found["without_retry_after"],
        lost=found["unanswered"] + found["broken"] + found["no_connection"],
        seconds=found["seconds"],
        cpu_s=found["cpu_s"],
        latest_s=found["latest_s"],
    )


def _latencies(found: dict[str, float]) -> Latencies:
    return Latencies(int(found["count"]), *(found.get(name, float("nan")) for name in ("p50", "p90", "p99", "max")))


def _form(recording: bytes) -> bytes:
    disposition = 'Content-Disposition: form-data; name="audio"; filename="note.ogg"'
    head = f"--{_BOUNDARY}\r\n{disposition}\r\nContent-Type: audio/ogg\r\n\r\n"
    return head.encode() + recording + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _build() -> Path:
    program = BUILD / "generator"
    if program.is_file() and program.stat().st_mtime > SOURCE.stat().st_mtime:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise GeneratorError("The load generator is in C: install gcc and libc6-dev.")
    BUILD.mkdir(exist_ok=True)
    done = subprocess.run([compiler, "-O2", "-o", program, SOURCE, "-lm"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GeneratorError(f"The load generator does not compile: {done.stderr.strip()}")
    return program
