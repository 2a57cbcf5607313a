"""Figures with their 95 % intervals: the mean over folds, and a bootstrap over the recordings within each fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.data.dataset import Entry
from training.evaluation.metrics import Figure, figures_of
from training.evaluation.scored_recordings import Recordings

REPLICATES = 500


def figures_with_intervals(
    folds: Sequence[Recordings], entries: Sequence[Entry], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Any]:
    """name -> {"value", "low", "high", "folds"}; folds in which a figure is undefined are left out of its mean.

    entries: of the whole data, whose sources say which figures there are
    """
    figures = figures_of(entries)
    rng = np.random.default_rng(seed)
    found = {name: [figure(fold) for fold in folds] for name, figure in figures.items()}
    drawn: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(replicates):
        resampled = [fold.resampled(rng) for fold in folds]
        for name, figure in figures.items():
            value = _mean([figure(fold) for fold in resampled])
            if value is not None:
                drawn[name].append(value)
    return {name: _summary(values, drawn[name]) for name, values in found.items()}


def interval(figure: Figure, recordings: Recordings, replicates: int = REPLICATES, seed: int = 0) -> dict[str, Any]:
    """One figure of one set."""
    rng = np.random.default_rng(seed)
    drawn = [figure(recordings.resampled(rng)) for _ in range(replicates)]
    return _summary([figure(recordings)], [item for item in drawn if item is not None])


def _summary(values: Sequence[float | None], drawn: Sequence[float]) -> dict[str, Any]:
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (None, None)
    return {
        "value": _rounded(_mean(values)),
        "low": _rounded(low),
        "high": _rounded(high),
        "folds": [_rounded(value) for value in values],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
