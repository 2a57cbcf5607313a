"""Calibration and the decision thresholds, from out-of-fold predictions of the training recordings and from nothing
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.data.dataset import DatasetError, Entry
from training.data.examples import Examples
from training.data.sources import mixed_sources

Array = NDArray[np.float64]

# Of the hand-marked coughs that the segmenter proposes, this share is to be accepted. A caller whose cough is missed
# has to call again; one whose sneeze is taken for a cough gets an answer about nothing. Out of fold it lies a little
# lower.
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

    Raises: DatasetError where there is nothing of a kind to choose a threshold by.
    chosen: bool [shape=(n entries,)]; logits: out of fold, of every example [shape=(n,)], NaN where there is none
    """
    of_training = [item for item, is_chosen in zip(entries, chosen, strict=True) if is_chosen]
    both = mixed_sources(of_training) or sorted({item.source for item in of_training})
    source = np.array([entry.source for entry in entries])
    rows = (chosen & np.isin(source, both))[examples.entry] & (examples.variant == 0) & (examples.cough >= 0.0)
    labels, found = examples.cough[rows].astype(np.float64), logits[rows].astype(np.float64)
    for is_cough, name in ((1.0, "cough"), (0.0, "anything else")):
        if not (labels == is_cough).any():
            raise DatasetError(
                f"the segmenter proposes no candidate that is {name} in {', '.join(both)}, so there is no threshold "
                "to choose: "
                "add recordings, or mark the coughs in segments.csv."
            )
    scale, bias = fit_calibration(found, labels)
    coughs = np.sort(found[labels == 1.0])
    # Half way below the last cough that is to be accepted, so that rounding can't lose it.
    place = int(np.floor((1.0 - SENSITIVITY) * len(coughs)))
    border = coughs[place] if place == 0 else (coughs[place - 1] + coughs[place]) / 2.0
    return CoughDecision(scale, bias, round(float(expit(scale * border + bias)), 4))


def fit_calibration(logits: Array, labels: Array) -> tuple[float, float]:
    """Platt scaling (1999): (scale, bias) such that sigmoid(scale * logit + bias) is the probability of a cough.

    logits, labels: [shape=(n,)]
    """
    model = LogisticRegression(C=1e6).fit(logits[:, None], labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_threshold(scores: Array, labels: Array, source: NDArray[np.str_]) -> float:
    """The threshold with the highest balanced accuracy (Youden's J) on average over the sources that hold both labels.

    Half way between two neighbouring scores; 0.5 where no source holds both. scores, labels, source: [shape=(n,)]
    """
    sources = [item for item in np.unique(source) if len(np.unique(labels[source == item])) == 2]
    used = np.isin(source, sources)
    if not used.any():
        return 0.5
    ranked = np.unique(scores[used])
    borders = np.r_[(ranked[1:] + ranked[:-1]) / 2.0, ranked[-1]] if len(ranked) > 1 else ranked

    def benefit(border: float) -> float:
        found = []
        for item in sources:
            rows = source == item
            accepted, positive = scores[rows] >= border, labels[rows] > 0.5
            found.append(float(accepted[positive].mean() - accepted[~positive].mean()))
        return float(np.mean(found))

    return float(max(borders, key=benefit))


def recording_medians(
    entry: NDArray[np.int64], values: NDArray[np.float32], accepted: NDArray[np.bool_]
) -> dict[int, float]:
    """Median of the accepted values of each recording that has any."""
    return {int(i): float(np.median(values[(entry == i) & accepted])) for i in np.unique(entry[accepted])}
