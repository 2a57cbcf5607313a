"""Calibration and the decision thresholds, from out-of-fold predictions of the training recordings and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.dataset import Entry
from training.examples import Examples

Array = NDArray[np.float64]

# Of the hand-marked coughs that the segmenter proposes, this share is to be accepted. A caller whose cough is missed has to
# call again; one whose sneeze is taken for a cough gets an answer about nothing. Out of fold it lies a little lower.
SENSITIVITY = 0.94


@dataclass(frozen=True, slots=True)
class CoughDecision:
    """p = sigmoid(scale * logit + bias); a candidate is a cough from `threshold` on."""

    scale: float
    bias: float
    threshold: float


def decide_cough(
    examples: Examples, entries: Sequence[Entry], chosen: NDArray[np.bool_], logits: NDArray[np.float32]
) -> CoughDecision:
    """From the plain, undistorted candidates of the sources that hold both classes: elsewhere the source gives it away.

    chosen: bool [shape=(n entries,)]; logits: out of fold, of every example [shape=(n,)], NaN where there is none
    """
    both = _sources_with_both(entries, chosen)
    source = np.array([one.source for one in entries])
    rows = (chosen & np.isin(source, both))[examples.entry] & (examples.variant == 0) & (examples.cough >= 0.0)
    labels, found = examples.cough[rows].astype(np.float64), logits[rows].astype(np.float64)
    scale, bias = fit_calibration(found, labels)
    coughs = np.sort(found[labels == 1.0])
    # Half way below the last cough that is to be accepted, so that rounding can't lose it.
    place = int(np.floor((1.0 - SENSITIVITY) * len(coughs)))
    border = coughs[place] if place == 0 else (coughs[place - 1] + coughs[place]) / 2.0
    return CoughDecision(scale, bias, round(float(1.0 / (1.0 + np.exp(-(scale * border + bias)))), 4))


def fit_calibration(logits: Array, labels: Array) -> tuple[float, float]:
    """Platt scaling (1999): (scale, bias) such that sigmoid(scale * logit + bias) is the probability of a cough.

    logits, labels: [shape=(n,)]
    """
    model = LogisticRegression(C=1e6).fit(logits[:, None], labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_threshold(scores: Array, labels: Array) -> float:
    """The threshold with the highest balanced accuracy (Youden's J); half way between two neighbouring scores."""
    order = np.argsort(-scores)
    ranked, positive = scores[order], labels[order] > 0.5
    true_rate = np.cumsum(positive) / max(1, int(positive.sum()))
    false_rate = np.cumsum(~positive) / max(1, int((~positive).sum()))
    best = int(np.argmax(true_rate - false_rate))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)


def recording_medians(
    entry: NDArray[np.int64], values: NDArray[np.float32], accepted: NDArray[np.bool_]
) -> dict[int, float]:
    """Median of the accepted values of each recording that has any."""
    return {int(i): float(np.median(values[(entry == i) & accepted])) for i in np.unique(entry[accepted])}


def _sources_with_both(entries: Sequence[Entry], chosen: NDArray[np.bool_]) -> list[str]:
    """Sources that hold recordings with coughs and without; all, where none does."""
    kinds: dict[str, set[bool]] = {}
    for entry, is_chosen in zip(entries, chosen, strict=True):
        if is_chosen:
            kinds.setdefault(entry.source, set()).add(entry.is_cough)
    both = sorted(source for source, found in kinds.items() if len(found) == 2)
    return both or sorted(kinds)
