"""`make plan`: its answer for three questions, and one sentence for each input that can't be used."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from planning.__main__ import main
from planning.deployment import deployment
from planning.figures import figures_of, service_times
from planning.plan import Plan, make_plan
from planning.prices import NAMES, bill
from planning.question import MONTH_HOURS, Question
from planning.sizing import pod_capacity, size
from planning.text import say_plan
from runtime.config import ROOT

USUAL = ["CALLS_PER_HOUR=1000", "PEAK=3", "P99_S=1"]
PRICES = {
    "vcpu_hour": 0.5,
    "gpu_pod_hour": 4.0,
    "blob_gb_month": 0.25,
    "blob_10000_writes": 0.125,
    "cosmos_gb_month": 0.75,
    "cosmos_record": 0.001,
}

Say = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def plans() -> dict[float, Plan]:
    figures, deployed = figures_of(None), deployment()
    return {calls: make_plan(Question(calls, 3.0, 1.0), figures, deployed) for calls in (1e3, 1e6)}


def test_a_thousand_calls_an_hour(capsys: Say) -> None:
    assert main(USUAL) == 0
    said = capsys.readouterr().out
    assert re.search(r"^calls +1,000 an hour; 0\.8333 a second in the busiest minute", said, re.M)
    assert re.search(r"^front end +2 pods of 2 workers on 2 cores \(1 would do", said, re.M)
    assert re.search(r"^Triton +1 pod, CPU alone", said, re.M)
    assert re.search(r"^GPU +not needed", said, re.M)
    assert "money" not in said
    lines = [line.split()[0] for line in said.splitlines()]
    assert lines == ["calls", "figures", "front", "Triton", "GPU", "p50", "p99", "burst", "stored"]


def test_a_million_calls_an_hour(plans: dict[float, Plan]) -> None:
    plan = plans[1e6]
    capacity = pod_capacity(plan.times, plan.deployed)
    assert plan.chosen.front_ends >= plan.asked.peak_per_s / capacity  # else work would pile up
    assert plan.chosen.front_ends <= 1.5 * plan.asked.peak_per_s / capacity + 1
    assert not plan.needs_gpu
    assert plan.on_gpu.tritons <= plan.chosen.tritons
    assert plan.chosen.p99.low <= plan.chosen.p99.mean <= plan.chosen.p99.high <= 1.0
    assert plan.chosen.capacity_per_s > plan.asked.mean_per_s
    assert plan.burst_s == pytest.approx(1e6 / 60.0 / (plan.chosen.capacity_per_s - 1e6 / 3600.0))


def test_ten_minutes_of_prices(tmp_path: Path, capsys: Say) -> None:
    file = tmp_path / "prices.yml"
    file.write_text("currency: EUR\n" + "".join(f"{name}: {value}\n" for name, value in PRICES.items()))
    assert main([*USUAL, f"PRICES={file}", "SECONDS=10", "BURST=50"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^calls .*recordings of 10\.0 s", said, re.M)
    assert re.search(r"^burst +50 calls", said, re.M)
    assert re.search(r"^money +[\d,.]+ EUR a month", said, re.M)


def test_the_verb_passes_what_it_was_given() -> None:
    """make's own dry run: its environments stay as they are."""
    command = ["make", "-n", "-o", ".venv/.serving", "plan", *USUAL, "PRICES=my prices.yml"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    _, *given = shlex.split(said)
    assert given[:2] == ["-m", "planning"]
    assert given[2:] == [*USUAL, "PRICES=my prices.yml", "SEED=0"]


def test_the_same_question_has_the_same_answer(plans: dict[float, Plan]) -> None:
    again = make_plan(Question(1e3, 3.0, 1.0), figures_of(None), deployment())
    assert say_plan(again) == say_plan(plans[1e3])


def test_stored_bytes_are_calls_times_means(plans: dict[float, Plan]) -> None:
    plan = plans[1e3]
    calls = 1e3 * MONTH_HOURS
    assert plan.written == pytest.approx((calls * plan.times.size, calls * plan.times.record_size))
    days = plan.deployed.retention_days
    assert plan.kept[0] == pytest.approx(1e3 * 24.0 * days * plan.times.size)


def test_the_bill_is_amounts_times_prices(plans: dict[float, Plan]) -> None:
    plan = plans[1e6]
    found = bill(PRICES, plan.asked, plan.times, plan.deployed, plan.chosen).items
    assert found["front-end pods"] == pytest.approx(plan.chosen.front_ends * 2.0 * 730.0 * 0.5)
    assert found["audio written"] == pytest.approx(1e6 * 730.0 / 10_000 * 0.125)
    assert found["records written"] == pytest.approx(1e6 * 730.0 * 0.001)
    by_ru = {**PRICES, "cosmos_100_ru_s_hour": 0.01, "cosmos_ru_per_call": 20.0}
    del by_ru["cosmos_record"]
    provisioned = bill(by_ru, plan.asked, plan.times, plan.deployed, plan.chosen).items["records written"]
    assert provisioned == pytest.approx(1e6 / 3600.0 * 3.0 * 20.0 / 100.0 * 730.0 * 0.01)
    with_gpu = bill(PRICES, plan.asked, plan.times, plan.deployed, plan.on_gpu).items["Triton pods"]
    assert with_gpu == pytest.approx(plan.on_gpu.tritons * 730.0 * 4.0)


@pytest.mark.parametrize("missing", [name for name in PRICES if name != "gpu_pod_hour"])
def test_a_missing_price_is_named(missing: str, tmp_path: Path, capsys: Say) -> None:
    file = tmp_path / "prices.yml"
    file.write_text("".join(f"{name}: {value}\n" for name, value in PRICES.items() if name != missing))
    assert main([*USUAL, f"PRICES={file}"]) == 2
    said = capsys.readouterr().err
    named = "cosmos_ru_per_call" if missing == "cosmos_record" else missing
    assert said == f"plan: The prices lack {named} ({NAMES[named]}).\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vcpu_hour: -1\n", "has -1 as vcpu_hour"),
        ("vcpu_hour: cheap\n", "has 'cheap' as vcpu_hour"),
        ("vcpu_hour: .inf\n", "has inf as vcpu_hour"),
        ("vcpu_hour: yes\n", "has True as vcpu_hour"),
        ("vcpu_hour: 1" + 400 * "0" + "\n", "as vcpu_hour"),
        ("vcpu_hour: 2026-13-45\n", "is not YAML"),
        ("nodes: 3\n", "has 'nodes', which is no price"),
        ("a: [\n", "is not YAML"),
        ("- 1\n", "holds no prices"),
        ("", "holds no prices"),
    ],
)
def test_a_file_that_holds_no_prices_is_refused(text: str, said: str, tmp_path: Path, capsys: Say) -> None:
    file = tmp_path / "prices.yml"
    file.write_text(text)
    assert main([*USUAL, f"PRICES={file}"]) == 2
    assert said in _one_sentence(capsys)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("CALLS_PER_HOUR=", "CALLS_PER_HOUR is missing"),
        ("CALLS_PER_HOUR=-5", "CALLS_PER_HOUR is -5: give a number more than 0"),
        ("CALLS_PER_HOUR=0", "CALLS_PER_HOUR is 0"),
        ("CALLS_PER_HOUR=nan", "CALLS_PER_HOUR is nan"),
        ("CALLS_PER_HOUR=1e30", "100,000,000 at most"),
        ("CALLS_PER_HOUR=many", "CALLS_PER_HOUR is 'many': give a number"),
        ("PEAK=0.5", "PEAK is 0.5: give a number from 1"),
        ("PEAK=1e6", "PEAK is 1e6"),
        ("P99_S=0", "P99_S is 0"),
        ("P99_S=60", "P99_S is 60: give a number more than 0, 10 at most"),
        ("SECONDS=600", "SECONDS is 600: give a number more than 0, 120 at most"),
        ("SECONDS=-1", "SECONDS is -1"),
        ("BURST=0", "BURST is 0"),
        ("SEED=x", "SEED is 'x'"),
        ("MACHINE=../config", "There are no figures of a machine '../config': there are some of "),
        ("PRICES=/nowhere/prices.yml", "/nowhere/prices.yml can't be read"),
        ("RATE=3", "'RATE=3' is not understood"),
        ("20000", "'20000' is not understood"),
    ],
)
def test_bad_input_is_one_sentence(changed: str, said: str, capsys: Say) -> None:
    assert main([*USUAL, changed]) == 2
    assert said in _one_sentence(capsys)


