"""What is asked of a plan, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planning.deployment import Deployment
from planning.errors import BadQuestion

MAX_CALLS_PER_HOUR = 1e8  # 28,000 a second: beyond what one storage account takes, with any peak
MAX_PEAK = 100.0
HOUR_S = 3600.0
MONTH_HOURS = 730.0


@dataclass(frozen=True, slots=True)
class Question:
    """calls_per_hour: the mean; p99_s: in which 99 % of the answers must come

    peak: calls in the busiest minute, divided by those of a mean minute; that minute is what is planned for
    seconds: mean length of a recording; None: that of the measured mixture
    burst: calls that come at once beside the mean load; None: those of a mean minute
    """

    calls_per_hour: float
    peak: float
    p99_s: float
    seconds: float | None = None
    burst: float | None = None
    seed: int = 0

    @property
    def mean_per_s(self) -> float:
        return self.calls_per_hour / HOUR_S

    @property
    def peak_per_s(self) -> float:
        return self.mean_per_s * self.peak

    @property
    def calls_per_month(self) -> float:
        return self.calls_per_hour * MONTH_HOURS


def question(texts: dict[str, str], deployed: Deployment) -> Question:
    """Read what the command line gave, by the names of `make plan`. Raises: BadQuestion."""
    calls = _number(texts, "CALLS_PER_HOUR", 0.0, MAX_CALLS_PER_HOUR)
    return Question(
        calls_per_hour=calls,
        peak=_number(texts, "PEAK", 1.0, MAX_PEAK, least_included=True),
        p99_s=_number(texts, "P99_S", 0.0, deployed.deadline_s),
        seconds=_number(texts, "SECONDS", 0.0, deployed.max_duration_s) if texts.get("SECONDS") else None,
        burst=_number(texts, "BURST", 0.0, MAX_CALLS_PER_HOUR) if texts.get("BURST") else None,
        seed=int(_number(texts, "SEED", 0.0, 1e9, least_included=True)) if texts.get("SEED") else 0,
    )


def _number(texts: dict[str, str], name: str, least: float, most: float, *, least_included: bool = False) -> float:
    text = texts.get(name, "")
    if not text:
        raise BadQuestion(f"{name} is missing: make plan CALLS_PER_HOUR=20000 PEAK=3 P99_S=1.")
    try:
        value = float(text)
    except ValueError as error:
        raise BadQuestion(f"{name} is {text!r}: give a number.") from error
    if not math.isfinite(value) or value > most or value < least or (value == least and not least_included):
        bound = "from" if least_included else "more than"
        raise BadQuestion(f"{name} is {text}: give a number {bound} {least:g}, {most:,.0f} at most.")
    return value
