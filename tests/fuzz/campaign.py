"""One run of fuzzing: bodies are sent one after the other to a real front end, and every answer is judged.

The bodies follow from the seed and their number alone. One that ends a worker, takes long, or gets an answer that it
must not get is kept in a folder for whoever looks into it; only its count is told, since it may do the same to others'
software.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from frontend.answers.http_errors import CODES, HTTP_ERRORS
from preprocess.errors import AudioError
from tests.fuzz import requests, watch
from tests.fuzz.damage import damaged
from tests.fuzz.recordings import NAMES, recording
from tests.integration.problems import PROBLEM_FIELDS, post
from tests.integration.processes import KEY, FrontEnd, is_running, wait_for

ANSWER_S = 60.0  # a request without an answer by then hangs: it has a deadline of 10 s, a worker one of 20 s
SLOW_CPU_S = 5.0
MOST_GROWTH_BYTES = 192 * watch.MIB  # of the front end's main process; buffers of bodies and threads' arenas are kept
_SILENT_S = 0.3  # most answers come within; nothing else depends on it
_CONTINUE = re.compile(rb"^HTTP/1\.1 100 [^\r]*\r\n\r\n")
_MOST_SILENT = 20
_REQUESTS_OF_TEN = 3
_STATUSES = {error.status for error in HTTP_ERRORS.values()} | {404, 405}
_AUDIO_CODES = {kind.code for kind in HTTP_ERRORS if issubclass(kind, AudioError)}
# What a call's failure may say: its recording, or that the recording ended two workers or took too long.
_FAILURES = _AUDIO_CODES | {"preparation_timeout"}


@dataclass
class Tally:
    """What became of the bodies of one kind.

    answers: by status and code; ended: bodies over which a worker ended; slowest: seconds of one body
    """

    bodies: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    slowest_cpu_s: float = 0.0
    slowest_wall_s: float = 0.0


@dataclass
class Found:
    """What the run has shown.

    troubles: what must not be, by kind; restarts: of workers, by cause; memory: before and after, bytes
    """

    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    troubles: Counter[str] = field(default_factory=Counter)
    restarts: dict[str, float] = field(default_factory=dict)
    ended_connections: dict[str, float] = field(default_factory=dict)
    front_end_bytes: tuple[int, int] = (0, 0)
    workers_bytes: tuple[int, int] = (0, 0)
    lag_s: tuple[float, float] = (0.0, 0.0)
    calls: Counter[str] = field(default_factory=Counter)
    kept: int = 0

    @property
    def bodies(self) -> int:
        return sum(tally.bodies for tally in self.tallies.values())


class Campaign:
    """A run against a front end that is ready. keep: the folder of bodies that somebody should look at"""

    def __init__(self, one: FrontEnd, seed: int, keep: Path) -> None:
        self._one, self._seed, self._keep = one, seed, keep
        self._workers = one.workers()
        self._accepted: list[str] = []
        self._silent: deque[tuple[socket.socket, str, bytes]] = deque()
        self.found = Found()

    def run(self, bodies: int | None, until: float | None = None) -> Found:
        """Send so many bodies, or go on until a moment of `time.monotonic`; then look at what is left."""
        for _ in range(4):  # what is loaded with the first recordings and figures is no growth
            post(self._one.api, recording("ogg-cough"))
        assert self._one.process is not None
        before = self._memory()
        number = 0
        while number < bodies if bodies is not None else time.monotonic() < (until or 0.0):
            self._one_body(number)
            number += 1
            if not self._lives():
                break
        self._end(before)
        return self.found

    def _one_body(self, number: int) -> None:
        rng = Random(f"{self._seed}/{number}")
        if number % 10 < _REQUESTS_OF_TEN:
            kind = rng.choice(("a route", "a form", "framing"))
            if kind == "a route":
                body = requests.route(KEY, self._accepted[-50:], rng)
            elif kind == "a form":
                body = requests.form(KEY, number, rng)
            else:
                body = requests.framing(KEY, number, rng)
            self._over_socket(kind, body)
        else:
            name = rng.choice(NAMES)
            body, _ = damaged(name, rng)
            self._upload(name, body, f"fuzz-{number}")

    def _upload(self, name: str, body: bytes, call_id: str) -> None:
        tally = self.found.tallies[name]
        tally.bodies += 1
        cpu, begun = watch.cpu_s(self._workers), time.monotonic()
        try:
            answer = post(self._one.api, body, call_id, timeout=ANSWER_S)
        except httpx.HTTPError as error:
            self._trouble(f"no answer to a recording: {type(error).__name__}", body)
            return
        wall = time.monotonic() - begun
        tally.slowest_wall_s = max(tally.slowest_wall_s, wall)
        ended = [pid for pid in self._workers if not is_running(pid)]
        if ended:
            tally.ended += 1
            self._save(body)
            self._workers = self._one.workers()
        else:
            used = watch.cpu_s(self._workers) - cpu
            tally.slowest_cpu_s = max(tally.slowest_cpu_s, used)
            if used > SLOW_CPU_S:
                self._save(body)
        if answer.status_code in (200, 201, 202) or "location" in answer.headers:
            self._accepted.append(call_id)
        tally.answers[self._judged(answer, body)] += 1

    def _over_socket(self, kind: str, body: bytes) -> None:
        self.found.tallies[kind].bodies += 1
        sent = time.monotonic()
        connection = socket.create_connection(("127.0.0.1", self._one.port), timeout=ANSWER_S)
        with contextlib.suppress(OSError):  # it may be refused in the middle
            connection.sendall(body)
        if select.select([connection], [], [], _SILENT_S)[0]:
            self._answered(connection, kind, body, sent)
        else:  # the front end may wait for the rest of it: it must give up by itself
            self._silent.append((connection, kind, body))
            if len(self._silent) > _MOST_SILENT:
                self._answered(*self._silent.popleft())

    def _answered(self, connection: socket.socket, kind: str, body: bytes, sent: float | None = None) -> None:
        """sent: when, where nothing else was done since."""
        tally = self.found.tallies[kind]
        received = b""
        with connection:
            try:
                while not _is_whole(received, body) and (part := connection.recv(65_536)):
                    received += part
            except TimeoutError:
                self._trouble(f"no end to {kind}", body)
                return
            except OSError:
                pass
        if sent is not None:
            tally.slowest_wall_s = max(tally.slowest_wall_s, time.monotonic() - sent)
        if not received:
            tally.answers["cut"] += 1
            return
        answer = _first_answer(received)
        if answer is None:
            self._trouble(f"no HTTP in the answer to {kind}", body)
        else:
            tally.answers[self._judged(answer, body, whole=False)] += 1

    def _judged(self, answer: httpx.Response, body: bytes, whole: bool = True) -> str:
        """What the tables call it. whole: the answer can't be cut or without a body"""
        status, kind = answer.status_code, answer.headers.get("content-type", "")
        if b"Traceback" in answer.content:
            self._trouble("a traceback in an answer", body)
        if status < 400:
            return str(status)
        if status == 400 and kind.startswith("text/plain"):
            return "400"  # by uvicorn, of what is no HTTP
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        if not whole and not answer.content:
            return str(status)  # to HEAD
        code = problem.get("code")
        good = kind == "application/problem+json" and problem.keys() == PROBLEM_FIELDS and code in CODES
        if not good or status not in _STATUSES or (status == 503 and "retry-after" not in answer.headers):
            self._trouble(f"an answer that is not documented: {status} {code}", body)
        return f"{status} {code}"

    def _trouble(self, kind: str, body: bytes) -> None:
        self.found.troubles[kind] += 1
        self._save(body)

    def _save(self, body: bytes) -> None:
        self._keep.mkdir(parents=True, exist_ok=True)
        (self._keep / f"{self.found.kept:05}").write_bytes(body)
        self.found.kept += 1

    def _lives(self) -> bool:
        assert self._one.process is not None
        if self._one.process.poll() is None:
            return True
        self.found.troubles["the front end has ended"] += 1
        return False

    def _memory(self) -> tuple[int, int]:
        assert self._one.process is not None
        self._workers = self._one.workers()
        return watch.memory_bytes(self._one.process.pid), sum(map(watch.memory_bytes, self._workers))

    def _end(self, before: tuple[int, int]) -> None:
        found = self.found
        while self._silent:
            self._answered(*self._silent.popleft())
        if not self._lives():
            return
        wait_for(lambda: len(self._one.workers()) >= len(self._workers), "all workers are back")
        for _ in range(4):
            answer = post(self._one.api, recording("ogg-cough"), timeout=ANSWER_S)
            if answer.status_code != 201 or answer.json()["diagnosis"]["status"] != "ok":
                found.troubles["a good recording is no longer diagnosed"] += 1
        if self._one.get("/healthz") != 200:
            found.troubles["/healthz is no longer 200"] += 1
        self._judge_calls()
        after = self._memory()
        found.front_end_bytes, found.workers_bytes = (before[0], after[0]), (before[1], after[1])
        if after[0] - before[0] > MOST_GROWTH_BYTES:
            found.troubles["the front end's memory has grown"] += 1
        text = watch.metrics(self._one)
        found.restarts = watch.by_label(text, "tosia_worker_restarts_total")
        found.ended_connections = watch.by_label(text, "tosia_connections_ended_total")
        found.lag_s = watch.lag_s(text, 0.5), watch.lag_s(text, 0.99)
        log = (self._one.var / "frontend.log").read_text(errors="replace")
        found.troubles += watch.log_troubles(log)
        if found.troubles:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / "frontend.log").write_text(log)

    def _judge_calls(self) -> None:
        """Every call that was accepted is diagnosed, or failed because of its recording."""

        def unfinished() -> bool:
            return bool(self._one.api.get("/v1/calls", params={"state": "received"}).json()["items"])

        with contextlib.suppress(AssertionError):  # what is not finished is counted below
            wait_for(lambda: not unfinished(), "the accepted calls are finished")
        records = self._records()
        for call_id in self._accepted:
            record = records.get(call_id) or self._one.api.get(f"/v1/calls/{call_id}").json()
            # A drawn DELETE may have met it.
            state = "erased" if record.get("code") == "call_erased" else record.get("state", "not found")
            code = (record.get("failure") or {}).get("code")
            self.found.calls[f"{state} {code}" if code else state] += 1
            if state not in ("diagnosed", "erased") and not (state == "failed" and code in _FAILURES):
                self._trouble(
                    f"an accepted call is {state} {code}", self._one.api.get(f"/v1/calls/{call_id}/audio").content
                )

    def _records(self) -> dict[str, dict[str, Any]]:
        """All records, by id, in pages."""
        found: dict[str, dict[str, Any]] = {}
        asked = {"limit": "200"}
        while True:
            page = self._one.api.get("/v1/calls", params=asked).json()
            found |= {record["call_id"]: record for record in page["items"]}
            if page["next"] is None:
                return found
            asked["after"] = page["next"]


def _is_whole(received: bytes, request: bytes) -> bool:
    """The first answer is; the connection may stay open behind it."""
    head, end, content = _CONTINUE.sub(b"", received).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if request.startswith(b"HEAD") or re.match(rb"HTTP/1\.1 [23]04", head):
        return bool(end)
    return bool(end) and length is not None and len(content) >= int(length[1])


def _first_answer(received: bytes) -> httpx.Response | None:
    """The first answer in these bytes; a 100 is none."""
    head, _, body = _CONTINUE.sub(b"", received).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*", first)
    if found is None:
        return None
    headers = [tuple(line.split(b": ", 1)) for line in lines if b": " in line]
    length = next((int(value) for name, value in headers if name.lower() == b"content-length"), len(body))
    kept = [(name, value) for name, value in headers if name.lower() not in (b"content-encoding", b"transfer-encoding")]
    return httpx.Response(int(found[1]), headers=kept, content=body[:length])


def summary(found: Found) -> str:
    """For a person at the terminal: kinds and counts alone."""
    return json.dumps(
        {"bodies": found.bodies, "troubles": found.troubles, "workers ended": found.restarts, "calls": found.calls,
         "kept": found.kept}
    )  # fmt: skip
