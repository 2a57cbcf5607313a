"""From which quality on the detector can't be believed: decisions on damaged recordings, by what
`preprocess/quality.py` measures.

Only recordings of the training split, each scored by a network that has not heard its speaker: the cut-offs in
config.yml are chosen by these curves and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from training.data.dataset import Entry
from training.data.sources import mixed_sources
from training.evaluation.conditions import DAMAGES, PLAIN
from training.evaluation.scores import RecordingScores

# What each measure is, and the damage that was done to move it.
WORDS = {
    "snr_db": "SNR, dB (pink noise added)",
    "clipped_fraction": "share of clipped samples (driven 6-30 dB over full scale)",
    "bandwidth_hz": "bandwidth, Hz (band-limited)",
    "dropout_fraction": "share lost to dropouts (20 ms packets)",
}
# Measure -> the damage that moves it, edges of the bins.
CURVES: dict[str, tuple[str, tuple[float, ...]]] = {
    "snr_db": ("noise", (-np.inf, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 25.0, 30.0, np.inf)),
    "clipped_fraction": ("clipped", (-np.inf, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, np.inf)),
    "bandwidth_hz": ("band", (-np.inf, 800.0, 1100.0, 1600.0, 2100.0, 3000.0, np.inf)),
    "dropout_fraction": ("dropouts", (-np.inf, 0.01, 0.03, 0.06, 0.12, 0.25, 0.5, np.inf)),
}

# A bin is bad where either share lies this far below that of the recordings as they are, and says something only with
# so many.
TOLERANCE = 0.15
MIN_RECORDINGS = 30
_SHARES = (("sensitivity", "n_cough"), ("specificity", "n_other"))
_LOW_IS_BAD = ("snr_db", "bandwidth_hz")


def quality_curves(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> dict[str, list[dict[str, Any]]]:
    """measure -> rows of `from`, `to`, `sensitivity` (of `n_cough`), `specificity` (of `n_other`)."""
    known = _judged(entries)
    curves = {}
    for measure, (damage, edges) in CURVES.items():
        rows = [
            (value, known[score.path].is_cough, score.accepted)
            for score in scores
            if score.path in known and (score.condition == PLAIN or _family(score.condition) == damage)
            if (value := getattr(score, measure)) is not None
        ]
        curves[measure] = [_bin(rows, low, high) for low, high in pairwise(edges)]
    return curves


def undamaged(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> dict[str, Any]:
    """The same over the recordings as they are, in one row."""
    known = _judged(entries)
    plain = [score for score in scores if score.path in known and score.condition == PLAIN]
    return _bin([(0.0, known[item.path].is_cough, item.accepted) for item in plain], -np.inf, np.inf)


def cut_offs(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], reference: Mapping[str, Any]
) -> dict[str, float | None]:
    """measure -> the edge of the first bad bin, from good quality towards bad; None where none is bad."""
    found: dict[str, float | None] = {}
    for measure, rows in curves.items():
        low_is_bad = measure in _LOW_IS_BAD
        edge = None
        for row in reversed(rows) if low_is_bad else rows:
            shares = [(row[name], reference[name], row[count]) for name, count in _SHARES]
            if any(n >= MIN_RECORDINGS and share < whole - TOLERANCE for share, whole, n in shares):
                edge = row["to"] if low_is_bad else row["from"]
                break
        found[measure] = edge
    return found


def _judged(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Recordings of the training split, of sources that hold both kinds."""
    mixed = mixed_sources(entries)
    return {entry.path: entry for entry in entries if entry.split == "train" and entry.source in mixed}


def _family(condition: str) -> str | None:
    return condition.split("_", maxsplit=1)[0] if condition in DAMAGES else None


def _bin(rows: Sequence[tuple[float, bool, bool]], low: float, high: float) -> dict[str, Any]:
    coughs = [accepted for value, is_cough, accepted in rows if is_cough and low <= value < high]
    others = [accepted for value, is_cough, accepted in rows if not is_cough and low <= value < high]
    return {
        "from": None if low == -np.inf else low,
        "to": None if high == np.inf else high,
        "n_cough": len(coughs),
        "sensitivity": _share(coughs),
        "n_other": len(others),
        "specificity": _share([not other for other in others]),
    }


def _share(found: Sequence[bool]) -> float | None:
    return round(float(np.mean(found)), 4) if found else None
