"""How steady the service is: latency below its limit, ten times its limit, its event loop, its memory, its start."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.audio import note, short_notes
from bench.bars import bar_of
from bench.generator import Generator, Load
from bench.rows import Row, interleaved, median_row
from bench.served import API_KEY, Running, children, folder, memory_mb, session
from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports

BELOW_S = 30.0  # a round at 70 and at 90 % of the capacity
OVERLOAD_S = 60.0
TIMES = 10.0
REQUESTS = 20_000
FIRST_REQUESTS = 2_000  # before growth is counted: caches and arenas fill
_LAG = re.compile(r'^tosia_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', re.M)


def below_capacity(ours: Running, capacity: float, rounds: int) -> tuple[list[Row], float]:
    """Rows, and the p99 at 90 % of the capacity in s."""
    at_70: list[Load] = []
    at_90: list[Load] = []
    with Generator([note()], API_KEY) as generator:
        for number in range(rounds):
            at_70.append(generator.open(ours.port, BELOW_S, 0.7 * capacity, 2 * number))
            at_90.append(generator.open(ours.port, BELOW_S, 0.9 * capacity, 2 * number + 1))
    said = f"{0.7 * capacity:.1f} of {capacity:.1f} notes/s, Poisson, {BELOW_S:.0f} s a round; not 2xx: {_not_accepted(at_70)}"
    rows = [
        median_row(
            "rest_p99_to_p50_at_70_percent",
            [one.accepted.p99 / one.accepted.p50 for one in at_70],
            "",
            bar_of("rest_p99_to_p50_at_70_percent"),
            said,
        ),
        median_row("rest_p50_at_70_percent_ms", [one.accepted.p50 * 1e3 for one in at_70], "ms"),
        median_row("rest_p99_at_70_percent_ms", [one.accepted.p99 * 1e3 for one in at_70], "ms"),
    ]
    p99 = median_row(
        "rest_p99_at_90_percent_ms",
        [one.accepted.p99 * 1e3 for one in at_90],
        "ms",
        note=f"not 2xx: {_not_accepted(at_90)}",
    )
    assert p99.value is not None  # noqa: S101 - it has rounds
    return [*rows, p99], p99.value / 1e3


def overload(ours: Running, metrics_url: str, capacity: float, p99_at_90_s: float) -> list[Row]:
    """Ten times the capacity, and how late the event loop was meanwhile and under full load."""
    with Generator([note()], API_KEY) as generator:
        before = lag_counts(metrics_url)
        full = generator.closed(ours.port, BELOW_S, 16)
        lag_full = lag_p99_s(before, after := lag_counts(metrics_url))
        load = generator.open(ours.port, OVERLOAD_S, TIMES * capacity)
    lag_over = lag_p99_s(after, lag_counts(metrics_url))
    said = f"{TIMES * capacity:.0f} notes/s offered for {OVERLOAD_S:.0f} s: {load.accepted.count} done, "
    said += f"{load.refused.count} refused, others {load.other.count}, lost {load.lost}; "
    said += f"sent at most {load.latest_s * 1e3:.0f} ms late"
    done = load.accepted_per_s / capacity
    figures = {
        "overload_completed_to_capacity": (done, "", said),
        "overload_refused_max_s": (
            load.refused.max,
            "s",
            f"p50 {load.refused.p50 * 1e3:.0f} ms, p99 {load.refused.p99 * 1e3:.0f} ms",
        ),
        "overload_refused_without_retry_after": (float(load.without_retry_after), "answers", ""),
        "overload_p99_to_p99_at_90_percent": (
            load.accepted.p99 / p99_at_90_s,
            "",
            f"p50 {load.accepted.p50:.2f} s, p99 {load.accepted.p99:.2f} s; at 90 % p99 {p99_at_90_s:.2f} s",
        ),
        "overload_generator_cpu": (
            load.cpu_s / load.seconds,
            "cores",
            "what the load itself took away from the service",
        ),
        "event_loop_lag_p99_ms": (
            lag_full * 1e3,
            "ms",
            f"closed loop of 16, {full.accepted_per_s:.1f} notes/s; upper end of the bucket",
        ),
        "event_loop_lag_p99_overload_ms": (lag_over * 1e3, "ms", "at ten times the capacity, a report"),
    }
    return [Row(name, value, unit, bar_of(name), (), said) for name, (value, unit, said) in figures.items()]


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
    said = f"{sent} requests in {time.monotonic() - started:.0f} s: {before:.0f} MB before, {after:.0f} MB after, all processes"
    return [
        Row(
            "worker_memory_mb",
            max(workers),
            "MB",
            bar_of("worker_memory_mb"),
            (),
            "resident, shared pages included, after all of it",
        ),
        Row("memory_growth_20000_requests", after / before - 1.0, "", bar_of("memory_growth_20000_requests"), (), said),
    ]


def start(triton_url: str, rounds: int) -> list[Row]:
    """From the command to the first 200 of /readyz, with Triton up."""
    figures = interleaved(rounds, {"start": lambda: _start_s(triton_url)})
    return [median_row("start_to_ready_s", figures["start"], "s", bar_of("start_to_ready_s"))]


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
        load = generator.closed(port, 20.0, 16, seed := seed + 1)
        sent += load.accepted.count
    return sent


def _not_accepted(loads: list[Load]) -> int:
    return sum(one.refused.count + one.other.count + one.lost for one in loads)


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
