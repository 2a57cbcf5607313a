"""Compare two ways to score the same spectrograms: the differences of scores, and the decisions that change.

The reference is the checkpoint in torch; of an ONNX file that was made elsewhere the newest ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.errors import GateError
from runtime.classify import Scores
from runtime.model_facts import ModelFacts

TOLERANCE = 1e-4  # of a probability; float32 convolutions differ by about 1e-6 between libraries
HALF_TOLERANCE = 0.02
HALF_FLIPS = 0.01  # the golden set crosses every threshold on purpose


@dataclass(frozen=True, slots=True)
class Parity:
    """what: the way that was compared; max_difference: of any probability; flips: decisions that differ; n:
    spectrograms.
    """

    what: str
    max_difference: float
    flips: int
    n: int


def decisions(scores: Scores, facts: ModelFacts) -> NDArray[np.int8]:
    """What follows from each score alone, int8 [shape=(n,)]: -2 no cough, -1 perhaps one, else 0 negative, 1 between
    the thresholds, 2 positive.
    """
    positive = scores.classes[:, -1]
    side = np.where(positive >= facts.threshold_high, 2, np.where(positive >= facts.threshold_low, 1, 0))
    without = np.where(scores.cough >= facts.uncertain_threshold, -1, -2)
    return np.where(scores.cough >= facts.cough_threshold, side, without).astype(np.int8)


def compare(expected: Scores, found: Scores, facts: ModelFacts, what: str) -> Parity:
    """Differences between two Scores of the same spectrograms. Raises: GateError where they can't be compared."""
    for ours, theirs in ((expected.cough, found.cough), (expected.classes, found.classes)):
        if ours.shape != theirs.shape:
            raise GateError(f"{what} gives scores of the shape {theirs.shape}, the reference {ours.shape}.")
        # NaN is equal to no number, and never above a tolerance.
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            raise GateError(f"{what} or the reference gives scores that are no numbers: train again.")
    difference = max(
        float(np.abs(expected.cough - found.cough).max(initial=0.0)),
        float(np.abs(expected.classes - found.classes).max(initial=0.0)),
    )
    flips = int(np.sum(decisions(expected, facts) != decisions(found, facts)))
    return Parity(what, difference, flips, len(expected.cough))


def require_parity(parity: Parity, tolerance: float = TOLERANCE, flips: float = 0.0) -> Parity:
    """flips: the share of decisions that may.

    Raises: GateError if any probability or more decisions differ than may.
    """
    if parity.max_difference > tolerance or parity.flips > flips * parity.n:
        raise GateError(
            f"{parity.what} differs from the reference by up to {parity.max_difference:.1e} and flips "
            f"{parity.flips} of "
            f"{parity.n} decisions (allowed: {tolerance:g} and {flips:.0%}), so no release was written."
        )
    return parity


def require_half_parity(parity: Parity) -> Parity:
    """For float16, whose scores move in the third decimal: a decision may flip only where a score lies that near its
    threshold.
    """
    return require_parity(parity, HALF_TOLERANCE, HALF_FLIPS)
