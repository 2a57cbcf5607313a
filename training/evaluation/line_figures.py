"""Figures of recordings on disturbed lines (training/data/lines.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.config import ROOT
from training.data.lines import DEVELOPED_ON, FAMILIES

if TYPE_CHECKING:
    from training.evaluation.scores import LineScores

BASELINE = ROOT / "models" / "STRESS.json"
UNDISTURBED = "undisturbed"
NEED_MATERIAL = ("prompt", "music")
BEEPS_AND_HUM = ("tone", "call_progress", "dtmf", "hum_50", "hum_60")  # what recordings without coughs are put on
# What is asked for in each family: at least, at most, at least.
MIN_OK, MAX_NO_COUGH, MIN_KEPT = 0.95, 0.02, 0.92
_STATUSES = ("ok", "no_cough", "poor_quality", "inconclusive")
_REPLICATES = 500
_KEPT_SHARE = 0.5  # a cough is kept where accepted candidates cover so much of it


def is_covered(span_s: tuple[float, float], spans_s: Sequence[tuple[float, float]]) -> bool:
    """Whether half of a span or more lies within the others."""
    start_s, end_s = span_s
    overlap = sum(max(0.0, min(end_s, end) - max(start_s, start)) for start, end in spans_s)
    return overlap >= _KEPT_SHARE * (end_s - start_s)


def denominator() -> frozenset[str]:
    """The recordings that are judged on lines: those that commit 591a891 calls `ok` undisturbed."""
    known = json.loads(BASELINE.read_text(encoding="utf-8"))["recordings"] if BASELINE.is_file() else ()
    return frozenset(known)


def baseline() -> dict[str, Any]:
    """family -> figures of commit 591a891 on the same draws; its network has heard four fifths of the recordings."""
    return dict(json.loads(BASELINE.read_text(encoding="utf-8"))["families"]) if BASELINE.is_file() else {}


def figures_by_family(scores: Sequence[LineScores]) -> dict[str, dict[str, Any]]:
    """family -> `recordings`, and `value`, `low`, `high` of the share of each status and of the `coughs_kept`.

    scores: of recordings with coughs, or of recordings without; 95 % intervals by a bootstrap over recordings
    """
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, Any]] = {}
    for family in (UNDISTURBED, *FAMILIES):
        rows = [score for score in scores if score.family == family]
        if rows:
            table = np.array(
                [[*(score.status == status for status in _STATUSES), score.coughs, score.kept] for score in rows],
                dtype=np.float64,
            )
            values = _shares(table)
            drawn = np.array([_shares(table[rng.integers(0, len(rows), len(rows))]) for _ in range(_REPLICATES)])
            low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
            names = (*_STATUSES, "coughs_kept")
            found[family] = {
                "role": _role(family),
                "recordings": len(rows),
                **{
                    name: {"value": round(float(a), 4), "low": round(float(b), 4), "high": round(float(c), 4)}
                    for name, a, b, c in zip(names, values, low, high, strict=True)
                },
            }
    return found


def _shares(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.append(table[:, : len(_STATUSES)].mean(axis=0), table[:, -1].sum() / max(1.0, table[:, -2].sum()))


def _role(family: str) -> str:
    return UNDISTURBED if family == UNDISTURBED else "developed on" if family in DEVELOPED_ON else "only judges"
