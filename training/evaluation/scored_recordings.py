"""Scores by recording, so that recordings can be resampled, and by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.data.dataset import Entry
from training.evaluation.conditions import PLAIN
from training.evaluation.scores import RecordingScores


class Recordings:
    """One fold's or split's scores: each recording once, with all its conditions, so that recordings can be
    resampled.
    """

    def __init__(self, entries: Sequence[Entry], scores: Mapping[str, Mapping[str, RecordingScores]]) -> None:
        """scores: path -> condition -> scores"""
        self.entries = [one for one in entries if one.path in scores]
        self._scores = scores

    def of(self, source: str, condition: str = PLAIN) -> list[tuple[Entry, RecordingScores]]:
        return [
            (one, self._scores[one.path][condition])
            for one in self.entries
            if one.source == source and condition in self._scores[one.path]
        ]

    def scores(self) -> list[RecordingScores]:
        return [one for entry in self.entries for one in self._scores[entry.path].values()]

    def resampled(self, rng: np.random.Generator) -> Recordings:
        """As many recordings of each source, drawn with replacement (Efron and Tibshirani 1993)."""
        drawn: list[Entry] = []
        for source in sorted({one.source for one in self.entries}):
            group = [one for one in self.entries if one.source == source]
            drawn += [group[i] for i in rng.integers(0, len(group), len(group))]
        return Recordings(drawn, self._scores)


def recordings_of(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> Recordings:
    by_path: dict[str, dict[str, RecordingScores]] = {}
    for one in scores:
        by_path.setdefault(one.path, {})[one.condition] = one
    return Recordings(entries, by_path)


def by_fold(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> list[Recordings]:
    """In the order of the folds."""
    folds = sorted({one.fold for one in scores})
    return [recordings_of(entries, [one for one in scores if one.fold == fold]) for fold in folds]
