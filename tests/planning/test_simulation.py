"""The simulation against closed forms; the same seed, the same numbers; more pods are never slower."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest

from frontend.inference import workers
from planning import simulation
from planning.service_times import Batch, Recording, ServiceTimes
from planning.simulation import Admission, Fleet, Load, exponential, simulate

SERVICE_S = 0.01
NO_BATCH = Batch(0.0, 0.0, 64)
# Means of 5 seeds of 30,000 calls: at 80 % busy their standard error is about 2 % of the mean time in the system.
TOLERANCE = 0.06
SEEDS = range(5)


def times(worker_s: list[float], **more: object) -> ServiceTimes:
    """Only the worker takes time, unless `more` says otherwise."""
    recordings = tuple(Recording(1.0, 1000.0, 0.0, item) for item in worker_s)
    plain = ServiceTimes(recordings, 0.0, 0.0, 0.0, 1.0, NO_BATCH, NO_BATCH, 1000.0)
    return replace(plain, **more)  # type: ignore[arg-type]


def exponential_times(mean_s: float) -> list[float]:
    """1,000 equally likely quantiles of the exponential distribution, scaled to the mean."""
    raw = [-math.log1p(-(number + 0.5) / 1000.0) for number in range(1000)]
    return [mean_s * item / fmean(raw) for item in raw]


def mean_s(found: ServiceTimes, fleet: Fleet, per_s: float) -> float:
    return fmean(fmean(simulate(found, fleet, Load(per_s, 30_000), seed).latencies) for seed in SEEDS)


def fleet(workers: int, pods: int = 1) -> Fleet:
    return Fleet(pods, 1, workers, float(workers), 1.0)


def erlang_c_wait_s(servers: int, busy: float, service_s: float) -> float:
    """Mean wait of M/M/c (Erlang C)."""
    offered = servers * busy
    waiting = offered**servers / math.factorial(servers) / (1.0 - busy)
    waits = waiting / (sum(offered**n / math.factorial(n) for n in range(servers)) + waiting)
    return waits * service_s / (servers * (1.0 - busy))


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (1, 0.8), (2, 0.5), (2, 0.8), (4, 0.8)])
def test_a_pod_of_workers_alone_is_m_m_c(servers: int, busy: float) -> None:
    expected = SERVICE_S + erlang_c_wait_s(servers, busy, SERVICE_S)
    found = mean_s(times(exponential_times(SERVICE_S)), fleet(servers), servers * busy / SERVICE_S)
    assert found == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_one_worker_with_equal_recordings_is_m_d_1(busy: float) -> None:
    expected = SERVICE_S * (1.0 + busy / (2.0 * (1.0 - busy)))  # Pollaczek-Khinchine
    assert mean_s(times([SERVICE_S]), fleet(1), busy / SERVICE_S) == pytest.approx(expected, rel=TOLERANCE)


def test_the_event_loop_alone_is_a_queue_of_its_own() -> None:
    """Three parts a call on a core of its own, nothing else: as busy as its work, whatever the number of workers."""
    only_loop = times([0.0], main_s=SERVICE_S)
    outcome = simulate(only_loop, fleet(2), Load(1.0, 5_000, connections=8), 0)
    assert outcome.per_s == pytest.approx(1.0 / SERVICE_S, rel=0.01)  # one core of the two


@pytest.mark.system
def test_two_tasks_share_one_core_equally() -> None:
    """M/G/1 with processor sharing: the mean time in the system depends on the mean service alone, 1 / (1 - busy)."""
    shared = Fleet(1, 1, 1000, 1.0, 1.0)  # nobody waits for a worker
    for worker_s in ([SERVICE_S], exponential_times(SERVICE_S)):
        assert mean_s(times(worker_s), shared, 0.7 / SERVICE_S) == pytest.approx(SERVICE_S / 0.3, rel=TOLERANCE)


def test_what_waits_for_triton_is_its_next_batch() -> None:
    """Far above what single requests would allow, the instance keeps up, and its batches are full ones."""
    one = Recording(1.0, 1000.0, 4.0, 0.0)
    found = times([0.0], recordings=(one,), cpu=Batch(0.01, 0.0001, 64))
    single_per_s = 1.0 / 0.0104
    outcome = simulate(found, fleet(1), Load(8.0 * single_per_s, 20_000), 0)
    assert outcome.per_s == pytest.approx(8.0 * single_per_s, rel=0.05)
    assert 32.0 < outcome.batch <= 64.0


def test_a_recording_without_candidates_asks_nobody() -> None:
    outcome = simulate(times([0.0], cpu=Batch(1.0, 0.0, 64)), fleet(1), Load(10.0, 1000), 0)
    assert outcome.quantile(0.99) == 0.0
    assert outcome.batch == 0.0


def test_alone_a_task_runs_faster() -> None:
    found = times([SERVICE_S], alone_speed=1.25)
    assert simulate(found, fleet(2), Load(0.01, 100), 0).quantile(0.5) == pytest.approx(SERVICE_S / 1.25)


def test_admission_bounds_the_wait_and_refuses_the_rest() -> None:
    limits = Admission(max_in_flight=64, max_wait_s=0.1, always_per_worker=5)  # 64 places alone: 0.3 s
    capacity = 2.0 / SERVICE_S
    bounded = replace(fleet(2), admission=limits)
    over = simulate(times([SERVICE_S]), bounded, Load(3.0 * capacity, 20_000), 0)
    assert over.per_s == pytest.approx(capacity, rel=0.03)
    assert over.refused_share == pytest.approx(2.0 / 3.0, abs=0.02)
    assert over.quantile(1.0) < 0.1 + 3.0 * SERVICE_S
    assert over.quantile_of_all(0.5) == math.inf  # a refused call has no answer in any time
    below = simulate(times([SERVICE_S]), bounded, Load(0.3 * capacity, 5_000), 0)
    assert below.refused == 0


def test_refusals_cost_the_event_loop() -> None:
    limits = Admission(64, 0.05, 1)
    found = times([SERVICE_S], refusal_s=0.0005)
    fast, slow = (
        simulate(found, replace(fleet(2), admission=limits), Load(share * 2.0 / SERVICE_S, 20_000), 0)
        for share in (2.0, 10.0)
    )
    assert slow.per_s < 0.9 * fast.per_s


def test_the_same_seed_gives_the_same_outcome_and_another_one_another() -> None:
    found, pods = times(exponential_times(SERVICE_S)), fleet(2, pods=3)
    first, again, other = (simulate(found, pods, Load(300.0, 3_000), seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other


@pytest.mark.system
def test_more_pods_are_never_slower() -> None:
    """Over the seeds' means; 1 % is what they differ by where nothing waits any more."""
    found = times(exponential_times(SERVICE_S), main_s=0.003, cpu=Batch(0.001, 0.0005, 64))
    for share in (0.5, 0.99):
        quantiles = [
            fmean(simulate(found, fleet(2, pods), Load(300.0, 10_000), seed).quantile(share) for seed in SEEDS)
            for pods in (3, 4, 6, 12)
        ]
        assert all(more <= fewer * 1.01 for fewer, more in pairwise(quantiles)), quantiles


def test_exponential_numbers_have_their_mean_variance_and_tail() -> None:
    source = random.Random(3)
    drawn = [exponential(source) for _ in range(100_000)]
    assert fmean(drawn) == pytest.approx(1.0, abs=0.015)
    assert fmean(item * item for item in drawn) == pytest.approx(2.0, abs=0.08)
    assert sum(item > 3.0 for item in drawn) / len(drawn) == pytest.approx(math.exp(-3.0), rel=0.05)


def test_the_moving_mean_is_the_products() -> None:
    assert simulation.EWMA_ALPHA == workers.EWMA_ALPHA
