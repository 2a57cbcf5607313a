"""`make plan-check`: what its rows say of measured and simulated answers; `make plan-figures`: names of machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.plan import __main__ as command
from bench.plan.measure import busy_s, machine_name
from bench.plan.points import SHARES, Answers, Point, rows

MEASURED = Answers(per_s=50.0, p50=0.040, p99=0.100, refused=0.0)


def point(simulated: Answers) -> Point:
    return Point("50_percent", 0.5, 50.0, 0.1, MEASURED, simulated)


@pytest.mark.parametrize(
    ("simulated", "short"),
    [
        (MEASURED, []),
        (Answers(52.0, 0.045, 0.125, 0.0), []),
        (Answers(47.0, 0.040, 0.100, 0.0), ["plan_throughput_50_percent"]),
        (Answers(50.0, 0.047, 0.100, 0.0), ["plan_p50_50_percent"]),
        (Answers(50.0, 0.040, 0.065, 0.0), ["plan_p99_50_percent"]),
        (Answers(float("nan"), 0.040, 0.100, 0.0), ["plan_throughput_50_percent"]),
    ],
)
def test_a_row_is_short_where_the_simulation_is_too_far_off(simulated: Answers, short: list[str]) -> None:
    found = rows([point(simulated)])
    assert [row.name for row in found if not row.met] == short
    assert found[1].note.endswith("measured 40 ms; others took 0.10 cores")


def test_busy_time_is_neither_idle_nor_waiting_for_a_disk(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    ticks = os.sysconf("SC_CLK_TCK")
    stat.write_text(
        f"cpu  {ticks} {ticks} {ticks} 999999 999999 {ticks} {ticks} {ticks} 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    )
    assert busy_s(stat) == 6.0


def test_the_points_are_those_that_are_asked_for() -> None:
    assert list(SHARES.values())[:3] == [0.5, 0.7, 0.9]
    assert SHARES["overload"] > 1.5


def test_no_figures_are_taken_beside_other_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MOST_OTHERS", -1.0)  # as if any use were too much
    assert command.main(["figures"]) == 1
    assert "figures need an idle machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        ("Intel(R) Xeon(R) Processor", "intel-xeon-2-cores"),
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763-64-core-2-cores"),
        ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "intel-xeon-platinum-8370c-2-cores"),
    ],
)
def test_a_machine_is_named_after_its_processor(processor: str, name: str) -> None:
    assert machine_name({"processor": processor, "cores": 2}) == name
