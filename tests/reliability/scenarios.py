"""Faults, done for real to running servers under load: processes are killed and frozen, connections cut, disks filled.

Each scenario takes its counts, so that `make test` can run it reduced and `make soak` in full, and returns its row of
the table.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, State, StoredAudio, from_now, now
from local_triton import TritonServer
from tests.frontend.calls.test_crash_safety import assert_whole, kill_after, start_writer
from tests.integration.processes import FrontEnd, descendants, front_end, wait_for
from tests.reliability.backends import AzureBackend, Backend, EmbeddedBackend
from tests.reliability.front_end import POINTS, POINTS_OF_COSMOS
from tests.reliability.ledger import Counts, Ledger, answered
from tests.services.azure import Azure
from tests.services.http_proxy import Answer, Cut, Fault, HttpProxy, Refuse, Seen

SENDERS = 3
PATIENT_SENDERS = 12  # who mostly wait
KILLS_A_FOLDER = 20  # every blob of it is read after each of them
FAULTY = "tests.reliability.front_end"


@dataclass(frozen=True)
class World:
    """What scenarios run in. triton: running; folder: for logs and embedded stores; recording: its diagnosis is
    `ok`.
    """

    triton: TritonServer
    azure: Azure
    folder: Path
    recording: bytes


@contextmanager
def ready(world: World, backend: Backend, name: str, **more: str) -> Iterator[FrontEnd]:
    """A front end that is ready, with one worker; more: of its environment."""
    var = world.folder / name
    var.mkdir(parents=True, exist_ok=True)
    module = FAULTY if "TOSIA_TEST_AT" in more else "frontend"
    with front_end(var, world.triton.grpc_url, stores={**backend.environment(), **more}, module=module) as one:
        one.launch("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200 or has_ended(one), "the front end is ready", 60.0)
        yield one


def has_ended(one: FrontEnd) -> bool:
    return one.process is not None and one.process.poll() is not None


def in_parallel(count: int, work: Callable[[], object], senders: int = SENDERS) -> None:
    """The work so many times, by a few senders at once."""
    with ThreadPoolExecutor(senders) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()


def kill_triton(triton: TritonServer) -> None:
    """As the kernel does when memory runs out; then started again on the same ports."""
    assert triton._warden is not None
    for pid in descendants(triton._warden.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    triton.stop()
    triton.start()


def triton_killed_under_load(world: World, backend: Backend, restarts: int, calls: int) -> Counts:
    """Every call is accepted, and finished when Triton is back."""
    ledger = Ledger(world.recording)
    with ready(world, backend, f"triton-{backend.name}") as one:
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set() or len(ledger.sent) < calls:
                ledger.submit(one.api)
                time.sleep(0.3)

        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(send) for _ in range(SENDERS)]
            try:
                for _ in range(restarts):
                    time.sleep(1.0)
                    kill_triton(world.triton)
            finally:
                ended.set()
            for sender in senders:
                sender.result()
        assert ledger.answers.keys() <= {200, 201, 202}, ledger.answers
        counts = Counts("Triton killed and started again under steady load", backend.name, f"{restarts} restarts")
        return ledger.settle(counts, one, backend)


def killed_at_every_gap(world: World, backend: Backend, kills: int) -> Counts:
    """Two replicas, each killed again and again at one point after the other; half of the senders never come back."""
    ledger = Ledger(world.recording)
    all_points = POINTS + (POINTS_OF_COSMOS if isinstance(backend, AzureBackend) else ())
    points = itertools.islice(itertools.cycle(all_points), kills)
    lock = threading.Lock()
    died: list[str] = []
    to_erase: set[str] = set()

    def live_and_die(replica: int) -> None:
        for n in itertools.count():
            with lock:
                point = next(points, None)
            if point is None:
                return
            name = f"kill-{backend.name}-{replica}-{n % 2}"
            with ready(world, backend, name, TOSIA_TEST_AT=point) as one:
                deadline = time.monotonic() + 60.0
                while not has_ended(one):
                    assert time.monotonic() < deadline, f"the front end did not come to {point}"
                    _work_for(point, ledger, one, backend, to_erase)
                assert one.process is not None
                assert one.process.returncode == -signal.SIGKILL, f"{one.process.returncode} at {point}"
                died.append(point)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(live_and_die, replica) for replica in range(2)]:
            done.result()
    assert len(died) == kills
    with ready(world, backend, f"kill-{backend.name}-last") as one:
        for call_id in sorted(to_erase):
            wait_for(lambda call_id=call_id: _erase(ledger, one, call_id), "the call is erased", 60.0)
        unanswered = sorted(ledger.sent.keys() - ledger.accepted - ledger.erased)
        for call_id in unanswered[::2]:
            if call_id.startswith("phone"):
                wait_for(lambda call_id=call_id: _diagnose(ledger, one, call_id), "it is diagnosed", 60.0)
            else:
                ledger.submit_until_accepted(one.api, call_id)
        # What the telephone system has put there, and nobody asked about, is not ours to sweep.
        for call_id in ledger.sent:
            if call_id.startswith("phone") and call_id not in ledger.accepted:
                wait_for(lambda call_id=call_id: _erase(ledger, one, call_id), "the call is erased", 60.0)
        counts = Counts(
            "front end killed between two steps of a call", backend.name, f"{kills} kills at {len({*died})} points"
        )
        return ledger.settle(counts, one, backend)


def _work_for(point: str, ledger: Ledger, one: FrontEnd, backend: Backend, to_erase: set[str]) -> None:
    """Some work that leads a front end to the point."""
    if "erase:" in point or "_delete" in point:
        call_id = ledger.submit(one.api)
        if call_id in ledger.accepted and not _erase(ledger, one, call_id):
            to_erase.add(call_id)
    elif point.startswith(("audio.find", "audio.read")):
        call_id, audio = ledger.new_call("phone")
        backend.put(f"{call_id}.ogg", audio)
        _diagnose(ledger, one, call_id)
    elif point.startswith("claim"):
        asyncio.run(_leave_behind(ledger, backend))
        time.sleep(1.0)
    elif point in POINTS_OF_COSMOS:
        ledger.submit(one.api)
    else:
        in_parallel(SENDERS, lambda: ledger.submit(one.api))


def _erase(ledger: Ledger, one: FrontEnd, call_id: str) -> bool:
    answer = answered(lambda: one.api.delete(f"/v1/calls/{call_id}"))
    if answer is None or answer.status_code != 204:
        return False
    ledger.erased.add(call_id)
    return True


def _diagnose(ledger: Ledger, one: FrontEnd, call_id: str) -> bool:
    return ledger.note(call_id, answered(lambda: one.api.post(f"/v1/calls/{call_id}/diagnosis")))


async def _leave_behind(ledger: Ledger, backend: Backend) -> None:
    """A call that was accepted by a replica which then died: due now."""
    call_id, audio = ledger.new_call()
    stores = backend.open()
    soon = Deadline.after(30.0)
    sha256 = hashlib.sha256(audio).hexdigest()
    stored = StoredAudio(f"calls/{call_id}/{sha256}", sha256, len(audio), "audio/ogg")
    try:
        await stores.audio.write(stored.name, audio, soon)
        record = CallRecord(call_id, State.RECEIVED, now(), now(), 1, None, stored, None)
        await stores.records.create(replace(record, owner="died", due_at=from_now(-1.0)), soon)
    finally:
        await stores.close()
    ledger.accepted.add(call_id)


def two_replicas_on_one_backlog(world: World, backend: Backend, calls: int) -> Counts:
    """While Triton is away one replica accepts calls and dies; two others, which know the model already, finish
    them.
    """
    ledger = Ledger(world.recording)
    # Whichever connects to Triton first could finish all of it alone: each claims no more once it has finished one.
    gate = world.folder / f"backlog-{backend.name}-gate"
    held = {"TOSIA_TEST_AT": "result:after", "TOSIA_TEST_SIGNAL": "HOLD", "TOSIA_TEST_GATE": str(gate)}
    with (
        ready(world, backend, f"backlog-{backend.name}-0") as first,
        ready(world, backend, f"backlog-{backend.name}-1", **held) as one,
        ready(world, backend, f"backlog-{backend.name}-2", **held),
    ):
        world.triton.stop()
        try:
            in_parallel(calls, lambda: ledger.submit(first.api))
            assert ledger.answers == {202: calls}, ledger.answers
            first.stop(signal.SIGKILL)
        finally:
            world.triton.start()
        wait_for(lambda: len(asyncio.run(_owners(backend, calls))) == 2, "each replica has finished a call")
        gate.touch()
        counts = ledger.settle(Counts("two replicas on one backlog", backend.name, "1 kill"), one, backend)
        owners = asyncio.run(_owners(backend, calls))
        assert len(owners) == 2, owners
        counts.faults += f", finished {owners[0]} + {owners[1]}"
        return counts


async def _owners(backend: Backend, calls: int) -> list[int]:
    """How many calls each process has finished."""
    stores = backend.open()
    try:
        page = await stores.records.page(calls, None, None, None, Deadline.after(30.0))
    finally:
        await stores.close()
    owners = [record.owner for record in page.items if record.state is State.DIAGNOSED]
    return sorted((owners.count(owner) for owner in set(owners)), reverse=True)


def frozen_replica(world: World, backend: Backend) -> Counts:
    """A replica freezes with the result in its hands; another finishes the call; when the first goes on it writes
    nothing.
    """
    ledger = Ledger(world.recording)
    # The lease of the first ends soon after its deadline; then the second one takes over.
    soon = {"TOSIA_LIMITS__REQUEST_DEADLINE_S": "3"}
    frozen = {"TOSIA_TEST_AT": "result:before", "TOSIA_TEST_SIGNAL": "STOP", **soon}
    with (
        ready(world, backend, f"frozen-{backend.name}-0", **frozen) as one,
        ready(world, backend, f"frozen-{backend.name}-1", **soon) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        sent = pool.submit(ledger.submit, one.api)
        assert one.process is not None
        stat = Path(f"/proc/{one.process.pid}/stat")
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the first replica is frozen")
        (call_id,) = ledger.sent
        wait_for(lambda: other.state(call_id) == "diagnosed", "the second replica finishes the call", 60.0)
        one.process.send_signal(signal.SIGCONT)
        sent.result()
        ledger.submit(one.api, call_id)
        counts = Counts("replica frozen before it writes its result", backend.name, "1 SIGSTOP")
        return ledger.settle(counts, other, backend)


def cosmos_throttles(world: World, calls: int) -> Counts:
    """A third of all requests is answered 429 or 503, and for two seconds all of them."""
    ledger = Ledger(world.recording)
    throttled = Answer(429, {"x-ms-retry-after-ms": "30", "x-ms-substatus": "3200"})
    busy = Answer(503, {"Retry-After": "1"})
    chance = random.Random(0)
    away = threading.Event()

    def rule(_: Seen) -> Fault | None:
        if away.is_set():
            return busy
        draw = chance.random()
        return throttled if draw < 0.25 else busy if draw < 0.33 else None

    with HttpProxy(world.azure.cosmos.port) as proxy:
        backend = AzureBackend(world.azure, cosmos_port=proxy.port)
        with ready(world, backend, "cosmos") as one:
            proxy.rule = rule
            with ThreadPoolExecutor(1) as pool:
                outage = pool.submit(_for_a_while, away, 1.0, 2.0)
                in_parallel(calls, lambda: ledger.submit_until_accepted(one.api), PATIENT_SENDERS)
                outage.result()
            faults = proxy.faults
            proxy.rule = lambda _: None
            counts = Counts("Cosmos answers 429 and 503", backend.name, f"{faults} answers")
            return ledger.settle(counts, one, backend)


def workers_killed(world: World, backend: Backend, kills: int) -> Counts:
    """Workers are killed at random times while calls come in; every tenth while the front end is frozen for a second.

    The row says how long after a kill, or after the front end was thawed, the next call was diagnosed.
    """
    ledger = Ledger(world.recording)
    dice = random.Random(0)
    done = threading.Event()
    diagnosed_at = [time.monotonic()]
    with ready(world, backend, f"workers-{backend.name}") as one:
        assert one.process is not None

        def send() -> None:
            while not done.is_set():
                if ledger.submit(one.api) in ledger.accepted:
                    diagnosed_at.append(time.monotonic())

        costs: list[float] = []
        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [pool.submit(send) for _ in range(SENDERS)]
            try:
                for n in range(kills):
                    time.sleep(dice.uniform(0.05, 0.25))
                    frozen = n % 10 == 9
                    if frozen:
                        one.process.send_signal(signal.SIGSTOP)
                    for pid in one.workers()[:1]:
                        os.kill(pid, signal.SIGKILL)
                    if frozen:
                        time.sleep(1.0)
                        one.process.send_signal(signal.SIGCONT)
                    killed_at = time.monotonic()
                    wait_for(
                        lambda killed_at=killed_at: diagnosed_at[-1] > killed_at, "the next call is diagnosed", 60.0
                    )
                    costs.append(next(at for at in diagnosed_at if at > killed_at) - killed_at)
            finally:
                one.process.send_signal(signal.SIGCONT)
                done.set()
            for sender in senders:
                sender.result()
        costs.sort()
        faults = f"{kills} kills; next result after {costs[len(costs) // 2]:.2f} s, at most {costs[-1]:.2f} s"
        return ledger.settle(Counts("workers killed", backend.name, faults), one, backend)


def _for_a_while(event: threading.Event, after_s: float, for_s: float) -> None:
    time.sleep(after_s)
    event.set()
    time.sleep(for_s)
    event.clear()


def blob_downloads_cut(world: World, calls: int) -> Counts:
    """Half of the downloads end half way, and one in ten requests is reset; the audio was put there by the telephone
    system.
    """
    ledger = Ledger(world.recording)
    chance = random.Random(0)

    def rule(seen: Seen) -> Fault | None:
        if chance.random() < 0.1:
            return Refuse()
        return Cut() if seen.method == "GET" and ".ogg" in seen.path and chance.random() < 0.5 else None

    with HttpProxy(world.azure.azurite.port) as proxy:
        backend = AzureBackend(world.azure, blob_port=proxy.port)
        with ready(world, backend, "blob") as one:
            proxy.rule = rule

            def diagnose() -> None:
                call_id, audio = ledger.new_call("phone")
                backend.put(f"{call_id}.ogg", audio)
                wait_for(lambda: _diagnose(ledger, one, call_id), "it is accepted", 60.0)

            in_parallel(calls, diagnose, PATIENT_SENDERS)
            faults = proxy.faults
            proxy.rule = lambda _: None
            counts = Counts("Blob Storage cuts downloads half way", backend.name, f"{faults} cut or reset")
            return ledger.settle(counts, one, backend)


def disk_full(world: World, calls: int) -> Counts:
    """For a while no file may grow: calls are refused with 503, and accepted again when there is room."""
    ledger = Ledger(world.recording)
    backend = EmbeddedBackend(world.folder / "disk")
    with ready(world, backend, "disk-log") as one:
        assert one.process is not None
        in_parallel(calls // 3, lambda: ledger.submit(one.api))
        assert ledger.answers == {201: calls // 3}, ledger.answers
        limits = resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (8192, limits[1]))
        try:
            in_parallel(calls // 3, lambda: ledger.submit(one.api))
            assert ledger.answers[503] == calls // 3, ledger.answers
        finally:
            resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, limits)
        for call_id in sorted(ledger.sent.keys() - ledger.accepted):
            ledger.submit_until_accepted(one.api, call_id)
        in_parallel(calls - len(ledger.sent), lambda: ledger.submit(one.api))
        return ledger.settle(Counts("disk full", backend.name, f"{calls // 3} calls while full"), one, backend)


def sqlite_killed(world: World, rounds: int) -> Counts:
    """The stores' own writer (no front end) is killed in the middle of writing, again and again."""
    started = time.monotonic()
    counts = Counts("SQLite (WAL) killed in a loop of writes", "embedded", f"{rounds} kills")
    for first in range(0, rounds, KILLS_A_FOLDER):
        folder = world.folder / f"sqlite-{first}"
        folder.mkdir()
        acknowledged: set[str] = set()
        whole: dict[str, str] = {}
        writers = start_writer(folder)
        for n in range(first, min(first + KILLS_A_FOLDER, rounds)):
            acknowledged |= kill_after(writers, 0.2 + 0.03 * (n % 12))
            whole = assert_whole(folder)
        writers.communicate()
        counts.sent += len(whole)
        counts.accepted += len(acknowledged)
        # Acknowledged after its result; `assert_whole` has compared every blob with its digest.
        counts.one_result += sum(whole.get(call_id) == "diagnosed" for call_id in acknowledged)
        counts.identical += len(acknowledged & whole.keys())
        shutil.rmtree(folder)
    counts.seconds = time.monotonic() - started
    return counts
