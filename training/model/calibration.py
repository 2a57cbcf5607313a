"""Calibration and the decision thresholds, from out-of-fold predictions of the training recordings and from nothing
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from training.data.dataset import DatasetError, Entry
from training.data.examples import Examples
from training.data.sources import mixed_sources

Array = NDArray[np.float64]

# Of the recordings without coughs, this share may be accepted (by the worst of the pools, see `decide_cough`), and this
# share more may be uncertain. An answer about no cough is worse than the wish for another recording.
MAX_FALSE_RECORDINGS = 0.08
MAX_UNCERTAIN_RECORDINGS = 0.08
_MIN_POOL = 20  # of fewer recordings a share says nothing


@dataclass(frozen=True, slots=True)
class CoughDecision:
    """p = sigmoid(scale * logit + bias); see `runtime.model_facts.ModelFacts`.

    threshold: its `cough_threshold`; uncertain: its `uncertain_threshold`
    """

    scale: float
    bias: float
    threshold: float
    uncertain: float


def decide_cough(
    examples: Examples,
    entries: Sequence[Entry],
    chosen: NDArray[np.bool_],
    logits: NDArray[np.float32],
    max_false_recordings: float = MAX_FALSE_RECORDINGS,
) -> CoughDecision:
    """Calibration from the plain candidates of the sources that hold both classes (elsewhere the source gives it away);
    thresholds by recording, from the plain recordings without coughs.

    The threshold is the lowest at which each pool accepts at most `max_false_recordings`. A pool is a source, or all of
    a collection whose manifest has kinds; sneezes are left out, since they have a target of their own.
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
    pools = _without_coughs(examples, entries, chosen, logits)
    bounds = (max_false_recordings, max_false_recordings + MAX_UNCERTAIN_RECORDINGS)
    threshold, uncertain = (
        round(float(expit(scale * max(_lowest(pool, bound) for pool in pools) + bias)), 4) for bound in bounds
    )
    return CoughDecision(scale, bias, threshold, min(threshold, uncertain))


def operating_point(
    examples: Examples, entries: Sequence[Entry], logits: NDArray[np.float32], decision: CoughDecision
) -> dict[str, dict[str, float | str]]:
    """Sensitivity and false alarms by recording at the threshold, out of fold, with 95 % intervals (Wilson 1927).

    Of the sources that hold both kinds; empty where there is none.
    logits: as for `decide_cough`, of all entries
    """
    sources = mixed_sources(entries)
    highest = _highest(examples, entries, np.ones(len(entries), dtype=bool), logits)
    accepted = expit(decision.scale * highest + decision.bias) >= decision.threshold
    found: dict[str, dict[str, float | str]] = {}
    for name, is_cough in (("recording_sensitivity", True), ("recording_false_alarms", False)):
        rows = [n for n, entry in enumerate(entries) if entry.is_cough is is_cough and entry.source in sources]
        if rows:
            share = float(accepted[rows].mean())
            interval = binomtest(int(accepted[rows].sum()), len(rows)).proportion_ci(method="wilson")
            words = f"{len(rows)} recordings of {', '.join(sources)}, train split, out of fold"
            low, high = round(float(interval.low), 4), round(float(interval.high), 4)
            found[name] = {"value": round(share, 4), "low": low, "high": high, "source": words}
    return found


def _without_coughs(
    examples: Examples, entries: Sequence[Entry], chosen: NDArray[np.bool_], logits: NDArray[np.float32]
) -> list[Array]:
    """The highest logit of each recording without coughs, -inf without a candidate, by pool; all in one pool where none
    is large enough.
    """
    highest = _highest(examples, entries, chosen, logits)
    pools: dict[str, list[float]] = {}
    for entry, is_chosen, value in zip(entries, chosen, highest, strict=True):
        if is_chosen and not entry.is_cough and "sneeze" not in entry.kind:
            pools.setdefault(entry.collection if entry.has_kind else entry.source, []).append(float(value))
    large = [pool for pool in pools.values() if len(pool) >= _MIN_POOL]
    return [np.sort(pool) for pool in large or [list(chain(*pools.values()))]]


def _highest(
    examples: Examples, entries: Sequence[Entry], chosen: NDArray[np.bool_], logits: NDArray[np.float32]
) -> Array:
    """The highest logit of each chosen recording's plain candidates, -inf without one, [shape=(n entries,)]."""
    highest = np.full(len(entries), -np.inf)
    rows = np.flatnonzero(chosen[examples.entry] & (examples.variant == 0))
    np.maximum.at(highest, examples.entry[rows], logits[rows].astype(np.float64))
    return highest


def _lowest(pool: Array, bound: float) -> float:
    """The lowest logit from which on at most this share of the pool lies, half way between two neighbours.

    pool: ascending, [shape=(n,)]
    """
    accepted = int(np.floor(bound * len(pool) + 1e-9))
    if accepted >= len(pool):
        return float(pool[0])
    refused = float(pool[len(pool) - 1 - accepted])
    if not np.isfinite(refused):
        return float(pool[np.isfinite(pool)].min(initial=0.0))
    return (refused + float(pool[len(pool) - accepted])) / 2.0 if accepted else refused + 1.0


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
