"""Figures of recordings on disturbed lines, and that the committed ones are what the committed scores give."""

from __future__ import annotations

import json

import pytest

from runtime.config import ROOT
from training.evaluation.line_figures import UNDISTURBED, baseline, denominator, figures_by_family
from training.evaluation.scores import LineScores, read_line_scores

pytestmark = pytest.mark.training


def scored(family: str, status: str, coughs: int, kept: int) -> LineScores:
    return LineScores("a.flac", family, 0, status, coughs, kept)


def test_figures_by_family_are_shares_of_recordings_and_of_coughs():
    scores = [scored("tone", "ok", 4, 3), scored("tone", "no_cough", 2, 0), scored(UNDISTURBED, "ok", 6, 6)]
    found = figures_by_family(scores)
    assert set(found) == {"tone", UNDISTURBED}
    assert found["tone"]["role"] == "developed on"
    assert found["tone"]["recordings"] == 2
    assert (found["tone"]["ok"]["value"], found["tone"]["no_cough"]["value"]) == (0.5, 0.5)
    assert found["tone"]["coughs_kept"]["value"] == 0.5
    assert found["tone"]["ok"]["low"] <= 0.5 <= found["tone"]["ok"]["high"]


def test_the_committed_figures_on_lines_follow_from_the_committed_scores():
    metrics = json.loads((ROOT / "models" / "METRICS.json").read_text(encoding="utf-8"))
    scores = read_line_scores(ROOT / "models" / "crossval" / "lines.jsonl")
    known = denominator()
    assert (
        figures_by_family([one for one in scores if one.path in known]) == metrics["crossval"]["lines"]["with_coughs"]
    )
    assert len({one.path for one in scores if one.path in known}) == len(known)
    assert metrics["baseline_lines"] == baseline()
