"""How many pods it takes: bounds from the service times, then the simulation, a pod more at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev

from planning.deployment import Deployment
from planning.errors import TargetNotMet
from planning.service_times import ServiceTimes
from planning.simulation import Fleet, Load, Outcome, simulate

SEEDS = 5
CALLS = 6_000  # a seed: 60 of them are slower than the p99
SEARCH_CALLS = 4_000
T_95 = 2.776  # Student's t, 95 %, two-sided, four degrees of freedom
MOST_SIMULATED = 4  # front-end pods: arrivals that are dealt at random make pods independent of each other
MOST_BUSY = 0.7  # of a Triton pod's instance in full batches
OVERLOAD = 3.0
MOST_TIMES = 8  # the pods that the work alone keeps busy: with more, waiting is no longer what a call takes
IDLE = 0.01  # of a pod's capacity: nothing waits


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean over the seeds and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Size:
    """What meets the target. p50, p99: s; busy: mean share of a front-end pod's cores; capacity_per_s: of all pods,
    with three times as much offered
    """

    front_ends: int
    tritons: int
    on_gpu: bool
    p50: Interval
    p99: Interval
    refused: float
    busy: float
    batch: float
    capacity_per_s: float


def size(times: ServiceTimes, deployed: Deployment, per_s: float, p99_s: float, seed: int, *, on_gpu: bool) -> Size:
    """Find the fewest pods whose p99, with its interval, is within the target; a refused call is not.

    Raises: TargetNotMet where an empty system is slower.
    """
    run = partial(_run, times, deployed, on_gpu=on_gpu)
    idle = run(1, 1, IDLE * pod_capacity(times, deployed), SEARCH_CALLS, seed).quantile_of_all(0.99)
    if idle > p99_s:
        raise _too_tight(p99_s, idle)
    least = max(1, math.ceil(per_s / pod_capacity(times, deployed)))
    least_tritons = tritons = max(1, math.ceil(per_s * triton_s(times, on_gpu=on_gpu) / MOST_BUSY))
    most = MOST_TIMES * least

    def meets(front_ends: int) -> bool:
        return run(front_ends, tritons, per_s, SEARCH_CALLS, seed).quantile_of_all(0.99) <= p99_s

    while not meets(most):
        if tritons > MOST_TIMES * least_tritons:
            raise _too_tight(p99_s, idle)
        tritons += max(1, tritons // 2)
    front_ends = _fewest(least, most, meets)
    while True:
        outcomes = [run(front_ends, tritons, per_s, CALLS, seed + 1 + number) for number in range(SEEDS)]
        p99 = interval(outcome.quantile_of_all(0.99) for outcome in outcomes)
        if p99.high <= p99_s:
            break
        if front_ends > most:
            raise _too_tight(p99_s, idle)
        front_ends += max(1, front_ends // 25)
    over = run(front_ends, tritons, OVERLOAD * front_ends * pod_capacity(times, deployed), CALLS, seed)
    slices = front_ends / min(front_ends, MOST_SIMULATED)
    return Size(
        front_ends=front_ends,
        tritons=tritons,
        on_gpu=on_gpu,
        p50=interval(outcome.quantile(0.5) for outcome in outcomes),
        p99=p99,
        refused=fmean(outcome.refused_share for outcome in outcomes),
        busy=per_s / front_ends * (times.worker_s + times.main_s) / deployed.front_end_cores,
        batch=fmean(outcome.batch for outcome in outcomes),
        capacity_per_s=over.per_s * slices,
    )


def pod_capacity(times: ServiceTimes, deployed: Deployment) -> float:
    """Return the calls a second at which the first part of a front-end pod is always busy: cores, workers or loop."""
    return min(
        deployed.front_end_cores / (times.worker_s + times.main_s),
        deployed.workers / times.worker_s,
        1.0 / times.main_s,
    )


def triton_s(times: ServiceTimes, *, on_gpu: bool) -> float:
    """Return the seconds that a recording takes of Triton's instance in full batches."""
    batch = times.gpu if on_gpu else times.cpu
    speed = 1.0 if on_gpu else times.alone_speed
    return times.candidates * batch.seconds(batch.most) / batch.most / speed


def interval(values: Iterable[float]) -> Interval:
    """Return mean and 95 % interval of a figure of `SEEDS` independent runs; infinite where one of them is."""
    found = list(values)
    mean = fmean(found)
    if not math.isfinite(mean):
        return Interval(mean, mean, mean)
    half = T_95 * stdev(found) / math.sqrt(len(found))
    return Interval(mean, mean - half, mean + half)


def _run(
    times: ServiceTimes,
    deployed: Deployment,
    front_ends: int,
    tritons: int,
    per_s: float,
    calls: int,
    seed: int,
    *,
    on_gpu: bool,
) -> Outcome:
    """Simulate some front-end pods, as many Triton pods as stand for these, and what the other pods send there."""
    few = min(front_ends, MOST_SIMULATED)
    few_tritons = max(1, math.ceil(few * tritons / front_ends))
    here = few * per_s / front_ends
    others = max(0.0, few_tritons * per_s / tritons - here)
    fleet = Fleet(
        few,
        few_tritons,
        deployed.workers,
        deployed.front_end_cores,
        deployed.triton_cores,
        on_gpu=on_gpu,
        admission=deployed.admission,
    )
    return simulate(times, fleet, Load(here, calls, others), seed)


def _fewest(least: int, most: int, meets: Callable[[int], bool]) -> int:
    """Return the smallest number between both that meets, where `most` does and more never harm."""
    low, high = least, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(middle) else (middle + 1, high)
    return high


def _too_tight(p99_s: float, idle_s: float) -> TargetNotMet:
    return TargetNotMet(
        f"No number of pods answers 99 % of these calls within {p99_s:g} s: one that meets an empty system may take "
        f"{idle_s:.2g} s."
    )
