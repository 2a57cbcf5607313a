"""What the network says of background twins (background_twins.py), from the cross-validation's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.data.dataset import Entry
from training.data.sources import class_sources, mixed_sources
from training.evaluation.conditions import PLAIN, TWIN
from training.evaluation.metrics import auc
from training.evaluation.scored_recordings import Recordings


def twin_figures(folds: Sequence[Recordings], entries: Sequence[Entry]) -> dict[str, Any]:
    """Means over folds.

    <source>_accepted: share of the twins of recordings with coughs that have an accepted cough all the same
    <source>_recording_auc: those twins against the recordings that never held a cough
    <source>_class_auc: class head on what is left of recordings of either class
    """
    figures: dict[str, list[float | None]] = {}
    for fold in folds:
        for source in mixed_sources(entries):
            twins = [item for entry, item in fold.of(source, TWIN) if entry.is_cough]
            never = [item for entry, item in fold.of(source, PLAIN) if not entry.is_cough]
            share = float(np.mean([twin.accepted for twin in twins])) if twins else None
            figures.setdefault(f"{source}_accepted", []).append(share)
            labels = np.array([1.0] * len(twins) + [0.0] * len(never))
            found = auc(labels, np.array([twin.score for twin in (*twins, *never)]))
            figures.setdefault(f"{source}_recording_auc", []).append(found)
        for source in class_sources(entries):
            pairs = [
                (float(entry.class_label), float(np.median(item.positive)))
                for entry, item in fold.of(source, TWIN)
                if entry.class_label is not None and item.positive
            ]
            table = np.asarray(pairs, dtype=np.float64).reshape(len(pairs), 2)
            figures.setdefault(f"{source}_class_auc", []).append(auc(table[:, 0], table[:, 1]))
    return {name: _mean(values) for name, values in figures.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
