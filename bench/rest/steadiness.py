"""How steady the service is: latency below its limit, ten times its limit, its event loop, its memory, its start."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load.audio import note, short_notes
from bench.load.generator import Generator, Load
from bench.load.served import API_KEY, CONNECTIONS, Running, children, folder, memory_mb, session
from bench.report.rows import Row, interleaved, median_row, worst_row
from bench.report.targets import BY_WORST_ROUND, target_of
from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports

FULL_S = 8.0  # with every connection busy
BELOW_S = 20.0  # at 70 and at 90 % of the capacity
OVERLOAD_S = 15.0  # at full speed, so that as many are accepted as in BELOW_S at 90 %
TIMES = 10.0
REQUESTS = 20_000
FIRST_REQUESTS = 2_000  # before growth is counted: caches and arenas fill
_LAG = re.compile(r'^tosia_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', re.M)


@dataclass(frozen=True, slots=True)
class Round:
    """One after the other: with every connection busy, at 70 and at 90 % of what came of that, and at ten times as
    much.

    capacity: accepted 10 s notes/s
    lag_s, overload_lag_s: the event loop's p99 with every connection busy, and under overload
    """

    capacity: float
    lag_s: float
    at_70: Load
    at_90: Load
    overload: Load
    overload_lag_s: float


def loads(ours: Running, metrics_url: str, rounds: int) -> list[Row]:
    """Latency below the capacity and beyond it, with 10 s notes throughout."""
    with Generator([note()], API_KEY) as generator:
        found = [_round(generator, ours.port, metrics_url, number) for number in range(rounds)]
    over = [item.overload for item in found]
    counts = ", ".join(f"{item.accepted.count}/{item.refused.count}" for item in over)
    latest_ms = max(item.latest_s for item in over) * 1e3
    p99 = [item.accepted.p99 for item in over]
    figures: dict[str, tuple[list[float], str, str]] = {
        "rest_capacity": (
            [item.capacity for item in found],
            "notes/s",
            f"closed loop, {CONNECTIONS} connections",
        ),
        "rest_p99_to_p50_at_70_percent": (
            [item.at_70.accepted.p99 / item.at_70.accepted.p50 for item in found],
            "",
            f"Poisson arrivals at 70 % of the round's capacity, {BELOW_S:.0f} s a round",
        ),
        "rest_without_result_at_70_percent": (
            [float(_without_result(item.at_70)) for item in found],
            "requests",
            "refused, 202, or lost: " + ", ".join(_said(item.at_70) for item in found),
        ),
        "rest_p50_at_70_percent_ms": ([item.at_70.accepted.p50 * 1e3 for item in found], "ms", ""),
        "rest_p99_at_70_percent_ms": ([item.at_70.accepted.p99 * 1e3 for item in found], "ms", ""),
        "rest_p99_at_90_percent_ms": ([item.at_90.accepted.p99 * 1e3 for item in found], "ms", "of the accepted"),
        "rest_without_result_at_90_percent": (
            [float(_without_result(item.at_90)) for item in found],
            "requests",
            "refused, 202, or lost",
        ),
        "overload_completed_to_capacity": (
            [item.overload.accepted_per_s / item.capacity for item in found],
            "",
            f"{TIMES:.0f} times the round's capacity offered for {OVERLOAD_S:.0f} s; done/refused: {counts}",
        ),
        "overload_neither_done_nor_refused": (
            [float(item.other.count + item.lost) for item in over],
            "requests",
            "202 or another answer, or none: " + ", ".join(f"{item.other.count}/{item.lost}" for item in over),
        ),
        "overload_refused_max_s": (
            [item.refused.max for item in over],
            "s",
            f"p99 at most {max(item.refused.p99 for item in over) * 1e3:.0f} ms",
        ),
        "overload_refused_without_retry_after": ([float(item.without_retry_after) for item in over], "answers", ""),
        "overload_p99_to_p99_at_90_percent": (
            [item.overload.accepted.p99 / item.at_90.accepted.p99 for item in found],
            "",
            f"p99 of the accepted {min(p99):.2f} to {max(p99):.2f} s",
        ),
        "overload_generator_cpu": (
            [item.cpu_s / item.seconds for item in over],
            "cores",
            f"what the load itself takes from the service; it sent at most {latest_ms:.0f} ms late",
        ),
        "event_loop_lag_p99_ms": (
            [item.lag_s * 1e3 for item in found],
            "ms",
            f"{CONNECTIONS} connections in a closed loop; the upper end of the bucket",
        ),
        "event_loop_lag_p99_overload_ms": (
            [item.overload_lag_s * 1e3 for item in found],
            "ms",
            "at ten times the capacity",
        ),
    }
    return [
        (worst_row if name in BY_WORST_ROUND else median_row)(name, values, unit, target_of(name), said)
        for name, (values, unit, said) in figures.items()
    ]


def _round(generator: Generator, port: int, metrics_url: str, number: int) -> Round:
    before = lag_counts(metrics_url)
    capacity = generator.closed(port, FULL_S, CONNECTIONS, number).accepted_per_s
    lag_s = lag_p99_s(before, lag_counts(metrics_url))
    at_70 = generator.open(port, BELOW_S, 0.7 * capacity, 2 * number)
    at_90 = generator.open(port, BELOW_S, 0.9 * capacity, 2 * number + 1)
    before = lag_counts(metrics_url)
    overload = generator.open(port, OVERLOAD_S, TIMES * capacity, number)
    return Round(capacity, lag_s, at_70, at_90, overload, lag_p99_s(before, lag_counts(metrics_url)))


def memory(ours: Running) -> list[Row]:
    """One worker, and growth of all of the front end's processes over many short recordings."""
    with Generator(short_notes(), API_KEY) as generator:
        return _memory(ours, generator)


