"""Figures against hand-counted examples and scikit-learn's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.data.dataset import Entry
from training.data.sources import MIN_OF_EACH
from training.evaluation.conditions import PLAIN, TWIN
from training.evaluation.intervals import interval
from training.evaluation.metrics import (
    accepted_share,
    auc,
    calibration_error_of,
    changed_share,
    class_auc,
    event_f1,
    event_sensitivity,
    event_specificity,
    figures_of,
    frames,
    matches,
    moved_share,
    recording_auc,
    status_share,
)
from training.evaluation.scored_recordings import Recordings, by_fold, recordings_of
from training.evaluation.scores import RecordingScores, read_scores, write_scores
from training.evaluation.twin_metrics import twin_figures

pytestmark = pytest.mark.training


def entry(
    path: str, source: str = "coughseg", marks: tuple[tuple[float, float], ...] = (), class_label: int | None = None
) -> Entry:
    kind = Path(path).parent.name
    return Entry(path, (Path(path),), source, "train", path, bool(marks), class_label, marks, kind=kind)


def enough(source: str) -> list[Entry]:
    """As many recordings of each kind as a source needs to judge a detector; nobody has scored them."""
    return [entry(f"{source}/{n}", source, ((0.0, 0.4),) if n % 2 else ()) for n in range(2 * MIN_OF_EACH)]


def scored(path: str, cough: tuple[float, ...], condition: str = PLAIN, **changes: object) -> RecordingScores:
    n = len(cough)
    spans = tuple((float(i), i + 0.4) for i in range(n))
    made = RecordingScores(
        path, condition, 0, 0.5, 0.5, 10.0, "ok", cough, (0.5,) * n, spans, (1.0,) * n, 20.0, 0.0, 4000.0, 0.0, False
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_scikit_learns(seed: int) -> None:
    """With ties, which ranks share."""
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 200).astype(float), np.round(rng.random(200), 1)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auc(np.ones(3), np.ones(3)) is None


def test_calibration_error_by_hand() -> None:
    """Bin 0.2-0.3: 2 at 0.25, one a cough: off by 0.25 each; bin 0.9-1.0: 2 at 1.0, both coughs: off by 0."""
    labels, scores = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.25, 0.25, 1.0, 1.0])
    assert calibration_error_of(labels, scores) == pytest.approx(0.5 * 0.25)


def test_matches_take_each_mark_and_span_once() -> None:
    marks = [(0.0, 1.0), (2.0, 3.0)]
    assert matches(marks, [(0.0, 1.0), (2.1, 3.1)]) == (2, 2, 2)
    assert matches(marks, [(0.0, 0.5), (0.5, 1.0)]) == (1, 2, 2)  # IoU 0.5 each, but of one mark
    assert matches(marks, [(0.0, 3.0)]) == (0, 1, 2)  # a run of both
    assert matches(marks, [(0.0, 0.49)]) == (0, 1, 2)
    assert matches([], [(0.0, 1.0)]) == (0, 1, 0)


def test_event_figures_count_what_marks_decide() -> None:
    entries = [entry("a", marks=((0.0, 0.4), (1.0, 1.4))), entry("b")]
    recordings = recordings_of(
        entries,
        [
            scored("a", (0.9, 0.4, 0.8), labels=(1.0, 1.0, -1.0)),
            scored("b", (0.7, 0.1, 0.2, 0.3), labels=(0.0,) * 4),
        ],
    )
    assert event_sensitivity("coughseg")(recordings) == 0.5
    assert event_specificity("coughseg")(recordings) == 0.75
    # Accepted in a: 0-0.4 (a hit) and 2-2.4 (none); one of two marks found: 2 * 1 / (2 + 2).
    assert event_f1("coughseg")(recordings) == pytest.approx(0.5)
    assert recording_auc("coughseg")(recordings) == 1.0


def test_changed_and_moved_are_shares_of_recordings() -> None:
    entries = [entry(name, marks=((0.0, 0.4),)) for name in "abcd"]
    plain = [scored(name, (0.9,)) for name in "abcd"]
    quiet = [
        scored("a", (0.9,), "gain_0.1"),
        scored("b", (0.4,), "gain_0.1", segments_moved=True),
        scored("c", (), "gain_0.1"),
        scored("d", (0.51,), "gain_0.1"),
    ]
    recordings = recordings_of(entries, plain + quiet)
    assert changed_share("coughseg", "gain_0.1")(recordings) == 0.5
    assert moved_share("coughseg", "gain_0.1")(recordings) == 0.25
    assert changed_share("coughseg", "opus_12")(recordings) is None


def test_sneezes_are_counted_apart() -> None:
    entries = [entry("esc10/person_sneeze/1", "esc10"), entry("esc10/dog_bark/1", "esc10")]
    recordings = recordings_of(entries, [scored(entries[0].path, (0.9,)), scored(entries[1].path, (0.1,))])
    assert accepted_share("esc10", sneezes=True)(recordings) == 1.0
    assert accepted_share("esc10", sneezes=False)(recordings) == 0.0
    assert accepted_share("fsdd")(recordings) is None


def test_class_is_judged_on_the_median_of_accepted_coughs() -> None:
    entries = [entry("a", "c19_call", class_label=0), entry("b", "c19_call", class_label=1)]
    recordings = recordings_of(
        entries,
        [
            scored("a", (0.9, 0.9, 0.9, 0.1), positive=(0.2, 0.3, 0.9, 1.0)),
            scored("b", (0.9,), positive=(0.4,)),
        ],
    )
    assert class_auc("c19_call")(recordings) == 1.0


def test_each_source_has_the_figures_that_it_can_tell() -> None:
    clinic = enough("clinic")
    line = [entry("c", "line", marks=((0.0, 0.4),), class_label=label) for label in (0, 1)]
    names = set(
        figures_of([*clinic, *line, entry("street/dog/1", "street"), entry("street/person_sneeze/1", "street")])
    )
    assert {
        "clinic_event_auc",
        "clinic_event_f1",
        "clinic_decision_changed_gsm_8k",
        "clinic_segments_moved_gain_0.1",
    } < names
    assert {"line_hit_rate", "line_class_auc", "street_false_alarms", "street_sneezes_accepted"} < names
    assert {"clinic_hit_rate", "clinic_false_alarms", "clinic_frame_auc", "clinic_inconclusive_without"} < names
    assert not names & {"line_event_auc", "line_false_alarms", "clinic_class_auc", "street_hit_rate"}


def test_a_source_with_few_coughs_has_a_figure_for_either_kind() -> None:
    """Its two coughs are no false alarms; 1 of 2 is hit, and 1 of 4 others is taken for one."""
    entries = [entry(name, "street", marks=((0.0, 0.4),)) for name in "ab"] + [entry(name, "street") for name in "cdef"]
    scores = [scored(name, (0.9 if name in "ac" else 0.1,)) for name in "abcdef"]
    figures, recordings = figures_of(entries), recordings_of(entries, scores)
    assert "street_event_auc" not in figures
    assert figures["street_hit_rate"](recordings) == 0.5
    assert figures["street_false_alarms"](recordings) == 0.25


def test_frames_take_the_score_of_the_segment_over_their_centre() -> None:
    """Frames of 64 ms every 48 ms: centres at 32, 80, 128 ms ... A mark from 0.1 to 0.3 s, segments at 0 and 0.2 s."""
    item = replace(entry("a", marks=((0.1, 0.3),)), source="coughseg")
    score = scored("a", (0.9, 0.4), duration_s=0.5, spans_s=((0.0, 0.1), (0.2, 0.4)), uncertain=0.3)
    labels, scores, accepted = frames(recordings_of([item], [score]), "coughseg")
    centres = np.arange(0.032, 0.5 - 0.032, 0.048)
    assert np.array_equal(labels, (centres >= 0.1) & (centres < 0.3))
    expected = np.where(centres < 0.1, 0.9, np.where((centres >= 0.2) & (centres < 0.4), 0.4, 0.0))
    assert np.array_equal(scores, expected)
    assert np.array_equal(accepted, expected > 0.0)  # beside a sure cough the doubtful one counts


def test_statuses_are_shares_of_all_or_of_what_was_not_refused() -> None:
    entries = [entry(name, "street") for name in "abcd"]
    statuses = ("ok", "poor_quality", "inconclusive", "no_cough")
    scores = [scored(name, (0.1,), status=status) for name, status in zip("abcd", statuses, strict=True)]
    recordings = recordings_of(entries, scores)
    assert status_share("street", ("ok",), coughs=False)(recordings) == 0.25
    assert status_share("street", ("ok",), coughs=False, of_heard=True)(recordings) == pytest.approx(1 / 3)
    assert status_share("street", ("ok",), coughs=True)(recordings) is None


def test_twins_are_those_of_recordings_with_coughs() -> None:
    """Two of three are accepted without their coughs; against the two that never held one 5 of 6 pairs are in order."""
    entries = [entry(name, marks=((0.0, 0.4),)) for name in "abc"] + [entry("d"), entry("e"), *enough("coughseg")]
    plain = [scored(name, (0.9,)) for name in "abc"] + [scored("d", (0.3,)), scored("e", (0.1,))]
    twins = [scored(name, (score,), TWIN) for name, score in zip("abcde", (0.8, 0.6, 0.2, 0.9, 0.9), strict=True)]
    found = twin_figures([recordings_of(entries, plain + twins)], entries)
    assert found["coughseg_accepted"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["coughseg_recording_auc"] == pytest.approx(5 / 6, abs=1e-4)


def test_the_interval_of_a_share_is_the_binomials() -> None:
    """30 of 100 accepted: normal approximation 0.30 +- 0.09; 500 replicates scatter its ends by about 0.01."""
    entries = [entry(f"x/{n}", "esc10") for n in range(100)]
    recordings = recordings_of(
        entries, [scored(item.path, (0.9 if n < 30 else 0.1,)) for n, item in enumerate(entries)]
    )
    found = interval(accepted_share("esc10"), recordings)
    assert found["value"] == 0.3
    assert found["low"] == pytest.approx(0.21, abs=0.03)
    assert found["high"] == pytest.approx(0.39, abs=0.03)


def test_scores_come_back_as_written(tmp_path: Path) -> None:
    scores = [scored("a", (0.9, 0.1), snr_db=None), scored("b", (), "gain_0.1", fold=1, segments_moved=True)]
    write_scores(tmp_path / "scores.jsonl", scores)
    assert read_scores(tmp_path / "scores.jsonl") == scores
    folds = by_fold([entry("a"), entry("b")], scores)
    assert [len(fold.scores()) for fold in folds] == [1, 1]
    assert isinstance(folds[0], Recordings)