def test_a_target_that_no_number_of_pods_meets_is_one_sentence(capsys: Say) -> None:
    assert main(["CALLS_PER_HOUR=1000", "PEAK=3", "P99_S=0.001"]) == 1
    assert "No number of pods answers 99 % of these calls within 0.001 s" in _one_sentence(capsys)


def test_a_gpu_is_needed_where_a_cpu_is_too_slow() -> None:
    """A network a hundred times as dear: a CPU's batch alone takes longer than the target, a GPU's does not."""
    figures, deployed = figures_of(None), deployment()
    dear = {**figures, "batch_ms": {n: [100.0 * ms for ms in rounds] for n, rounds in figures["batch_ms"].items()}}
    plan = make_plan(Question(1e3, 3.0, 0.2), dear, deployed)
    assert plan.needs_gpu
    assert re.search(r"^GPU +needed", say_plan(plan), re.M)


@pytest.mark.system
def test_a_tighter_target_and_more_calls_never_take_fewer_pods() -> None:
    times, deployed = service_times(figures_of(None)), deployment()

    def pods(per_s: float, p99_s: float) -> int:
        return size(times, deployed, per_s, p99_s, 0, on_gpu=False).front_ends

    assert pods(300.0, 1.0) <= pods(300.0, 0.15) <= pods(300.0, 0.08)
    assert pods(100.0, 0.2) <= pods(300.0, 0.2)


def test_the_autoscalers_limits_are_named(plans: dict[float, Plan]) -> None:
    plan = plans[1e6]
    many = replace(plan, chosen=replace(plan.chosen, front_ends=30, tritons=9))
    assert "raise the autoscaler's 20" in say_plan(many)
    assert "raise the autoscaler's 6" in say_plan(many)


def _one_sentence(capsys: Say) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("plan: ") and said.err.endswith(".\n") and said.err.count("\n") == 1
    return said.err
