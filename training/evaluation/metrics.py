"""Figures of a detector on scored recordings: never pooled over sources, since in most of them source equals class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from training.data.dataset import Entry
from training.data.sources import class_sources, mixed_sources
from training.evaluation.conditions import CHANNELS, GAINS
from training.evaluation.scored_recordings import Recordings
from training.evaluation.scores import RecordingScores

MIN_IOU = 0.5
_FRAME_S = 0.064


Figure = Callable[[Recordings], float | None]


def auc(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve by ranks (Mann and Whitney 1947); None without both classes."""
    positive = labels > 0.5
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return None
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def events(recordings: Recordings, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Labels, probabilities and decisions of a source's candidates that the hand marks decide; [shape=(n,)] each."""
    rows = [
        (label, cough, is_cough)
        for _, scores in recordings.of(source)
        for label, cough, is_cough in zip(scores.labels, scores.cough, scores.coughs, strict=True)
        if label >= 0.0
    ]
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), 3)
    return table[:, 0], table[:, 1], table[:, 2] > 0.5


def event_auc(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, scores, _ = events(recordings, source)
        return auc(labels, scores)

    return figure


def event_sensitivity(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, _, accepted = events(recordings, source)
        return _mean(accepted[labels == 1.0])

    return figure


def event_specificity(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, _, accepted = events(recordings, source)
        return _mean(~accepted[labels == 0.0])

    return figure


def recording_auc(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        pairs = [(float(entry.is_cough), scores.score) for entry, scores in recordings.of(source)]
        return auc(*np.asarray(pairs, dtype=np.float64).reshape(len(pairs), 2).T)

    return figure


def accepted_share(source: str, *, coughs: bool | None = None, sneezes: bool | None = None) -> Figure:
    """Share of a source's recordings with an accepted cough.

    coughs, sneezes: only recordings of those (True), without them (False)
    """

    def figure(recordings: Recordings) -> float | None:
        return _mean(
            [
                scores.accepted
                for entry, scores in recordings.of(source)
                if coughs in (None, entry.is_cough) and sneezes in (None, "sneeze" in entry.kind)
            ]
        )

    return figure


def status_share(source: str, statuses: Sequence[str], *, coughs: bool, of_heard: bool = False) -> Figure:
    """Share of a source's recordings with one of these statuses, as serving would say.

    coughs: of the recordings with coughs, or of those without (sneezes left out)
    of_heard: of those that are not refused for their quality
    """

    def figure(recordings: Recordings) -> float | None:
        found = [
            scores.status
            for entry, scores in recordings.of(source)
            if entry.is_cough is coughs and (coughs or "sneeze" not in entry.kind)
        ]
        return _mean([status in statuses for status in found if not of_heard or status != "poor_quality"])

    return figure


def frames(recordings: Recordings, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Labels, scores and decisions of frames of 64 ms that overlap by a quarter, [shape=(n,)] each.

    The measure of Sharan (Biomed. Signal Process. Control 82, 2023, 104580) on the same material: a frame is cough if
    its centre is marked; its score is that of the candidate over its centre, 0 where there is none.
    """
    labels, scores, accepted = [], [], []
    for entry, found in recordings.of(source):
        centres = np.arange(_FRAME_S / 2, found.duration_s - _FRAME_S / 2, _FRAME_S * 0.75)
        label, score, is_accepted = np.zeros((3, len(centres)))
        for start_s, end_s in entry.marks or ():
            label[(centres >= start_s) & (centres < end_s)] = 1.0
        for (start_s, end_s), cough, is_cough in zip(found.spans_s, found.cough, found.coughs, strict=True):
            within = (centres >= start_s) & (centres < end_s)
            score[within], is_accepted[within] = cough, is_cough
        labels.append(label)
        scores.append(score)
        accepted.append(is_accepted > 0.5)
    if not labels:
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_)
    return np.concatenate(labels), np.concatenate(scores), np.concatenate(accepted)


def frame_auc(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, scores, _ = frames(recordings, source)
        return auc(labels, scores)

    return figure


def frame_accuracy(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, _, accepted = frames(recordings, source)
        return _mean(accepted == (labels > 0.5))

    return figure


def frame_sensitivity(source: str) -> Figure:
    def figure(recordings: Recordings) -> float | None:
        labels, _, accepted = frames(recordings, source)
        return _mean(accepted[labels > 0.5])

    return figure


def event_f1(source: str) -> Figure:
    """2 TP / (2 TP + FP + FN) of accepted segments against hand-marked coughs, in a source's marked recordings."""

    def figure(recordings: Recordings) -> float | None:
        counts = [
            matches(entry.marks, accepted_spans(scores))
            for entry, scores in recordings.of(source)
            if entry.is_cough and entry.marks is not None
        ]
        hits, proposed, marked = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
        return 2.0 * hits / (proposed + marked) if proposed + marked else None

    return figure


def accepted_spans(scores: RecordingScores) -> list[tuple[float, float]]:
    return [span for span, is_cough in zip(scores.spans_s, scores.coughs, strict=True) if is_cough]


def matches(marks: Sequence[tuple[float, float]], spans: Sequence[tuple[float, float]]) -> tuple[int, int, int]:
    """Hits, spans and marks: pairs of intersection over union of at least MIN_IOU, the best first, each used once."""
    pairs = []
    for i, (start, end) in enumerate(spans):
        for j, mark in enumerate(marks):
            overlap = min(end, mark[1]) - max(start, mark[0])
            union = max(end, mark[1]) - min(start, mark[0])
            if overlap > 0.0 and overlap >= MIN_IOU * union:
                pairs.append((overlap / union, i, j))
    used_spans: set[int] = set()
    used_marks: set[int] = set()
    for _, i, j in sorted(pairs, reverse=True):
        if i not in used_spans and j not in used_marks:
            used_spans.add(i)
            used_marks.add(j)
    return len(used_spans), len(spans), len(marks)


def calibration_error(source: str) -> Figure:
    """Expected calibration error of the cough head over a source's candidates, 10 equal bins (Naeini et al. 2015)."""

    def figure(recordings: Recordings) -> float | None:
        labels, scores, _ = events(recordings, source)
        return calibration_error_of(labels, scores) if len(labels) else None

    return figure


def calibration_error_of(labels: NDArray[np.float64], scores: NDArray[np.float64], bins: int = 10) -> float:
    index = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(float(np.sum(labels[index == i] - scores[index == i]))) for i in range(bins)]
    return sum(gaps) / len(labels)


def changed_share(source: str, condition: str) -> Figure:
    """Share of a source's recordings whose "has an accepted cough" is not what it is for the plain recording."""

    def figure(recordings: Recordings) -> float | None:
        plain = recordings.of(source)
        changed = recordings.of(source, condition)
        return (
            _mean([a.accepted != b.accepted for (_, a), (_, b) in zip(plain, changed, strict=True)])
            if changed
            else None
        )

    return figure


def moved_share(source: str, condition: str) -> Figure:
    """Share of a source's recordings with a segment that moved by more than a frame, appeared or vanished."""

    def figure(recordings: Recordings) -> float | None:
        return _mean([scores.segments_moved for _, scores in recordings.of(source, condition)])

    return figure


def class_auc(source: str) -> Figure:
    """Class head over a source's recordings: the median over accepted coughs, as the diagnosis takes it."""

    def figure(recordings: Recordings) -> float | None:
        pairs = []
        for entry, scores in recordings.of(source):
            positive = [p for p, is_cough in zip(scores.positive, scores.coughs, strict=True) if is_cough]
            if positive and entry.class_label is not None:
                pairs.append((float(entry.class_label), float(np.median(positive))))
        return auc(*np.asarray(pairs, dtype=np.float64).reshape(len(pairs), 2).T)

    return figure


def figures_of(entries: Sequence[Entry]) -> dict[str, Figure]:
    """name -> figure, for every source of the data and what it can tell:

    `<source>_event_auc`, `<source>_hit_rate`, ...
    """
    figures: dict[str, Figure] = {}
    mixed = mixed_sources(entries)
    for source in mixed:
        figures |= {
            f"{source}_event_auc": event_auc(source),
            f"{source}_event_sensitivity": event_sensitivity(source),
            f"{source}_event_specificity": event_specificity(source),
            f"{source}_recording_auc": recording_auc(source),
            f"{source}_event_f1": event_f1(source),
            f"{source}_calibration_error": calibration_error(source),
            f"{source}_frame_auc": frame_auc(source),
            f"{source}_frame_accuracy": frame_accuracy(source),
            f"{source}_frame_sensitivity": frame_sensitivity(source),
            **recording_figures(source, coughs=True, others=True),
            **{f"{source}_segments_moved_{name}": moved_share(source, name) for name in GAINS},
            **{f"{source}_decision_changed_{name}": changed_share(source, name) for name in (*GAINS, *CHANNELS)},
        }
    for source in sorted({entry.group for entry in entries} - set(mixed)):
        of_source = [entry for entry in entries if entry.group == source]
        others = [entry for entry in of_source if not entry.is_cough]
        figures |= recording_figures(source, coughs=len(others) < len(of_source), others=bool(others))
        if any("sneeze" in item.kind for item in others):
            figures[f"{source}_sneezes_accepted"] = accepted_share(source, coughs=False, sneezes=True)
    return figures | {f"{source}_class_auc": class_auc(source) for source in class_sources(entries)}


def recording_figures(source: str, *, coughs: bool, others: bool) -> dict[str, Figure]:
    """Decisions by recording, of those with coughs and of those without."""
    figures: dict[str, Figure] = {}
    if coughs:
        figures |= {
            f"{source}_hit_rate": accepted_share(source, coughs=True),
            f"{source}_inconclusive_with_coughs": status_share(source, ("inconclusive",), coughs=True),
        }
    if others:
        figures |= {
            f"{source}_false_alarms": accepted_share(source, coughs=False, sneezes=False),
            f"{source}_false_alarms_of_heard": status_share(source, ("ok",), coughs=False, of_heard=True),
            f"{source}_inconclusive_without": status_share(source, ("inconclusive",), coughs=False),
            f"{source}_poor_quality_without": status_share(source, ("poor_quality",), coughs=False),
        }
    return figures


def accepted_by_group(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> dict[str, dict[str, Any]]:
    """group -> {"recordings", "accepted"}: shares of the recordings without coughs in which one is accepted."""
    known = {entry.path: entry for entry in entries if not entry.is_cough}
    found: dict[str, list[bool]] = {}
    for score in scores:
        if score.path in known:
            found.setdefault(known[score.path].group, []).append(score.accepted)
    return {
        group: {"recordings": len(accepted), "accepted": round(float(np.mean(accepted)), 4)}
        for group, accepted in sorted(found.items())
    }


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return float(np.mean(values)) if len(values) else None
