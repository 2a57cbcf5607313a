"""When a canary is stopped: never too often, however long it runs, and soon where it must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frontend.configuration.tuning import image_tuning
from frontend.rollout.compare import Comparison
from frontend.rollout.guard import BOUNDS, Guard, ShareTest
from runtime.config import ROOT
from scripts.rollout_bounds import simulate, table

SETTINGS = image_tuning().rollout
ALIKE = Comparison(status_flip=False, label_flip=False, score_change=0.0, segments_differ=False, infer_ms=(3.0, 3.0))


@pytest.mark.parametrize("bound", [0.01, 0.1, 0.25])
@pytest.mark.parametrize("within", [0.5, 1.0])
def test_a_canary_within_its_bound_is_seldom_stopped(bound: float, within: float) -> None:
    """At 5 % of false stops, so that the simulation sees some; at the bound itself it is nearest to that."""
    found = simulate(bound, bound * within, replace(SETTINGS, false_stops=0.05), 300, 1_000)
    assert found.stopped <= 0.05


@pytest.mark.parametrize(
    ("bound", "share", "calls"), [(0.01, 0.1, 100), (0.01, 0.4, 25), (0.1, 0.5, 40), (0.01, 1, 20)]
)
def test_a_canary_beyond_its_bound_is_stopped_soon(bound: float, share: float, calls: int) -> None:
    found = simulate(bound, share, SETTINGS, 200, 2_000)
    assert found.stopped == 1.0
    assert found.calls is not None
    assert found.calls <= calls


def test_a_bound_of_nothing_and_of_everything() -> None:
    none, all_of_them = ShareTest(0.0, 0.001), ShareTest(1.0, 0.001)
    for _ in range(1000):
        none.add(False)
    for _ in range(10_000):  # a bound of 0.995 would be broken after 2,544
        all_of_them.add(True)
    assert not none.exceeded
    assert not all_of_them.exceeded
    none.add(True)
    none.add(True)
    assert none.exceeded


def test_nothing_is_judged_before_the_least_number_of_calls() -> None:
    guard = Guard(SETTINGS)
    for _ in range(SETTINGS.min_calls - 1):
        guard.compared(replace(ALIKE, label_flip=True))
        guard.asked(failed=True, unusable=True)
    assert guard.broken() is None
    guard.compared(replace(ALIKE, label_flip=True))
    assert guard.broken() == "flips"
    assert guard.figures()["flips"] == guard.figures()["flips_of"] == SETTINGS.min_calls


@pytest.mark.parametrize(
    ("bound", "comparison"),
    [
        ("flips", replace(ALIKE, status_flip=True)),
        ("shifts", replace(ALIKE, score_change=SETTINGS.score_tolerance + 0.001)),
        ("shifts", replace(ALIKE, segments_differ=True)),
        ("slow", replace(ALIKE, infer_ms=(SETTINGS.slow_floor_ms + 3.1 * 5.0, 5.0))),
    ],
)
def test_each_bound_has_its_event(bound: str, comparison: Comparison) -> None:
    guard = Guard(SETTINGS)
    for _ in range(SETTINGS.min_calls):
        guard.compared(comparison)
    assert guard.broken() == bound
    assert set(guard.tests) == set(BOUNDS)


def test_a_failure_is_no_unusable_answer() -> None:
    guard = Guard(SETTINGS)
    for _ in range(SETTINGS.min_calls):
        guard.asked(failed=True)
    assert guard.broken() == "failures"
    assert guard.tests["unusable"].events == 0


@pytest.mark.system
def test_the_page_has_the_simulation_s_figures() -> None:
    """`python -m scripts.rollout_bounds`; its draws are seeded."""
    assert table() in (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
