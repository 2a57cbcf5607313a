"""The tables of docs/drift.md, from docs/drift.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.drift.lines import WAYS
from runtime.config import ROOT

FIGURES = ROOT / "docs" / "drift.json"
PAGE = ROOT / "docs" / "drift.md"
_END = "<!-- end -->"


def with_tables(text: str, report: Mapping[str, Any]) -> str:
    """Return a page with its tables made anew. Raises: ValueError where it has no place for one."""
    tables = {"lines": lines_table(report), "quiet": quiet_table(report), "chance": chance_table(report)}
    for name, table in tables.items():
        start = text.index(f"<!-- {name}: ")
        end = text.index(_END, start) + len(_END)
        text = f"{text[:start]}<!-- {name}: made by `make drift-figures` -->\n{table}\n{text[end - len(_END) :]}"
    return text


def lines_table(report: Mapping[str, Any]) -> str:
    """Return a row for each line and kind."""
    rows = ["| line | trained on | what alarms | after calls: median (least to most) |", "| --- | --- | --- | ---: |"]
    for name, found in report["lines"].items():
        way = WAYS[name]
        rows += [
            f"| {way.what if not number else ''} | {way.trained if not number else ''} | {cells} |"
            for number, cells in enumerate(_alarms(found, report["orders"]))
        ]
    return "\n".join(rows)


def quiet_table(report: Mapping[str, Any]) -> str:
    """Return a row for each set of recordings that must be quiet."""
    rows = ["| recordings | calls | orders | what alarms |", "| --- | ---: | ---: | --- |"]
    for found in report["quiet"]:
        alarms = "; ".join(f"`{one['kind']}` in {one['orders']}" for one in found["alarms"]) or "nothing, ever"
        rows.append(f"| {found['what']} | {found['calls']} | {found['orders']} | {alarms} |")
    return "\n".join(rows)


def chance_table(report: Mapping[str, Any]) -> str:
    """Return how often calls as in training alarm, by how many calls each caller makes."""
    sizes = [str(n) for n in report["chance"]["calls"]]
    rows = [
        f"| calls of each caller | {' | '.join(f'{n} calls' for n in sizes)} |",
        f"| ---: |{' ---: |' * len(sizes)}",
    ]
    for each, shares in report["chance"]["by_calls_each"].items():
        rows.append(f"| {each} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")
    return "\n".join(rows)


def _alarms(found: list[Mapping[str, Any]], orders: int) -> list[str]:
    if not found:
        return ["nothing | "]
    cells = []
    for one in found:
        part = "" if one["orders"] == orders else f", in {one['orders']} of {orders} orders"
        cells.append(f"`{one['kind']}`{part} | {one['median']} ({one['least']} to {one['most']})")
    return cells


def write(report: Mapping[str, Any]) -> None:
    """Write the figures, and the page's tables anew."""
    FIGURES.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")
