"""Consumers that are killed at each point of a message's life, for `make test-system` and, in full, `make soak`."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.intake.faulty_intake import POINTS
from tests.intake.rig import Rig, cloud_event, event_grid, intake, wait_until
from tests.reliability.ledger import Counts

FAULTY = "tests.intake.faulty_intake"
SETTLE_S = 240.0  # leases of killed attempts run out after 35 s
QUICK = {"TOSIA_INTAKE__POLL_S": "0.2", "TOSIA_INTAKE__RETRY_PAUSE_S": "0.5", "TOSIA_INTAKE__VISIBILITY_S": "3"}


@dataclass(frozen=True)
class Storm:
    """blobs: with audio; messages: with duplicates, out of order; missing: blobs of events that were never written"""

    blobs: int
    messages: int
    missing: int


def killed_consumers(rig: Rig, triton_url: str, folder: Path, recording: bytes, messages: int, kills: int) -> Counts:
    """Two consumers, each killed again and again at one point after the other, then one that settles the rest."""
    started = time.monotonic()
    rng = random.Random(1)
    storm = _plan(rig, recording, messages)
    events = list(_events(rig, storm))
    rng.shuffle(events)
    waiting = iter(events)
    points = itertools.islice(itertools.cycle(POINTS), kills)
    lock = threading.Lock()
    died: list[str] = []

    def announce_some() -> None:
        with lock:
            some = list(itertools.islice(waiting, max(1, len(events) // kills)))
        for event in some:
            rig.announce(event)

    def live_and_die(replica: int) -> None:
        place = folder / f"consumer-{replica}"
        place.mkdir(exist_ok=True)
        while True:
            with lock:
                point = next(points, None)
            if point is None:
                return
            announce_some()
            with intake(rig, triton_url, place, FAULTY, TOSIA_TEST_AT=point, **QUICK) as one:
                one.start()
                assert one.process is not None
                deadline = time.monotonic() + 60.0
                while one.process.poll() is None:
                    assert time.monotonic() < deadline, f"the consumer did not come to {point}"
                    rig.announce(_reaching(rig, point, events))  # so that there is work for the point
                    with suppress(Exception):
                        one.process.wait(1.0)
                assert one.process.returncode == -signal.SIGKILL, f"{one.process.returncode} at {point}"
                died.append(point)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(live_and_die, replica) for replica in range(2)]:
            done.result()
    assert len(died) == kills
    for event in waiting:
        rig.announce(event)
    place = folder / "consumer-last"
    place.mkdir(exist_ok=True)
    with intake(rig, triton_url, place, **QUICK) as one:
        one.start()
        wait_until(rig.settled, "every message is worked on, and every record has its result", SETTLE_S)
        seconds = time.monotonic() - started
        return _counted(rig, storm, recording, f"{kills} kills at {len({*died})} points", seconds)


def _plan(rig: Rig, recording: bytes, messages: int) -> Storm:
    blobs, missing = messages * 7 // 10, max(1, messages // 50)
    storm = Storm(blobs, messages, missing)
    for n in range(blobs):
        rig.account.put(_blob(n), recording + n.to_bytes(4, "big"))
    return storm


def _blob(n: int) -> str:
    return f"phone-{n:04}.ogg" if n % 2 else f"calls/folder-{n:04}/recording"


def _events(rig: Rig, storm: Storm) -> Iterator[object]:
    """As many as `messages`: one for each blob, then for missing ones, then duplicates."""
    container = rig.account.container
    names = [_blob(n) for n in range(storm.blobs)] + [f"missing-{n}.ogg" for n in range(storm.missing)]
    for n in range(storm.messages):
        schema = cloud_event if n % 3 else event_grid
        yield schema(container, names[n % len(names)])


def _reaching(rig: Rig, point: str, events: list[object]) -> object:
    """An event that leads to the point: what is given back or given up is missing; all others land anew."""
    if point.startswith(("message.give_back", "queue.add_poison")):
        return event_grid(rig.account.container, "missing-0.ogg")
    if point.startswith(("records.create", "classify", "result", "audio")):
        return random.choice(events)
    return events[0]


def _counted(rig: Rig, storm: Storm, recording: bytes, faults: str, seconds: float) -> Counts:
    records, results = rig.records(), rig.results_written()
    audio = rig.account.blobs()
    counts = Counts("intake killed between two steps of a message", "azure", faults)
    counts.sent, counts.accepted = storm.messages, storm.blobs
    counts.one_result = sum(results.get(call_id) == 1 for call_id in records)
    counts.identical = sum(
        audio.get(str(item["audio"]["name"]), b"").startswith(recording)
        for item in records.values()
        if item["state"] == "diagnosed"
    )
    counts.again = storm.messages - storm.blobs
    given_up = {str(item.get("blob")) for item in rig.all_poisoned()}
    wrong = {blob for blob in given_up if not blob.startswith("missing-")}
    counts.orphans = len(records) - storm.blobs + len(wrong)
    counts.seconds = seconds
    return counts
