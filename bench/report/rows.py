"""What a figure is: a fixed name, the median (or the worst) of its rounds with their spread, and the target that it is
held to.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDS = 5

_OPERATORS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Target:
    """op: `<=` or `>=`; limit: in the row's unit. Without either the row is a report."""

    op: str | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. value:

    None where it could not be measured, and then `note` says why; rounds: what the median is of.
    """

    name: str
    value: float | None
    unit: str
    target: Target = Target()
    rounds: tuple[float, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Follows from value, op and target; None for a report."""
        if self.target.op is None or self.target.limit is None:
            return None
        return self.value is not None and _OPERATORS[self.target.op](self.value, self.target.limit)

    def to_dict(self) -> dict[str, Any]:
        return {
            **{
                "name": self.name,
                "value": self.value,
                "op": self.target.op,
                "target": self.target.limit,
                "met": self.met,
            },
            **{"unit": self.unit, "rounds": list(self.rounds), "note": self.note},
        }


def median_row(name: str, rounds: Sequence[float], unit: str, target: Target | None = None, note: str = "") -> Row:
    """The median of the rounds; no value where a round has none (NaN), so that a target is then not met."""
    return _judged(statistics.median, name, rounds, unit, target, note)


def worst_row(name: str, rounds: Sequence[float], unit: str, target: Target | None = None, note: str = "") -> Row:
    """The largest of the rounds, for what must not happen in any of them; no value as in `median_row`."""
    return _judged(max, name, rounds, unit, target, f"the worst round; {note}".rstrip("; "))


def _judged(
    judge: Callable[[Sequence[float]], float],
    name: str,
    rounds: Sequence[float],
    unit: str,
    target: Target | None,
    note: str,
) -> Row:
    if any(math.isnan(item) for item in rounds):
        return Row(name, None, unit, target or Target(), (), f"{note}; a round gave no figure".lstrip("; "))
    return Row(name, judge(rounds), unit, target or Target(), tuple(rounds), note)


def interleaved(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each measure once a round, in turn, so that what the machine does meanwhile meets all of them alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Round by round; NaN where there is nothing to divide by."""
    return [item / other if other else math.nan for item, other in zip(of, to, strict=True)]
