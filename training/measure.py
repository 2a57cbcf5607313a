"""Figures of a detector on examples of one split: never pooled over sources, since in most of them source equals class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.dataset import Entry
from training.examples import Examples


def measure(
    examples: Examples,
    entries: list[Entry],
    rows: NDArray[np.int64],
    cough: NDArray[np.float32],
    positive: NDArray[np.float32],
    cough_threshold: float,
) -> dict[str, Any]:
    """Event and recording figures by source, at the given threshold.

    rows: indices of examples, [shape=(n,)]; cough, positive: probabilities of those rows, [shape=(n,)]
    """
    figures: dict[str, Any] = {"cough_threshold": cough_threshold}
    source = np.array([entries[i].source for i in examples.entry[rows]])
    label = examples.cough[rows]
    marked = (source == "coughseg") & (label >= 0)
    figures["coughseg_event_auc"] = _auc(label[marked], cough[marked])
    figures["coughseg_event_sensitivity"] = _share(cough[marked & (label == 1)] >= cough_threshold)
    figures["coughseg_event_specificity"] = _share(cough[marked & (label == 0)] < cough_threshold)
    best = _best_per_recording(examples.entry[rows], cough)
    in_coughseg = [(entries[i].is_cough, score) for i, score in best.items() if entries[i].source == "coughseg"]
    figures["coughseg_recording_auc"] = _auc(
        np.array([float(one) for one, _ in in_coughseg]), np.array([score for _, score in in_coughseg])
    )
    for name, is_cough in (("c19_call", True), ("c19_telegram", True), ("esc10", False), ("fsdd", False)):
        scores = np.array([score for i, score in best.items() if entries[i].source == name])
        figures[f"{name}_{'hit_rate' if is_cough else 'false_alarms'}"] = _share(scores >= cough_threshold)
    for name in ("c19_call", "c19_telegram"):
        figures[f"{name}_class_auc"] = _class_auc(examples, entries, rows, cough, positive, cough_threshold, name)
    return figures


def recording_medians(
    entry: NDArray[np.int64], values: NDArray[np.float32], accepted: NDArray[np.bool_]
) -> dict[int, float]:
    """Median of the accepted values of each recording that has any."""
    return {int(i): float(np.median(values[(entry == i) & accepted])) for i in np.unique(entry[accepted])}


def _class_auc(
    examples: Examples,
    entries: list[Entry],
    rows: NDArray[np.int64],
    cough: NDArray[np.float32],
    positive: NDArray[np.float32],
    threshold: float,
    source: str,
) -> float | None:
    medians = recording_medians(examples.entry[rows], positive, cough >= threshold)
    pairs = [(entries[i].class_label, score) for i, score in medians.items() if entries[i].source == source]
    return _auc(np.array([float(label or 0) for label, _ in pairs]), np.array([score for _, score in pairs]))


def _best_per_recording(entry: NDArray[np.int64], cough: NDArray[np.float32]) -> dict[int, float]:
    return {int(i): float(cough[entry == i].max()) for i in np.unique(entry)}


def _auc(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    return round(float(roc_auc_score(labels, scores)), 4) if len(np.unique(labels)) == 2 else None


def _share(hits: NDArray[np.bool_]) -> float | None:
    return round(float(hits.mean()), 4) if len(hits) else None
