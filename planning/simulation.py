"""Calls go through front-end pods and Triton pods: a discrete-event simulation, the same for the same seed.

A call: event loop (admission, body, store) -> worker -> event loop -> Triton's batch -> event loop (record, answer).
The event loop of a pod and Triton's instance do one thing after the other; workers take turns at one queue.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from planning.hosts import Host
from planning.service_times import Batch, Recording, ServiceTimes

EWMA_ALPHA = 0.1  # as in frontend.inference.workers; a test holds the two together
WARM_UP = 0.15  # of the calls: queues fill first
_PARTS = 3  # of the event loop's work for a call


@dataclass(frozen=True, slots=True)
class Admission:
    """The limits by which a pod refuses: `frontend.inference.admission`. Times in s."""

    max_in_flight: int
    max_wait_s: float
    always_per_worker: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """front_ends, tritons: pods; workers, cores: of a front-end pod; triton_cores: of a Triton pod

    on_gpu: Triton's batches take the GPU's times, else the CPU's
    one_host: everything shares the cores of one front-end pod, as on a laptop
    admission: None: nothing is refused
    """

    front_ends: int
    tritons: int
    workers: int
    cores: float
    triton_cores: float
    on_gpu: bool = False
    one_host: bool = False
    admission: Admission | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """per_s: Poisson arrivals; triton_per_s: recordings of other front-end pods, which meet at Triton only

    calls: how many to simulate. connections: instead of arrivals, a closed loop of so many
    """

    per_s: float
    calls: int
    triton_per_s: float = 0.0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """latencies: s, of the accepted, sorted; per_s: the accepted; batch: mean candidates of one execution"""

    latencies: tuple[float, ...]
    refused: int
    per_s: float
    batch: float

    def quantile(self, share: float) -> float:
        """Return a quantile of the accepted calls' latency; NaN where there is none."""
        return _at(self.latencies, share, len(self.latencies))

    def quantile_of_all(self, share: float) -> float:
        """Return the same over all calls: one that is refused has no answer in any time (infinity)."""
        return _at(self.latencies, share, len(self.latencies) + self.refused)

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.refused + len(self.latencies))


def _at(latencies: tuple[float, ...], share: float, count: int) -> float:
    if not count:
        return float("nan")
    rank = min(count - 1, int(share * count))
    return latencies[rank] if rank < len(latencies) else float("inf")


class _Call:
    __slots__ = ("arrived", "began", "counted", "part", "pod", "recording", "refused")

    def __init__(self, arrived: float, recording: Recording, pod: _Pod | None, counted: bool) -> None:
        self.arrived = arrived
        self.recording = recording
        self.pod = pod  # None: of a pod that is not simulated
        self.counted = counted
        self.part = 0
        self.began = 0.0  # by a worker
        self.refused = False


class _Pod:
    __slots__ = (
        "admitted",
        "at_workers",
        "before_workers",
        "busy_workers",
        "host",
        "loop",
        "looping",
        "mean_s",
        "queue",
    )

    def __init__(self, host: Host) -> None:
        self.host = host
        self.loop: deque[_Call] = deque()
        self.looping = False
        self.queue: deque[_Call] = deque()
        self.busy_workers = 0
        self.admitted = 0
        self.before_workers = 0
        self.at_workers = 0
        self.mean_s = 0.0


class _Triton:
    __slots__ = ("busy", "host", "queue")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.queue: deque[_Call] = deque()
        self.busy = False


class _Kind(IntEnum):
    ARRIVAL = 0
    AT_TRITON = 1  # of a pod that is not simulated
    END = 2  # of a task on a host
    WAITED = 3


