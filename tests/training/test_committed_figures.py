"""METRICS.json's cross-validation is what the committed scores give: nobody can edit one without the other.

Without the audio's manifest: a path tells its source, and hand marks are not needed for these figures.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.config import ROOT
from training.data.dataset import Entry
from training.evaluation.conditions import CHANNELS, GAINS
from training.evaluation.metrics import figures_of
from training.evaluation.scored_recordings import by_fold
from training.evaluation.scores import read_scores

pytestmark = pytest.mark.training

# The others need the hand marks or who has which label.
FROM_SCORES = (
    "coughseg_event_auc",
    "coughseg_event_sensitivity",
    "coughseg_event_specificity",
    "coughseg_calibration_error",
    "c19_call_hit_rate",
    "c19_telegram_hit_rate",
    "esc10_false_alarms",
    "esc10_sneezes_accepted",
    "fsdd_false_alarms",
    *(f"coughseg_decision_changed_{name}" for name in (*CHANNELS, *GAINS)),
    *(f"coughseg_segments_moved_{name}" for name in GAINS),
)


SOURCES = {"c19cough/call-center": "c19_call", "c19cough/telegram": "c19_telegram"}


def entry(path: str) -> Entry:
    source = SOURCES.get("/".join(path.split("/")[:2]), path.split("/", maxsplit=1)[0])
    # Of coughseg both kinds, so that it counts as mixed; which is which decides none of FROM_SCORES.
    is_cough = source.startswith("c19") or (source == "coughseg" and path[-6] in "01234567")
    return Entry(path, (Path(path),), source, "train", path, is_cough, None, None, kind=Path(path).parent.name)


def test_the_committed_figures_follow_from_the_committed_scores() -> None:
    scores = read_scores(ROOT / "models" / "crossval" / "scores.jsonl")
    # Of the hard negatives a path does not tell the kind.
    paths = {score.path for score in scores if score.path.startswith(("c19cough/", "coughseg/", "esc10/", "fsdd/"))}
    entries = [entry(path) for path in sorted(paths)]
    folds, figures = by_fold(entries, scores), figures_of(entries)
    committed = json.loads((ROOT / "models" / "METRICS.json").read_text(encoding="utf-8"))["crossval"]["figures"]
    assert len(folds) == 5
    for name in FROM_SCORES:
        found = [figures[name](fold) for fold in folds]
        assert found == pytest.approx(committed[name]["folds"], abs=5e-5), name  # rounded to 4 digits
