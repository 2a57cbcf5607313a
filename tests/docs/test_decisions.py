"""Each decision says when it was taken and whether it still holds, and the index says the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from runtime.config import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("0*.md"))
_NAMED = r"\[\d{4}\]\(\S+\.md\)"
_HEAD = re.compile(
    r"# (?P<number>\d{4}): .+\n\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n"
    rf"- Status: (?P<status>accepted|superseded)(, superseded in part by (?P<by>{_NAMED}(,?\s+(and\s+)?{_NAMED})*))?\n"
    r"(- Replaces: parts of (?P<replaces>.+(\n  .+)*)\n)?\n"
)


@dataclass(frozen=True)
class Head:
    """What stands below a page's title; by, replaces: numbers of other pages."""

    number: str
    day: str
    status: str
    by: tuple[str, ...]
    replaces: tuple[str, ...]


def head(page: Path) -> Head:
    found = _HEAD.match(page.read_text(encoding="utf-8"))
    assert found, f"{page.name} does not begin with a title, a date and a status"
    by, replaces = (tuple(re.findall(r"\[(\d{4})\]", found[name] or "")) for name in ("by", "replaces"))
    return Head(found["number"], found["date"], found["status"], by, replaces)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_has_a_date_and_a_status(page: Path) -> None:
    found = head(page)
    assert page.name.startswith(f"{found.number}-")
    assert date.fromisoformat(found.day)


def test_the_index_agrees() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (\S+) \| (\w+) \|([^|]*)\|", index, re.M)
    found = [(number, name, day, status, tuple(re.findall(r"\d{4}", by))) for number, name, day, status, by in rows]
    heads = {page: head(page) for page in PAGES}
    assert found == [(item.number, page.name, item.day, item.status, item.by) for page, item in heads.items()]


def test_a_page_that_replaces_parts_of_another_is_named_there() -> None:
    heads = [head(page) for page in PAGES]
    replaces = {(other, item.number) for item in heads for other in item.replaces}
    superseded = {(item.number, other) for item in heads for other in item.by}
    assert replaces
    assert replaces == superseded
