"""How often a canary is stopped, and after how many calls, for a true share of flips: a simulation of the real guard.

Run: `.venv/bin/python -m scripts.rollout_bounds`. The table of docs/rollout.md is its output.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass

from frontend.configuration.tuning import RolloutSettings, image_tuning
from frontend.rollout.guard import BOUNDS, ShareTest

RUNS, MOST_CALLS = 1_000, 2_000
FACTORS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # of the bound


@dataclass(frozen=True, slots=True)
class Simulated:
    """stopped: share of the canaries; calls: the median until then, None where fewer than half were stopped."""

    share: float
    stopped: float
    calls: float | None


def simulate(bound: float, share: float, settings: RolloutSettings, runs: int, most_calls: int) -> Simulated:
    """Run so many canaries whose calls are events with that share, each to its stop or to its last call."""
    rng = random.Random(round(bound * 1e6) * 1_000_003 + round(share * 1e6))  # noqa: S311 - a simulation
    stops: list[float] = []
    for _ in range(runs):
        test = ShareTest(bound, settings.false_stops)
        for call in range(1, most_calls + 1):
            event = rng.random() < share
            test.add(event)
            # Only an event raises the evidence, but the least number of calls may be reached without one.
            if (event or call == settings.min_calls) and call >= settings.min_calls and test.exceeded:
                stops.append(call)
                break
    calls = [*stops, *[float("inf")] * (runs - len(stops))]
    median = statistics.median(calls)
    return Simulated(share, len(stops) / runs, median if median < float("inf") else None)


def table(runs: int = RUNS, most_calls: int = MOST_CALLS) -> str:
    """Return the figures as Markdown."""
    settings = image_tuning().rollout
    lines = ["| bound | true share | stopped | calls until then, median |", "| --- | --- | --- | --- |"]
    for name, setting in BOUNDS.items():
        if name == "unusable":
            continue  # has the bound of failures
        bound = getattr(settings, setting)
        for share in sorted({min(bound * factor, 1.0) for factor in FACTORS}):
            found = simulate(bound, share, settings, runs, most_calls)
            calls = f"{found.calls:.0f}" if found.calls else ""
            lines.append(f"| {name}, {bound:g} | {share:g} | {found.stopped:.1%} | {calls} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
