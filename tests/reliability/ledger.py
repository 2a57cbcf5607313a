"""What was sent, what was answered, and whether the stores hold exactly that."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from frontend.calls.retention_sweeper import Sweeper
from tests.integration.problems import post
from tests.integration.processes import FrontEnd, wait_for
from tests.reliability.backends import Backend

SETTLE_S = 120.0  # leases of killed attempts run out after 35 s at most


@dataclass
class Counts:
    """One row of the table."""

    scenario: str
    stores: str
    faults: str
    sent: int = 0
    accepted: int = 0
    one_result: int = 0
    identical: int = 0
    again: int = 0
    erased: int = 0
    swept: int = 0
    orphans: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Every accepted call has one result and its audio, and nothing is left over."""
        return 0 < self.accepted == self.one_result == self.identical and self.orphans == 0

    def row(self) -> list[str]:
        answers = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(self.answers.items()))
        cells = [self.scenario, self.stores, self.faults, self.sent, self.accepted, self.one_result, self.identical]
        return [
            str(cell)
            for cell in (*cells, self.again, self.erased, self.swept, self.orphans, answers, round(self.seconds))
        ]


DONE = ("row", "scenario", "stores", "faults", "seconds")
FOUND = (
    "row", "calls sent", "accepted (2xx)", "one result", "audio identical", "sent again", "erased", "orphans swept",
    "orphans after", "answers",
)  # fmt: skip


def table(rows: list[list[str]]) -> str:
    """Markdown, of `Counts.row`s: what was done, then what was found, as one table would be too wide to read."""
    done = [[str(number), *row[:3], row[-1]] for number, row in enumerate(rows, start=1)]
    found = [[str(number), *row[3:-1]] for number, row in enumerate(rows, start=1)]
    return f"{markdown(DONE, done)}\n\n{markdown(FOUND, found)}"


def markdown(header: tuple[str, ...], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Ledger:
    """Threads write into it."""

    def __init__(self, recording: bytes) -> None:
        self._recording = recording
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.sent: dict[str, bytes] = {}
        self.accepted: set[str] = set()
        self.erased: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.started = time.monotonic()

    def new_call(self, prefix: str = "call") -> tuple[str, bytes]:
        """An id and a recording of its own: decoders pass over what follows the last page of an Ogg file."""
        with self._lock:
            number = next(self._numbers)
            call_id = f"{prefix}-{number}"
            self.sent[call_id] = self._recording + f"{number:08}".encode()
            return call_id, self.sent[call_id]

    def note(self, call_id: str, answer: httpx.Response | None) -> bool:
        """Whether the call is accepted by this answer; None: there was none."""
        status = answer.status_code if answer is not None else 0
        with self._lock:
            self.answers[status] += 1
            if 200 <= status < 300:
                self.accepted.add(call_id)
        return 200 <= status < 300

    def submit(self, api: httpx.Client, call_id: str | None = None) -> str:
        """Send a new call, or one again; its id."""
        if call_id is None:
            call_id, audio = self.new_call()
        else:
            audio = self.sent[call_id]
        self.note(call_id, answered(lambda: post(api, audio, call_id)))
        return call_id

    def submit_until_accepted(self, api: httpx.Client, call_id: str | None = None) -> str:
        """As an impatient sender does: again and again with the same id, sooner than `Retry-After` says."""
        deadline = time.monotonic() + SETTLE_S
        call_id = self.submit(api, call_id)
        while call_id not in self.accepted:
            assert time.monotonic() < deadline, f"a call was never accepted: {self.answers}"
            time.sleep(0.5)
            self.submit(api, call_id)
        return call_id

    def settle(self, counts: Counts, running: FrontEnd, backend: Backend) -> Counts:
        """Wait until no call is left in work, sweep, and compare what lies in the stores with what was answered."""
        wait_for(lambda: nothing_left(running), "no call is left in work", SETTLE_S)
        counts.again = self._send_again(running)
        counts.swept = asyncio.run(_sweep(backend))
        results = backend.results_written()
        for call_id in sorted(self.accepted - self.erased):
            answer = running.api.get(f"/v1/calls/{call_id}")
            record: dict[str, Any] = answer.json()
            diagnosed = answer.status_code == 200 and record["state"] == "diagnosed"
            counts.one_result += diagnosed and record["diagnosis"]["status"] == "ok" and results.get(call_id) == 1
            audio = running.api.get(f"/v1/calls/{call_id}/audio")
            counts.identical += audio.status_code == 200 and audio.content == self.sent[call_id]
        assert [result for result, count in results.items() if count != 1] == [], "a result was written twice"
        for call_id in self.erased:
            assert running.api.get(f"/v1/calls/{call_id}").status_code == 410
        counts.erased = len(self.erased)
        counts.orphans = len(backend.blob_names() ^ backend.audio_of_records())
        assert not any(f"/{call_id}/" in name for call_id in self.erased for name in backend.blob_names())
        counts.sent, counts.accepted = len(self.sent), len(self.accepted - self.erased)
        counts.answers = self.answers
        counts.seconds = time.monotonic() - self.started
        return counts

    def _send_again(self, running: FrontEnd) -> int:
        """Send accepted calls again that were given up, as their failure asks for: two processes died with them.

        Returns how many.
        """
        count = 0
        for call_id in sorted(self.accepted - self.erased):
            record = running.api.get(f"/v1/calls/{call_id}").json()
            if record.get("failure") == {"code": "attempts_never_ended", "retryable": True}:
                count += 1
                self.submit(running.api, call_id)
        return count


def answered(send: Any) -> httpx.Response | None:
    """The answer, or None where the connection broke."""
    try:
        answer: httpx.Response = send()
    except httpx.TransportError:
        return None
    return answer


def nothing_left(running: FrontEnd) -> bool:
    answer = answered(lambda: running.api.get("/v1/calls?state=received"))
    return answer is not None and answer.status_code == 200 and answer.json()["items"] == []


async def _sweep(backend: Backend) -> int:
    """What the front end does after a quarter of an hour, now."""
    stores = backend.open()
    try:
        return (await Sweeper(stores.audio, stores.records, orphan_age_s=0.0).sweep()).orphans
    finally:
        await stores.close()
