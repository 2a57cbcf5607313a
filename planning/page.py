"""The tables of docs/capacity.md that follow from figures: pods by calls an hour, and how near the simulation comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planning.deployment import deployment
from planning.figures import figures_of
from planning.plan import Plan, make_plan
from planning.prices import RECORD_WRITES
from planning.question import Question
from runtime.config import ROOT

PAGE = ROOT / "docs" / "capacity.md"
CHECK = ROOT / "docs" / "plan.json"
CALLS_PER_HOUR = (1e3, 1e4, 1e5, 1e6, 1e7)
PEAK, P99_S = 3.0, 1.0
_BLOCK = "<!-- {name}: made by `make plan-page` -->\n{text}\n<!-- end -->"
_END = "<!-- end -->"


def write_page(page: Path = PAGE) -> None:
    """Write the page's tables again. Raises: PlanError where there are no figures."""
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """Return a page with its tables made anew."""
    figures, deployed = figures_of(None), deployment()
    plans = [make_plan(Question(calls, PEAK, P99_S), figures, deployed) for calls in CALLS_PER_HOUR]
    tables = {"pods": pods_table(plans), "stores": stores_table(plans)}
    if CHECK.is_file():
        tables["check"] = check_table(json.loads(CHECK.read_text(encoding="utf-8")))
    for name, table in tables.items():
        block = _BLOCK.format(name=name, text=table)
        start, end = text.index(f"<!-- {name}: "), text.index(_END, text.index(f"<!-- {name}: ")) + len(_END)
        text = text[:start] + block + text[end:]
    return text


def pods_table(plans: list[Plan]) -> str:
    """Return a row for each power of ten: what serves it, and what it does."""
    rows = [
        "| calls an hour | peak a second | front-end pods | Triton on CPU | or GPU | p50, ms | p99, ms | burst, s |",
        "|" + " ---: |" * 8,
    ]
    for plan in plans:
        chosen = plan.chosen
        cells = [
            f"{plan.asked.calls_per_hour:,.0f}",
            _per_s(plan.asked.peak_per_s),
            f"{max(chosen.front_ends, plan.deployed.front_ends[0])}",
            f"{chosen.tritons}",
            f"{plan.on_gpu.tritons}",
            f"{chosen.p50.mean * 1e3:.0f}",
            f"{chosen.p99.mean * 1e3:.0f}",
            f"{plan.burst_s:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def stores_table(plans: list[Plan]) -> str:
    """Return a row for each power of ten: what reaches the ways in and the stores in the busiest minute."""
    rows = [
        "| calls an hour | blobs a second | record writes a second | audio in, Mbit/s | audio kept | records kept |",
        "|" + " ---: |" * 6,
    ]
    for plan in plans:
        per_s = plan.asked.peak_per_s
        cells = [
            f"{plan.asked.calls_per_hour:,.0f}",
            _per_s(per_s),
            _per_s(RECORD_WRITES * per_s),
            _per_s(per_s * plan.times.size * 8.0 / 1e6),
            f"{plan.kept[0] / 1e9:,.0f} GB",
            f"{plan.kept[1] / 1e9:,.0f} GB",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def check_table(report: dict[str, Any]) -> str:
    """Return measured and simulated answers of each point, and which rows are short."""
    short = {row["name"] for row in report["rows"] if not row["met"]}
    rows = [
        "| offered | others, cores | measured a second, p50, p99 ms | simulated | refused | throughput | p50 | p99 |",
        "| ---: | ---: | --- | --- | --- | ---: | ---: | ---: |",
    ]
    for point in report["points"]:
        off = {
            row["name"].removeprefix("plan_").removesuffix(f"_{point['name']}"): row
            for row in report["rows"]
            if row["name"].endswith(f"_{point['name']}")
        }
        cells = [
            f"{'**short:** ' if off[name]['name'] in short else ''}{off[name]['value']:.0%}"
            for name in ("throughput", "p50", "p99")
        ]
        sides = [
            f"{side['per_s']:.1f}, {side['p50'] * 1e3:.0f}, {side['p99'] * 1e3:.0f}"
            for side in (point["measured"], point["simulated"])
        ]
        refused = f"{point['measured']['refused']:.1%} and {point['simulated']['refused']:.1%}"
        offered = f"{point['share']:.0%} | {point['others']:.2f}"
        rows.append(f"| {offered} | {sides[0]} | {sides[1]} | {refused} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _per_s(value: float) -> str:
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.2g}"