def _memory(ours: Running, generator: Generator) -> list[Row]:
    _send(generator, ours.port, FIRST_REQUESTS)
    before = _front_end_mb()
    started = time.monotonic()
    sent = _send(generator, ours.port, REQUESTS)
    after = _front_end_mb()
    workers = [memory_mb(pid) for pid in _workers()]
    took_s = time.monotonic() - started
    said = f"{sent} requests in {took_s:.0f} s: {before:.0f} MB before, {after:.0f} MB after, all processes"
    return [
        Row(
            "worker_memory_mb",
            max(workers),
            "MB",
            target_of("worker_memory_mb"),
            (),
            "resident, shared pages included, after all of it",
        ),
        Row(
            "memory_growth_20000_requests",
            after / before - 1.0,
            "",
            target_of("memory_growth_20000_requests"),
            (),
            said,
        ),
    ]


def start(triton_url: str, rounds: int) -> list[Row]:
    """From the command to the first 200 of /readyz, with Triton up."""
    figures = interleaved(rounds, {"start": lambda: _start_s(triton_url)})
    return [median_row("start_to_ready_s", figures["start"], "s", target_of("start_to_ready_s"))]


def lag_counts(metrics_url: str) -> dict[float, float]:
    """Cumulative counts by the upper end of the bucket in s."""
    with urllib.request.urlopen(metrics_url, timeout=10) as answer:  # noqa: S310 - our own address
        text = answer.read().decode()
    return {float(bound): float(count) for bound, count in _LAG.findall(text)}


def lag_p99_s(before: dict[float, float], after: dict[float, float]) -> float:
    """The upper end of the bucket that the 99th percentile lies in."""
    counts = {bound: after[bound] - before[bound] for bound in after}
    wanted = 0.99 * counts[float("inf")]
    return min(bound for bound, count in counts.items() if count >= wanted)


def _send(generator: Generator, port: int, requests: int) -> int:
    sent, seed = 0, 0
    while sent < requests:
        load = generator.closed(port, 10.0, CONNECTIONS, seed := seed + 1)
        sent += load.accepted.count
    return sent


def _without_result(one: Load) -> int:
    return one.refused.count + one.other.count + one.lost


def _said(one: Load) -> str:
    return f"{one.refused.count}/{one.other.count}/{one.lost}"


def _front_end() -> list[int]:
    """The front end and all of its processes, of those that this one has started."""
    (leader,) = (pid for pid in children(os.getpid()) if "frontend" in _command(pid).split())
    return session(leader)


def _workers() -> list[int]:
    """Those that the forkserver has forked."""
    ours = _front_end()
    forkservers = [pid for pid in ours if "multiprocessing.forkserver" in _command(pid)]
    return [pid for pid in forkservers if _parent(pid) in forkservers]


def _front_end_mb() -> float:
    """Proportional, so that what processes share counts once."""
    total = 0
    for pid in _front_end():
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        total += int(found.group(1)) if found else 0
    return total * 1024 / 1e6


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def _front_end_alone(triton_url: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port, metrics_port = free_ports(2)
    with folder() as var:
        environment = {**os.environ, "API_KEY": API_KEY, "TOSIA_STORES": "embedded", "TOSIA_VAR": str(var)}
        environment["TRITON_URL"] = triton_url
        command = [str(CHECKOUT / ".venv" / "bin" / "python"), "-m", "frontend", "--port", str(port)]
        command += ["--metrics-port", str(metrics_port)]
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process, port
        finally:
            process.terminate()
            process.wait(30)


def _start_s(triton_url: str) -> float:
    started = time.perf_counter()
    with _front_end_alone(triton_url) as (process, port):
        while process.poll() is None and time.perf_counter() - started < 60.0:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                    return time.perf_counter() - started
            except OSError:
                time.sleep(0.02)
    raise RuntimeError("The front end did not become ready: start it with `make run` and read its log.")


def metrics_url(service: Service) -> str:
    """Of the front end."""
    return f"http://127.0.0.1:{service.metrics_port}/metrics"
