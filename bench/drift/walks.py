"""Calls in seeded orders: after how many each kind of drift first alarms. Asked after each call, as an operator who
looks all the time.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.line.drift import outside
from runtime.line.quantities import Bins, count, no_counts
from runtime.line.reference import Reference


def first_alarms(calls: Sequence[Bins], reference: Reference) -> dict[str, int]:
    """Return kind -> after how many calls it first alarms; without the kinds that never do."""
    counts, found = no_counts(), {}
    for number, bins in enumerate(calls, 1):
        count(bins, counts)
        for one in outside(counts, reference):
            if one.alarms and one.kind not in found:
                found[one.kind] = number
    return found


def walks(calls: Sequence[Bins], reference: Reference, orders: int) -> list[dict[str, Any]]:
    """Return a row for each kind that alarms in any of the orders: in how many, and after how many calls."""
    after: dict[str, list[int]] = defaultdict(list)
    for seed in range(orders):
        order = np.random.default_rng(seed).permutation(len(calls))
        for kind, number in first_alarms([calls[index] for index in order], reference).items():
            after[kind].append(number)
    return [
        {
            "kind": kind,
            "orders": len(numbers),
            "median": round(statistics.median(numbers)),
            "least": min(numbers),
            "most": max(numbers),
        }
        for kind, numbers in sorted(after.items())
    ]


def false_alarms(
    by_subject: Sequence[tuple[Sequence[Bins], Sequence[Bins]]],
    reference: Reference,
    *,
    calls_each: float,
    n: int,
    repeats: int,
) -> float:
    """Return the share of draws of n calls, as in training, in which anything alarms.

    by_subject: of each speaker the recordings as they are, and over simulated lines. A caller is one recording of one
    speaker, again and again: the worst case. calls_each: the mean of a geometric distribution
    """
    rng, alarmed = np.random.default_rng(0), 0
    for _ in range(repeats):
        counts, left = no_counts(), n
        while left:
            recordings = by_subject[int(rng.integers(len(by_subject)))]
            line = recordings[int(rng.random() < reference.simulated_share)]
            bins = line[int(rng.integers(len(line)))]
            again = min(left, int(rng.geometric(1.0 / calls_each)))
            for _ in range(again):
                count(bins, counts)
            left -= again
        alarmed += any(one.alarms for one in outside(counts, reference))
    return alarmed / repeats
