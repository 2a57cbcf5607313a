"""Charts of a report: what Triton gives by the number of clients, throughput against the baselines, and what each stage
costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_charts(report: dict[str, Any], folder: Path) -> None:
    """PNG files: bench-triton.png, bench-rest.png, bench-stages.png; those for which there are figures."""
    values = {row["name"]: row for row in report["rows"]}
    if report["levels"]:
        _triton(report["levels"]).savefig(folder / "bench-triton.png", dpi=120)
    baselines = {
        name.removeprefix("rest_to_").removesuffix("_throughput"): row
        for name, row in values.items()
        if name.startswith("rest_to_") and name.endswith("_throughput") and row["value"] is not None
    }
    if baselines:
        _bars(baselines, "REST throughput / theirs").savefig(folder / "bench-rest.png", dpi=120)
    stages = {name.removeprefix("stage_"): row for name, row in values.items() if name.startswith("stage_")}
    if stages:
        _bars(stages, "CPU ms per second of audio").savefig(folder / "bench-stages.png", dpi=120)


def _triton(levels: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    clients = [level["concurrency"] for level in levels]
    axes.plot(clients, [level["throughput"] for level in levels], "o-", label="coughs/s")
    axes.set(xscale="log", xticks=clients, xticklabels=clients, xlabel="clients", ylabel="coughs/s", ylim=(0, None))
    other = axes.twinx()
    other.plot(clients, [level["average_batch"] for level in levels], "s--", color="tab:orange", label="average batch")
    other.set(ylabel="average batch", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _bars(rows: dict[str, dict[str, Any]], label: str) -> Figure:
    figure = Figure(figsize=(7, 0.4 * len(rows) + 1), layout="constrained")
    axes = figure.add_subplot()
    names, values = list(rows), [row["value"] for row in rows.values()]
    low = [value - min(row["rounds"] or [value]) for value, row in zip(values, rows.values(), strict=True)]
    high = [max(row["rounds"] or [value]) - value for value, row in zip(values, rows.values(), strict=True)]
    axes.barh(names, values, xerr=[low, high], color="tab:blue", ecolor="black")
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return figure
