"""The committed figures: complete, and what follows from them follows from the rounds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from planning.errors import BadQuestion
from planning.figures import FOLDER, GPU_REPORT, checked, figures_of, gpu_batch, machines, service_times


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return figures_of(None)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_a_committed_file_is_complete_and_named_after_its_machine(file: Path) -> None:
    found = checked(json.loads(file.read_text()))
    assert found["machine"]["name"] == file.stem
    assert len(found["rounds"]) >= 3  # a spread
    assert {"1", "64"} <= found["batch_ms"].keys()
    assert sum(item["candidates"] for item in found["recordings"]) > 0


def test_means_and_costs_follow_from_the_rounds(figures: dict[str, Any]) -> None:
    """Each in proportion takes its part of what a call costs beside our processes."""
    times = service_times(figures)
    mid = {name: median(item[name] for item in figures["rounds"]) for name in figures["rounds"][0]}
    loaded_ms = mid["worker_ms"] + mid["main_ms"] + mid["triton_ms"]
    slower = 1.0 + min(item["other_ms"] for item in figures["rounds"]) / loaded_ms
    disturbed = service_times(figures, with_others=True)
    assert disturbed.worker_s == pytest.approx(mid["worker_ms"] * (1.0 + mid["other_ms"] / loaded_ms) / 1e3)
    assert times.worker_s == pytest.approx(mid["worker_ms"] * slower / 1e3)
    assert times.main_s == pytest.approx(mid["main_ms"] * slower / 1e3)
    assert times.alone_speed >= 1.0
    by_itself = [item["worker_ms"] for item in figures["recordings"]]
    costs = [item.worker_s for item in times.recordings]
    assert costs.index(max(costs)) == by_itself.index(max(by_itself))


def test_a_batch_costs_what_was_measured(figures: dict[str, Any]) -> None:
    """The line through the sizes meets full batches, which decide the throughput, within a tenth."""
    undisturbed = copy.deepcopy(figures)
    for item in undisturbed["rounds"]:
        item["other_ms"] = 0.0
    times = service_times(undisturbed)
    measured_s = median(figures["batch_ms"]["64"]) / 1e3
    assert times.cpu.seconds(64) / times.alone_speed == pytest.approx(measured_s, rel=0.1)


def test_the_gpus_batches_are_those_of_the_report() -> None:
    """docs/gpu.md: 8 clients of 5 coughs got 15,456 coughs/s in batches of 20, 32 clients 25,797 in batches of 60."""
    batch = gpu_batch(json.loads(GPU_REPORT.read_text()), 64)
    assert 20.0 / batch.seconds(20.0) == pytest.approx(15_456, rel=0.1)
    assert 60.0 / batch.seconds(60.0) == pytest.approx(25_797, rel=0.1)


def test_longer_recordings_cost_more_of_everything(figures: dict[str, Any]) -> None:
    times = service_times(figures)
    same, longer = times.stretched(times.seconds), times.stretched(3.0 * times.seconds)
    assert same.worker_s == pytest.approx(times.worker_s)
    assert longer.seconds == pytest.approx(3.0 * times.seconds)
    assert longer.candidates == pytest.approx(3.0 * times.candidates, rel=0.05)
    # More than double: less than a third of a recording's cost does not depend on its length.
    assert 2.0 * times.worker_s < longer.worker_s < 3.5 * times.worker_s
    assert longer.size > times.size


@pytest.mark.parametrize("field", ["machine", "rounds", "batch_ms", "recordings", "record_bytes", "max_batch"])
def test_figures_that_lack_something_are_refused(figures: dict[str, Any], field: str) -> None:
    broken = copy.deepcopy(figures)
    del broken[field]
    with pytest.raises(BadQuestion, match="lack"):
        checked(broken)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "10", None, True])
def test_figures_with_something_else_than_an_amount_are_refused(figures: dict[str, Any], value: object) -> None:
    broken = copy.deepcopy(figures)
    broken["rounds"][0]["worker_ms"] = value
    with pytest.raises(BadQuestion, match="worker_ms"):
        checked(broken)


def test_the_newest_machine_is_the_default(figures: dict[str, Any], tmp_path: Path) -> None:
    for name, date in (("older", "2026-01-01"), ("newest", "2026-12-01"), ("middle", "2026-06-01")):
        found = copy.deepcopy(figures)
        found["machine"].update(name=name, date=date)
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    assert machines(tmp_path) == ["newest", "middle", "older"]
    assert figures_of(None, tmp_path)["machine"]["name"] == "newest"
    with pytest.raises(BadQuestion, match="newest, middle, older"):
        figures_of("another", tmp_path)


def test_without_figures_one_sentence_says_what_measures_them(tmp_path: Path) -> None:
    with pytest.raises(BadQuestion, match="make plan-figures"):
        figures_of(None, tmp_path)
