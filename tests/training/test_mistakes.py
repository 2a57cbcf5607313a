"""The page of mistakes: the worst of each source and kind, in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.dataset import Entry
from training.evaluation.conditions import PLAIN
from training.evaluation.scores import RecordingScores
from training.reporting.mistakes import N_MISTAKES, draw_mistakes, worst_mistakes

pytestmark = pytest.mark.training


def entry(path: str, source: str, *, is_cough: bool) -> Entry:
    return Entry(path, (Path(path),), source, "train", path, is_cough, None, None)


def scored(path: str, score: float) -> RecordingScores:
    return RecordingScores(path, PLAIN, 0, 0.5, 0.5, 2.0, "ok", (score,), (0.5,), (), (), None, 0.0, 4000.0, 0.0, False)


def test_each_source_and_kind_has_its_turn_and_the_farthest_come_first() -> None:
    entries = [entry(f"m{i}", "coughseg", is_cough=True) for i in range(20)]
    entries += [entry("f", "esc10", is_cough=False), entry("right", "esc10", is_cough=False)]
    scores = [scored(f"m{i}", 0.4 - 0.01 * i) for i in range(20)] + [scored("f", 0.6), scored("right", 0.4)]
    worst = worst_mistakes(entries, scores)
    assert len(worst) == N_MISTAKES
    assert [(item.path, words) for item, _, words in worst[:3]] == [
        ("m19", "missed"),
        ("f", "false alarm"),
        ("m18", "missed"),
    ]


def test_without_a_mistake_there_is_no_page(tmp_path: Path) -> None:
    draw_mistakes(tmp_path / "mistakes.png", [entry("a", "esc10", is_cough=False)], [scored("a", 0.1)])
    assert not (tmp_path / "mistakes.png").exists()
