"""What the model is held to (issue "A reference CNN and segmenter"): a figure, and the least or the most it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from training.evaluation.conditions import CHANNELS, GAINS

# Name of the figure in `measure.figures_of` -> what it is, whether it must be at least (">=") or at most ("<="), the
# target.
TARGETS: dict[str, tuple[str, str, float]] = {
    "coughseg_event_auc": ("cough or not, our segmenter's candidates on coughseg: AUC", ">=", 0.96),
    "coughseg_event_sensitivity": ("the same at the threshold: sensitivity", ">=", 0.92),
    "coughseg_event_specificity": ("the same at the threshold: specificity", ">=", 0.78),
    "coughseg_recording_auc": ("coughseg recordings, with coughs against without: AUC", ">=", 0.97),
    "c19_call_hit_rate": ("call-centre recordings with an accepted cough", ">=", 0.93),
    "c19_telegram_hit_rate": ("Telegram recordings with an accepted cough", ">=", 0.93),
    "esc10_false_alarms": ("ESC-10 clips with an accepted cough, sneezes left out", "<=", 0.08),
    "fsdd_false_alarms": ("spoken digits, joined to 3 s, with an accepted cough", "<=", 0.03),
    "coughseg_event_f1": ("segmenter and gate, event F1 at IoU 0.5 on hand-marked coughs", ">=", 0.87),
    "coughseg_calibration_error": ("cough head, calibration error (ECE, 10 bins)", "<=", 0.05),
    **{
        f"coughseg_segments_moved_{name}": (f"recordings whose segments move by more than a frame, {name}", "<=", 0.0)
        for name in GAINS
    },
    **{
        f"coughseg_decision_changed_{name}": (f"recordings whose decision changes, {name}", "<=", 0.0) for name in GAINS
    },
    **{
        f"coughseg_decision_changed_{name}": (f"recordings whose decision changes, {name}", "<=", 0.03)
        for name in CHANNELS
    },
}

# Reported beside them, without a target; the figures of other data have no words of their own (`words_of`).
_OTHERS: dict[str, str] = {
    "esc10_sneezes_accepted": "ESC-10 sneezes with an accepted cough",
    "c19_call_class_auc": "class head, call-centre recordings: AUC",
    "c19_telegram_class_auc": "class head, Telegram recordings: AUC",
}

# Milliseconds on one CPU core.
COSTS: dict[str, tuple[str, float]] = {
    "segment_and_quality_ms_per_s": ("segmenting and measuring quality, a second of audio", 0.3),
    "network_ms_per_cough": ("the network in ONNX Runtime, a cough", 3.0),
}


def cost_targets(costs: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """One row a cost, as `with_targets`."""
    return [
        {"name": name, "value": value, "op": "<=", "target": target, "met": None if value is None else value <= target}
        for name, (_, target) in COSTS.items()
        for value in (costs.get(name),)
    ]


def words_of(name: str) -> str:
    """Return the description of a figure."""
    return TARGETS[name][0] if name in TARGETS else _OTHERS.get(name, name.replace("_", " "))


def ordered(names: Iterable[str]) -> list[str]:
    """Return the names, those with a target first in the order of the targets."""
    known = list(names)
    return [*(target for target in TARGETS if target in known), *(item for item in known if item not in TARGETS)]


def with_targets(figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a target that the data has a figure for:

    `name`, `value`, `op`, `target`, `met` (null where the value is undefined).
    """
    rows = []
    for name, (_, op, target) in TARGETS.items():
        if name in figures:
            value = figures[name]["value"]
            met = None if value is None else value >= target if op == ">=" else value <= target
            rows.append({"name": name, "value": value, "op": op, "target": target, "met": met})
    return rows
