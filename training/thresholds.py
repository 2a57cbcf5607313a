"""Choose the decision thresholds and the calibration from out-of-fold predictions of the training split, and from nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]


def fit_calibration(logits: Array, labels: Array, weights: Array) -> tuple[float, float]:
    """Platt scaling (1999): (scale, bias) such that sigmoid(scale * logit + bias) is the probability of a cough.

    logits, labels, weights: [shape=(n,)]
    """
    model = LogisticRegression(C=1e6).fit(logits[:, None], labels, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_threshold(scores: Array, labels: Array, weights: Array) -> float:
    """The threshold with the highest balanced accuracy (Youden's J); half way between two neighbouring scores."""
    order = np.argsort(-scores)
    ranked, positive = scores[order], labels[order] > 0.5
    true_rate = np.cumsum(weights[order] * positive) / np.sum(weights[order] * positive)
    false_rate = np.cumsum(weights[order] * ~positive) / np.sum(weights[order] * ~positive)
    best = int(np.argmax(true_rate - false_rate))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)
