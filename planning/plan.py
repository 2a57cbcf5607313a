"""The plan for a question: sizes on CPU and on GPU, storage, a burst, money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planning.deployment import Deployment
from planning.errors import TargetNotMet
from planning.figures import service_times
from planning.prices import Bill, bill
from planning.question import MONTH_HOURS, Question
from planning.service_times import ServiceTimes
from planning.sizing import Size, size


@dataclass(frozen=True, slots=True)
class Plan:
    """chosen: on CPU unless only a GPU meets the target; on_gpu: the same calls with GPUs

    burst_s: until `burst` calls that come at once are answered, callers who are refused coming again; infinite where
        nothing is left beside the mean load
    written, kept: bytes of audio and of records a month, and at a time once the retention has passed
    bill: None without prices
    """

    asked: Question
    machine: Mapping[str, Any]
    deployed: Deployment
    times: ServiceTimes
    chosen: Size
    on_gpu: Size
    burst: float
    burst_s: float
    written: tuple[float, float]
    kept: tuple[float, float]
    bill: Bill | None

    @property
    def needs_gpu(self) -> bool:
        return self.chosen.on_gpu


def make_plan(
    asked: Question,
    figures: Mapping[str, Any],
    deployed: Deployment,
    prices: Mapping[str, float | str] | None = None,
) -> Plan:
    """Answer a question. Raises: TargetNotMet; BadQuestion where a price is missing."""
    times = service_times(figures)
    if asked.seconds is not None:
        times = times.stretched(asked.seconds)
    on_gpu = size(times, deployed, asked.peak_per_s, asked.p99_s, asked.seed, on_gpu=True)
    try:
        chosen = size(times, deployed, asked.peak_per_s, asked.p99_s, asked.seed, on_gpu=False)
    except TargetNotMet:
        chosen = on_gpu
    burst = asked.burst or asked.mean_per_s * 60.0
    left_per_s = chosen.capacity_per_s - asked.mean_per_s
    calls = asked.calls_per_month
    kept_share = deployed.retention_days * 24.0 / MONTH_HOURS
    written = (calls * times.size, calls * times.record_size)
    return Plan(
        asked=asked,
        machine=figures["machine"],
        deployed=deployed,
        times=times,
        chosen=chosen,
        on_gpu=on_gpu,
        burst=burst,
        burst_s=burst / left_per_s if left_per_s > 0.0 else float("inf"),
        written=written,
        kept=(written[0] * kept_share, written[1] * kept_share),
        bill=None if prices is None else bill(prices, asked, times, deployed, chosen),
    )
