"""docs/capacity.md: its tables follow from the figures and from the last comparison."""

from __future__ import annotations

import json

import pytest

from planning.page import CHECK, PAGE, check_table, with_tables

CALLS = ("1,000", "10,000", "100,000", "1,000,000", "10,000,000")


@pytest.mark.system
def test_the_tables_are_those_of_the_verb() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for calls in CALLS:
        assert text.count(f"\n| {calls} | ") == 2
    changed = text.replace("| 10,000,000 | ", "| 10,000,001 | ")
    assert changed != text
    assert with_tables(changed) == text, "make plan-page"


def test_what_is_short_is_said() -> None:
    report = json.loads(CHECK.read_text(encoding="utf-8"))
    table = check_table(report)
    assert table.count("**short:**") == sum(not row["met"] for row in report["rows"])
    assert len(table.splitlines()) == 2 + len(report["points"])
