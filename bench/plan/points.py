"""Measured answers beside simulated ones: at shares of the capacity, and beyond it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from bench.against.running import cpu_s
from bench.load.generator import Generator, GeneratorError, Load
from bench.load.served import CONNECTIONS, Running
from bench.plan.measure import busy_s
from bench.report.rows import Row, Target
from bench.report.targets import PLAN
from planning.service_times import ServiceTimes
from planning.simulation import Admission, Fleet, simulate
from planning.simulation import Load as SimulatedLoad
from runtime.config import load_limits

SHARES = {"50_percent": 0.5, "70_percent": 0.7, "90_percent": 0.9, "overload": 3.0}
POINT_S = 15.0
CAPACITY_S = 6.0
CALLS, SEEDS = 8_000, 5


@dataclass(frozen=True, slots=True)
class Answers:
    """per_s: calls answered with a result; p50, p99: s, of these; refused: share of all calls"""

    per_s: float
    p50: float
    p99: float
    refused: float


@dataclass(frozen=True, slots=True)
class Point:
    """share: of the capacity that was offered; offered: calls a second

    others: cores that processes which are not part of this took meanwhile; the simulation knows none
    """

    name: str
    share: float
    offered: float
    others: float
    measured: Answers
    simulated: Answers

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def this_machine() -> Fleet:
    """Return the service as it is measured: everything on the cores of this machine."""
    cores = len(os.sched_getaffinity(0))
    limits = load_limits()[1]
    admission = Admission(limits.max_in_flight, limits.max_wait_s, limits.always_per_worker)
    return Fleet(1, 1, cores, float(cores), float(cores), one_host=True, admission=admission)


def points(generator: Generator, ours: Running, times: ServiceTimes) -> list[Point]:
    """Measure each point and simulate it at the rate that was offered. Raises: GeneratorError."""
    port = ours.port
    capacity = generator.closed(port, CAPACITY_S, CONNECTIONS, 1).accepted_per_s
    found = []
    for number, (name, share) in enumerate(SHARES.items()):
        offered = share * capacity
        before, started = _others_s(ours), time.monotonic()
        load = generator.open(port, POINT_S, offered, number)
        others = (_others_s(ours) - before - load.cpu_s) / (time.monotonic() - started)
        answers = simulated(times, this_machine(), offered)
        found.append(Point(name, share, offered, others, _measured(load), answers))
    return found


def simulated(times: ServiceTimes, fleet: Fleet, per_s: float) -> Answers:
    """Return the means over the seeds."""
    runs = [simulate(times, fleet, SimulatedLoad(per_s, CALLS), seed) for seed in range(SEEDS)]
    return Answers(
        fmean(run.per_s for run in runs),
        fmean(run.quantile(0.5) for run in runs),
        fmean(run.quantile(0.99) for run in runs),
        fmean(run.refused_share for run in runs),
    )


def rows(found: Sequence[Point], targets: Mapping[str, Target] = PLAN) -> list[Row]:
    """Return how far the simulation is from what was measured: a row each for throughput, p50 and p99 of each point."""
    figures: dict[str, tuple[Callable[[Answers], float], str]] = {
        "throughput": (lambda item: item.per_s, "/s"),
        "p50": (lambda item: item.p50 * 1e3, "ms"),
        "p99": (lambda item: item.p99 * 1e3, "ms"),
    }
    return [
        Row(
            f"plan_{figure}_{point.name}",
            _off(value(point.simulated), value(point.measured)),
            "",
            targets[figure],
            (),
            f"simulated {value(point.simulated):.4g} {unit}, measured {value(point.measured):.4g} {unit}; "
            f"others took {point.others:.2f} cores",
        )
        for point in found
        for figure, (value, unit) in figures.items()
    ]


def _others_s(ours: Running) -> float:
    """Return the CPU time of this machine so far, without that of the service."""
    return busy_s() - sum(map(cpu_s, ours.processes))


def _off(simulated: float, measured: float) -> float | None:
    """Return the distance as a share of what was measured; None where nothing was answered in the simulation."""
    return abs(simulated / measured - 1.0) if math.isfinite(simulated) else None


def _measured(load: Load) -> Answers:
    if not load.accepted.count:
        raise GeneratorError(f"The front end diagnosed nothing: {load.statuses}.")
    unanswered = load.refused.count + load.other.count + load.lost
    return Answers(
        load.accepted_per_s,
        load.accepted.p50,
        load.accepted.p99,
        unanswered / max(1, unanswered + load.accepted.count),
    )
