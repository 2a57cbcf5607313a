"""What the model is held to: a figure, and the least or the most it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from training.evaluation.conditions import CHANNELS, GAINS

# Of the hard negatives, kinds with 30 clips of 20 subjects or more have a target.
HARDNEG_KINDS = {
    "speech": 0.03,
    "laughter": 0.10,
    "breath": 0.10,
    "cry": 0.05,
    "animal": 0.05,
    "knock": 0.05,
    "tone": 0.05,
    "noise": 0.05,
    "other": 0.05,
}

# Name of the figure in `metrics.figures_of` -> what it is, whether it must be at least (">=") or at most ("<="), the
# target.
TARGETS: dict[str, tuple[str, str, float]] = {
    "coughseg_false_alarms": ("COUGHVID recordings without a cough in which one is accepted", "<=", 0.08),
    **{
        f"hardneg_{kind}_false_alarms": (f"hard negatives, {kind}: clips with an accepted cough", "<=", target)
        for kind, target in HARDNEG_KINDS.items()
    },
    "coughseg_hit_rate": ("COUGHVID recordings with an accepted cough", ">=", 0.98),
    "c19_telegram_hit_rate": ("Telegram recordings with an accepted cough", ">=", 0.97),
    "c19_call_hit_rate": ("call-centre recordings with an accepted cough", ">=", 0.94),
    "coughseg_event_auc": ("cough or not, our segmenter's candidates on coughseg: AUC", ">=", 0.985),
    "coughseg_event_f1": ("segmenter and gate, event F1 at IoU 0.5 on hand-marked coughs", ">=", 0.90),
    "coughseg_frame_auc": ("frames of 64 ms, 25 % overlap: AUC", ">=", 0.985),
    "coughseg_frame_accuracy": ("the same at the threshold: accuracy", ">=", 0.955),
    "coughseg_frame_sensitivity": ("the same at the threshold: sensitivity", ">=", 0.94),
    "esc10_sneezes_accepted": ("ESC-10 sneezes with an accepted cough", "<=", 0.25),
    "fsdd_false_alarms": ("spoken digits, joined to 3 s, with an accepted cough", "<=", 0.02),
    "esc10_false_alarms": ("ESC-10 clips with an accepted cough, sneezes left out", "<=", 0.08),
    "coughseg_calibration_error": ("cough head, calibration error (ECE, 10 bins)", "<=", 0.04),
    **{
        f"{source}_inconclusive_with_coughs": (f"{name} with coughs that are inconclusive", "<=", 0.05)
        for source, name in (("coughseg", "COUGHVID"), ("c19_telegram", "Telegram"), ("c19_call", "call-centre"))
    },
    "coughseg_inconclusive_without": ("COUGHVID recordings without a cough that are inconclusive", "<=", 0.10),
    **{
        f"coughseg_segments_moved_{name}": (f"recordings whose segments move by more than a frame, {name}", "<=", 0.0)
        for name in GAINS
    },
    **{
        f"coughseg_decision_changed_{name}": (f"recordings whose decision changes, {name}", "<=", 0.0) for name in GAINS
    },
    **{
        f"coughseg_decision_changed_{name}": (f"recordings whose decision changes, {name}", "<=", 0.02)
        for name in CHANNELS
    },
}

# Reported beside them, without a target; the figures of other data have no words of their own (`words_of`).
_OTHERS: dict[str, str] = {
    "coughseg_event_sensitivity": "candidates at the threshold: sensitivity",
    "coughseg_event_specificity": "candidates at the threshold: specificity",
    "coughseg_recording_auc": "coughseg recordings, with coughs against without: AUC",
    "c19_call_class_auc": "class head, call-centre recordings: AUC",
    "c19_telegram_class_auc": "class head, Telegram recordings: AUC",
}

_ENDINGS: dict[str, str] = {
    "_hit_rate": "recordings with an accepted cough",
    "_false_alarms": "recordings without a cough in which one is accepted",
    "_false_alarms_of_heard": "the same, `ok` of those not refused for quality",
    "_inconclusive_with_coughs": "with coughs, inconclusive",
    "_inconclusive_without": "without a cough, inconclusive",
    "_poor_quality_without": "without a cough, refused for quality",
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
    if name in TARGETS:
        return TARGETS[name][0]
    for ending, words in _ENDINGS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending)}: {words}"
    return _OTHERS.get(name, name.replace("_", " "))


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