class _Run:
    def __init__(self, times: ServiceTimes, fleet: Fleet, load: Load, seed: int) -> None:
        self._times, self._fleet, self._load = times, fleet, load
        self._batch: Batch = times.gpu if fleet.on_gpu else times.cpu
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._events: list[tuple[float, int, _Kind, Any, int]] = []
        self._number = 0
        self._now = 0.0
        self._sent = 0
        self._first_counted = int(WARM_UP * load.calls)
        self._began_counting = 0.0
        self._pods = [_Pod(Host(fleet.cores, times.alone_speed)) for _ in range(fleet.front_ends)]
        speed = 1.0 if fleet.on_gpu else times.alone_speed
        self._tritons = [
            _Triton(self._pods[0].host if fleet.one_host else Host(fleet.triton_cores, speed))
            for _ in range(fleet.tritons)
        ]
        self._latencies: list[float] = []
        self._refused = self._executions = self._scored = 0
        self._done = 0

    def run(self) -> Outcome:
        if self._load.connections:
            for _ in range(self._load.connections):
                self._arrive(0.0)
        else:
            self._push(self._after(self._load.per_s), _Kind.ARRIVAL)
        if self._load.triton_per_s:
            self._push(self._after(self._load.triton_per_s), _Kind.AT_TRITON)
        until = self._load.calls
        while self._events and self._sent < until:
            self._now, _, kind, what, version = heapq.heappop(self._events)
            if kind is _Kind.END:
                if what.version == version:
                    part, call = what.end(self._now)
                    self._expect(what)
                    part(call)
            elif kind is _Kind.WAITED:
                part, call = what
                part(call)
            elif kind is _Kind.ARRIVAL:
                self._push(self._after(self._load.per_s), _Kind.ARRIVAL)
                self._arrive(self._now)
            else:
                self._push(self._after(self._load.triton_per_s), _Kind.AT_TRITON)
                self._to_triton(_Call(self._now, self._draw(), None, counted=False))
        lasted = self._now - self._began_counting
        return Outcome(
            tuple(sorted(self._latencies)),
            self._refused,
            self._done / lasted if lasted > 0.0 else 0.0,
            self._scored / max(1, self._executions),
        )

    def _push(self, after_s: float, kind: _Kind, what: Any = None, version: int = 0) -> None:
        self._number += 1
        heapq.heappush(self._events, (self._now + after_s, self._number, kind, what, version))

    def _start(self, host: Host, cpu_s: float, task: tuple[Any, Any]) -> None:
        host.start(self._now, cpu_s, task)
        self._expect(host)

    def _expect(self, host: Host) -> None:
        end = host.next_end(self._now)
        if end is not None:
            self._number += 1
            heapq.heappush(self._events, (end, self._number, _Kind.END, host, host.version))

    def _after(self, per_s: float) -> float:
        return exponential(self._random) / per_s

    def _draw(self) -> Recording:
        return self._random.choice(self._times.recordings)

    def _arrive(self, now: float) -> None:
        self._sent += 1
        if self._sent == self._first_counted:
            self._began_counting = now
        pod = self._pods[self._random.randrange(len(self._pods))]
        self._to_loop(_Call(now, self._draw(), pod, counted=self._sent > self._first_counted))

    # The event loop: one part of one call after the other.

    def _to_loop(self, call: _Call) -> None:
        assert call.pod is not None  # noqa: S101 - others end at Triton
        call.pod.loop.append(call)
        if not call.pod.looping:
            self._loop(call.pod)

    def _loop(self, pod: _Pod) -> None:
        pod.looping = bool(pod.loop)
        if not pod.loop:
            return
        call = pod.loop.popleft()
        cpu_s = self._times.main_s / _PARTS
        if call.part == 0:
            if self._is_refused(pod):
                call.refused = True
                cpu_s = self._times.refusal_s
            else:
                pod.admitted += 1
                pod.before_workers += 1
        self._start(pod.host, cpu_s, (self._looped, call))

    def _looped(self, call: _Call) -> None:
        pod = call.pod
        assert pod is not None  # noqa: S101 - as in `_to_loop`
        if call.refused:
            self._refuse(call)
        elif call.part == 0:
            self._push(self._times.wait_s / 2.0, _Kind.WAITED, (self._to_worker, call))
        elif call.part == 1:
            if call.recording.candidates:
                self._to_triton(call)
            else:
                call.part = 2
                pod.loop.append(call)
        else:
            self._push(self._times.wait_s / 2.0, _Kind.WAITED, (self._answer, call))
        self._loop(pod)

    def _is_refused(self, pod: _Pod) -> bool:
        limits, workers = self._fleet.admission, self._fleet.workers
        if limits is None:
            return False
        if pod.admitted >= limits.max_in_flight:
            return True
        if pod.admitted < min(limits.always_per_worker * workers, limits.max_in_flight // 2):
            return False
        before = pod.at_workers + pod.before_workers
        return max(0, before - workers + 1) * pod.mean_s / workers > limits.max_wait_s

    # The workers: one queue a pod.

    def _to_worker(self, call: _Call) -> None:
        pod = call.pod
        assert pod is not None  # noqa: S101 - as in `_to_loop`
        pod.before_workers -= 1
        pod.at_workers += 1
        pod.queue.append(call)
        self._work(pod)

    def _work(self, pod: _Pod) -> None:
        while pod.queue and pod.busy_workers < self._fleet.workers:
            call = pod.queue.popleft()
            pod.busy_workers += 1
            call.began = self._now
            self._start(pod.host, call.recording.worker_s, (self._worked, call))

    def _worked(self, call: _Call) -> None:
        pod = call.pod
        assert pod is not None  # noqa: S101 - as in `_to_loop`
        took_s = self._now - call.began
        pod.mean_s = took_s if pod.mean_s == 0.0 else (1.0 - EWMA_ALPHA) * pod.mean_s + EWMA_ALPHA * took_s
        pod.busy_workers -= 1
        pod.at_workers -= 1
        self._work(pod)
        call.part = 1
        self._to_loop(call)

    # Triton: what waits when the instance is free is its next batch.

    def _to_triton(self, call: _Call) -> None:
        server = self._tritons[self._random.randrange(len(self._tritons))]
        server.queue.append(call)
        if not server.busy:
            self._execute(server)

    def _execute(self, server: _Triton) -> None:
        server.busy = bool(server.queue)
        if not server.queue:
            return
        batch = [server.queue.popleft()]
        candidates = batch[0].recording.candidates
        while server.queue and candidates + server.queue[0].recording.candidates <= self._batch.most:
            call = server.queue.popleft()
            candidates += call.recording.candidates
            batch.append(call)
        self._executions += 1
        self._scored += int(candidates)
        self._start(server.host, self._batch.seconds(candidates), (self._executed, (server, batch)))

    def _executed(self, ended: tuple[_Triton, list[_Call]]) -> None:
        server, batch = ended
        for call in batch:
            if call.pod is not None:
                call.part = 2
                self._to_loop(call)
        self._execute(server)

    # The end of a call.

    def _answer(self, call: _Call) -> None:
        assert call.pod is not None  # noqa: S101 - as in `_to_loop`
        call.pod.admitted -= 1
        if self._sent >= self._first_counted:
            self._done += 1
        if call.counted:
            self._latencies.append(self._now - call.arrived)
        self._again()

    def _refuse(self, call: _Call) -> None:
        self._refused += call.counted
        self._again()

    def _again(self) -> None:
        if self._load.connections:
            self._arrive(self._now)


def exponential(source: random.Random) -> float:
    """Return an exponentially distributed number of mean 1, by von Neumann's comparisons.

    Without a logarithm, whose last bit depends on the processor: the tables of docs/capacity.md follow from these
    numbers (docs/decisions/0016-same-bits.md). Source: J. von Neumann, "Various techniques used in connection with
    random digits", 1951.
    """
    whole = 0.0
    while True:
        first = last = source.random()
        length = 1
        while (following := source.random()) < last:
            last = following
            length += 1
        if length % 2:
            return whole + first
        whole += 1.0


def simulate(times: ServiceTimes, fleet: Fleet, load: Load, seed: int) -> Outcome:
    """Simulate so many calls; the first `WARM_UP` of them are not counted."""
    return _Run(times, fleet, load, seed).run()
