"""Each decision says when it was taken and whether it still holds, and the index says the same."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from runtime.config import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("0*.md"))
_HEAD = re.compile(r"# (\d{4}): .+\n\n- Date: (\d{4}-\d\d-\d\d)\n- Status: ([^\n]+)\n")
_STATUS = re.compile(r"(accepted|superseded by \[\d{4}\])(, (in part superseded by|changes|replaces parts of) .+)?")


def head(page: Path) -> tuple[str, str, str]:
    """Number, date and status, without the links' targets."""
    found = _HEAD.match(page.read_text(encoding="utf-8"))
    assert found, f"{page.name} does not begin with a title, a date and a status"
    return found[1], found[2], re.sub(r"\]\([^)]*\)", "]", found[3])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_it_has_a_date_and_a_status(page: Path) -> None:
    number, day, status = head(page)
    assert page.name.startswith(f"{number}-")
    assert date.fromisoformat(day)
    assert _STATUS.fullmatch(status), status


def test_the_index_agrees() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (\S+) \| ([^|]+) \|", index, re.M)
    assert [(number, name, day, status) for number, name, day, status in rows] == [
        (head(page)[0], page.name, head(page)[1], head(page)[2].replace("[", "").replace("]", "")) for page in PAGES
    ]


def test_one_that_replaces_another_is_named_there() -> None:
    statuses = {head(page)[0]: head(page)[2] for page in PAGES}
    for number, status in statuses.items():
        for clause in re.findall(r"(?:changes|replaces parts of) ((?:\[\d{4}\](?:, | and )?)+)", status):
            for other in re.findall(r"\d{4}", clause):
                assert re.search(rf"in part superseded by .*\[{number}\]", statuses[other]), f"{other} lacks {number}"
