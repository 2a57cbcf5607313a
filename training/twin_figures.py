"""What the network says of background twins (twins.py), from the cross-validation's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.conditions import PLAIN, TWIN
from training.measure import auc
from training.recordings import Recordings


def twin_figures(folds: Sequence[Recordings]) -> dict[str, Any]:
    """Means over folds.

    coughseg_accepted: share of the twins with an accepted cough; coughseg_recording_auc: of the twins against the recordings
    that never held a cough; *_class_auc: class head on what is left of calls and voice messages
    """
    figures: dict[str, list[float | None]] = {"coughseg_accepted": [], "coughseg_recording_auc": []}
    for fold in folds:
        twins = [one for _, one in fold.of("coughseg", TWIN)]
        never = [one for entry, one in fold.of("coughseg", PLAIN) if not entry.is_cough]
        figures["coughseg_accepted"].append(float(np.mean([one.accepted for one in twins])) if twins else None)
        figures["coughseg_recording_auc"].append(
            auc(np.array([1.0] * len(twins) + [0.0] * len(never)), np.array([one.score for one in (*twins, *never)]))
        )
        for source in ("c19_call", "c19_telegram"):
            pairs = [
                (float(entry.class_label), float(np.median(one.positive)))
                for entry, one in fold.of(source, TWIN)
                if entry.class_label is not None and one.positive
            ]
            table = np.asarray(pairs, dtype=np.float64).reshape(len(pairs), 2)
            figures.setdefault(f"{source}_class_auc", []).append(auc(table[:, 0], table[:, 1]))
    return {name: _mean(values) for name, values in figures.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return round(float(np.mean(known)), 4) if known else None
