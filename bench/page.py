"""docs/performance.md, made of the JSON alone. `python -m bench.page` makes it again from docs/performance.json."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from bench.triton.perf_analyzer import Level, markdown
from runtime.config import ROOT

_COLUMNS = 120

_HEAD = """# Performance

`make bench` makes this page from its own measurements (docs/performance.json). It is not edited by hand.

- A ratio is taken within one round. A figure is the median of its rounds, or the worst round where that is said.
- The spread is the lowest and the highest round.
- Clocks of shared machines are noisy: a target that is met by less than the spread is met by luck.
- [Decision 0013](decisions/0013-speed.md) says what the figures led to.
- `make bench AGAINST=<commit>` measures two builds in turns; its figures go to build/bench-against.json.
"""


def page(report: dict[str, Any]) -> str:
    """Markdown."""
    targets = [row for row in report["rows"] if row["op"]]
    stages = [row for row in report["rows"] if row["name"].startswith("stage_")]
    others = [row for row in report["rows"] if not row["op"] and row not in stages]
    missed = [f"`{row['name']}`" for row in targets if not row["met"]]
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    parts = [
        _HEAD,
        _filled(f"Machine: {machine}."),
        f"\n{len(targets) - len(missed)} of {len(targets)} targets are met{'. Not met:' if missed else '.'}\n",
        *([*(f"- {name}" for name in missed), ""] if missed else []),
        "## Targets\n",
        _markdown(targets, with_target=True),
        "\n## What each stage costs\n",
        "CPU milliseconds for one second of audio (the 10 s note with 6 coughs).",
        "The two limits are decoding alone and the FFT alone.\n",
        _markdown(stages, with_target=False),
        "\n## Triton by perf_analyzer\n",
        "Real spectrograms, one cough a request, over gRPC. perf_analyzer runs on the same cores.",
        "`batch` is the average batch.\n",
        markdown([Level(**level) for level in report["levels"]]),
        "\n## Reports\n",
        _markdown(others, with_target=False),
    ]
    return "\n".join(parts) + "\n"


def table(report: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [f"{'figure':45} {'value':>10} {'spread':>20} {'target':>10}"]
    for row in report["rows"]:
        target = f"{row['op']} {row['target']:.4g}" if row["op"] else ""
        met = "" if row["met"] is None else "met" if row["met"] else "NOT MET"
        lines.append(f"{row['name']:45} {_number(row['value']):>10} {_spread(row):>20} {target:>10} {met}")
    return "\n".join(lines)


def _markdown(rows: list[dict[str, Any]], *, with_target: bool) -> str:
    """A table, and below it the notes of its rows as a list: cells with notes would make very long lines."""
    heads = ["figure", "value", "spread", *(["target", "met"] if with_target else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        target = [f"{row['op']} {_number(row['target'])}", "yes" if row["met"] else "**no**"] if with_target else []
        cells = [f"`{row['name']}`", f"{_number(row['value'])} {row['unit']}".strip(), _spread(row), *target]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [_filled(f"- `{row['name']}`: {row['note']}", indent="  ") for row in rows if row["note"]]
    return "\n".join([*lines, *(["", "Notes:", "", *notes] if notes else [])])


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _spread(row: dict[str, Any]) -> str:
    rounds = row["rounds"]
    return f"{_number(min(rounds))} to {_number(max(rounds))}" if rounds else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


if __name__ == "__main__":
    found = json.loads((ROOT / "docs" / "performance.json").read_text())
    (ROOT / "docs" / "performance.md").write_text(page(found), encoding="utf-8")
