"""A row is met by its value, its operator and its target, and by nothing else; the page is made of the JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from bench.page import page
from bench.report.machine import differs, machine
from bench.report.rows import Row, Target, interleaved, median_row, ratios, worst_row
from bench.report.targets import AWAITED, BY_WORST_ROUND, TARGETS
from runtime.config import ROOT


@pytest.mark.parametrize(
    ("op", "value", "met"),
    [
        ("<=", 1.0, True),
        ("<=", 1.01, False),
        (">=", 1.0, True),
        (">=", 0.99, False),
        (">=", None, False),
        (None, 5.0, None),
    ],
)  # fmt: skip
def test_met(op: str | None, value: float | None, met: bool | None) -> None:
    assert Row("x", value, "", Target(op, 1.0 if op else None)).met is met


def test_the_median_is_of_the_rounds_and_rounds_are_interleaved() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = interleaved(3, {"a": lambda: measure("a"), "b": lambda: measure("b")})
    assert order == ["a", "b"] * 3
    assert median_row("a", found["a"], "s").value == 3.0
    assert ratios(found["b"], found["a"]) == [2.0, 4 / 3, 6 / 5]


def test_what_must_never_happen_is_judged_by_the_worst_round() -> None:
    row = worst_row("x", [0.0, 0.0, 2.0], "requests", Target("<=", 0.0))
    assert (row.value, row.met) == (2.0, False)


@pytest.mark.parametrize("judged", [median_row, worst_row])
def test_a_round_without_a_figure_leaves_none(judged: Callable[..., Row]) -> None:
    row = judged("x", [0.0, math.nan, 1.0], "s", Target("<=", 5.0))
    assert (row.value, row.met, row.rounds) == (None, False, ())


def test_figures_of_another_machine_are_not_mixed_with_these() -> None:
    here = machine()
    assert differs({**here, "date": "2000-01-01", "load_before": 9.0, "minutes": 30.0}, here) == []
    assert differs({**here, "cores": 64, "model": 1}, here) == ["cores", "model"]


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    report = json.loads((ROOT / "docs" / "performance.json").read_text())
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == page(report)
    rows = {row["name"]: row for row in report["rows"]}
    assert len(rows) == len(report["rows"])
    assert TARGETS.keys() - rows.keys() == AWAITED
    for name in TARGETS.keys() - AWAITED:  # every target has a figure, and `met` was not written by hand
        row, target = rows[name], TARGETS[name]
        assert (row["op"], row["target"]) == (target.op, target.limit)
        assert row["met"] is Row(name, row["value"], row["unit"], target).met
        if row["rounds"]:
            judged = worst_row if name in BY_WORST_ROUND else median_row
            assert row["value"] == judged(name, row["rounds"], "").value
