"""The figures of `make stress`, without running it: it needs data beside the checkout."""

from __future__ import annotations

import pytest

from training.data.lines import FAMILIES
from training.stress import figures, table


def one(status: str, *coughs: tuple[float, float]) -> dict[str, object]:
    return {"status": status, "reasons": [], "coughs": list(coughs)}


def test_shares_by_status_and_coughs_at_their_places():
    plain = [one("ok", (1.0, 1.4), (2.0, 2.4)), one("ok", (0.5, 0.9))]
    judged = [
        (one("ok", (4.05, 4.5)), 3.0),  # the first cough three seconds later; the second is lost
        (one("no_cough"), 0.0),
    ]
    assert figures(plain, judged) == {
        "ok": 0.5, "no_cough": 0.5, "poor_quality": 0.0, "inconclusive": 0.0,
        "coughs_kept": pytest.approx(1 / 3, abs=1e-4),
    }  # fmt: skip


def test_half_of_a_cough_must_be_covered():
    plain = [one("ok", (1.0, 2.0))]
    assert figures(plain, [(one("ok", (1.51, 2.5)), 0.0)])["coughs_kept"] == 0.0
    assert figures(plain, [(one("ok", (1.0, 1.3), (1.6, 1.9)), 0.0)])["coughs_kept"] == 1.0


def test_the_table_has_a_line_for_each_family():
    shares = {"ok": 1.0, "no_cough": 0.0, "poor_quality": 0.0, "inconclusive": 0.0, "coughs_kept": 1.0}
    results = {"name": "here", "seed": 1, "recordings": ["a"], "families": dict.fromkeys(FAMILIES, shares)}
    lines = table(results).splitlines()
    assert len(lines) == 2 + len(FAMILIES)
    assert "judged" in lines[-1]
