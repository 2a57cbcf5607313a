"""Draw `models/report/`:

ROC, precision and recall, reliability, confusion per source, quality curves, and the worst mistakes.

Out-of-fold scores of the cross-validation where there are any, else the shipped checkpoint's on the validation split.
The page of mistakes shows recordings of people, so the folder stays out of git.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from training.data.dataset import Entry
from training.data.sources import mixed_sources
from training.evaluation.conditions import PLAIN
from training.evaluation.metrics import events
from training.evaluation.quality_curves import WORDS
from training.evaluation.scored_recordings import Recordings, recordings_of
from training.evaluation.scores import RecordingScores
from training.reporting.mistakes import draw_mistakes

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]  # source -> labels and probabilities of its candidates

_STYLES = ("-", "--", "-.")
_SOURCES = {
    "coughseg": "CoughSegmentation",
    "c19_call": "call centre",
    "c19_telegram": "Telegram",
    "esc10": "ESC-10",
    "fsdd": "spoken digits",
}


def draw_report(
    folder: Path, entries: Sequence[Entry], scores: Sequence[RecordingScores], metrics: Mapping[str, Any]
) -> None:
    """Six PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings = recordings_of(entries, scores)
    found = {source: events(recordings, source)[:2] for source in mixed_sources(entries)}
    curves = {source: pair for source, pair in found.items() if len(np.unique(pair[0])) == 2}
    if curves:
        _draw_roc(folder / "roc.png", curves)
        _draw_precision_recall(folder / "precision_recall.png", curves)
        _draw_reliability(folder / "reliability.png", curves)
    if recordings.entries:
        _draw_confusion(folder / "confusion.png", recordings)
    if "crossval" in metrics:
        _draw_quality(folder / "quality.png", metrics["crossval"]["quality_curves"])
    draw_mistakes(folder / "mistakes.png", entries, [score for score in scores if score.condition == PLAIN])


def _draw_roc(path: Path, curves: Curves) -> None:
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    for (source, (labels, probabilities)), style in zip(curves.items(), cycle(_STYLES), strict=False):
        false_rate, true_rate, _ = roc_curve(labels, probabilities)
        axes.plot(false_rate, true_rate, style, color="black", label=source)
    axes.plot([0, 1], [0, 1], ":", color="gray")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="Candidates: ROC", aspect="equal")
    axes.legend(loc="lower right")
    _save(figure, path)


def _draw_precision_recall(path: Path, curves: Curves) -> None:
    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    for (source, (labels, probabilities)), style in zip(curves.items(), cycle(_STYLES), strict=False):
        precision, recall, _ = precision_recall_curve(labels, probabilities)
        axes.plot(recall, precision, style, color="black", label=source)
        axes.axhline(float(labels.mean()), linestyle=":", color="gray")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Candidates: precision and recall")
    axes.legend(loc="lower left")
    _save(figure, path)


def _draw_reliability(path: Path, curves: Curves) -> None:
    figure, (axes, counts) = plt.subplots(2, 1, figsize=(5, 6), height_ratios=(3, 1), sharex=True, layout="constrained")
    axes.plot([0, 1], [0, 1], ":", color="gray")
    for (source, (labels, probabilities)), style in zip(curves.items(), cycle(_STYLES), strict=False):
        bins = np.minimum((probabilities * 10).astype(int), 9)
        used = [i for i in range(10) if np.any(bins == i)]
        means = [probabilities[bins == i].mean() for i in used], [labels[bins == i].mean() for i in used]
        axes.plot(*means, f"o{style}", color="black", label=source)
        counts.step(
            [i / 10 + 0.05 for i in range(10)], [int(np.sum(bins == i)) for i in range(10)], where="mid", color="gray"
        )
    axes.set(ylabel="share that are coughs", title="Cough head: reliability")
    axes.legend(loc="upper left")
    counts.set(xlabel="cough probability", ylabel="candidates", xlim=(0, 1))
    _save(figure, path)


def _draw_confusion(path: Path, recordings: Recordings) -> None:
    """Recordings with an accepted cough and without, by source and by what they hold."""
    rows = []
    for source in sorted({entry.source for entry in recordings.entries}):
        words = _SOURCES.get(source, source)
        for is_cough in (True, False):
            found = [item.accepted for entry, item in recordings.of(source) if entry.is_cough is is_cough]
            if found:
                rows.append((f"{words}, {'cough' if is_cough else 'no cough'}", sum(found), len(found) - sum(found)))
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(rows) + 1.2), layout="constrained")
    axes.imshow([[a / (a + b), b / (a + b)] for _, a, b in rows], cmap="Greys", vmin=0, vmax=1.4, aspect="auto")
    axes.set_xticks([0, 1], ["accepted", "not accepted"])
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    for y, (_, accepted, other) in enumerate(rows):
        for x, count in enumerate((accepted, other)):
            axes.text(x, y, str(count), ha="center", va="center")
    axes.set_title("Recordings, scored by a network that has not heard them")
    _save(figure, path)


def _draw_quality(path: Path, curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    figure, grid = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axes, (measure, rows) in zip(grid.flat, curves.items(), strict=True):
        names = [_range(row) for row in rows]
        axes.plot(
            names, [_number(row["sensitivity"]) for row in rows], "o-", color="black", label="with coughs: accepted"
        )
        axes.plot(
            names, [_number(row["specificity"]) for row in rows], "s--", color="gray", label="without: not accepted"
        )
        axes.set(ylim=(0, 1.05), xlabel=WORDS[measure], ylabel="share of recordings")
        axes.tick_params(axis="x", rotation=45)
        axes.grid(alpha=0.3)
    grid.flat[0].legend(loc="lower right")
    figure.suptitle("Training split, damaged on purpose: right decisions by measured quality")
    _save(figure, path)


def _range(row: Mapping[str, Any]) -> str:
    low, high = row["from"], row["to"]
    return f"< {high:g}" if low is None else f">= {low:g}" if high is None else f"{low:g}-{high:g}"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110)
    plt.close(figure)
