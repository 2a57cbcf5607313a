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
        self.entries = [entry for entry in entries if entry.path in scores]
        self._scores = scores

    def of(self, source: str, condition: str = PLAIN) -> list[tuple[Entry, RecordingScores]]:
        """Of a source, or of a group of recordings."""
        return [
            (entry, self._scores[entry.path][condition])
            for entry in self.entries
            if source in (entry.source, entry.group) and condition in self._scores[entry.path]
        ]

    def scores(self) -> list[RecordingScores]:
        return [score for entry in self.entries for score in self._scores[entry.path].values()]

    def resampled(self, rng: np.random.Generator) -> Recordings:
        """As many recordings of each source, drawn with replacement (Efron and Tibshirani 1993)."""
        drawn: list[Entry] = []
        for source in sorted({entry.source for entry in self.entries}):
            group = [entry for entry in self.entries if entry.source == source]
            drawn += [group[i] for i in rng.integers(0, len(group), len(group))]
        return Recordings(drawn, self._scores)


def recordings_of(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> Recordings:
    by_path: dict[str, dict[str, RecordingScores]] = {}
    for score in scores:
        by_path.setdefault(score.path, {})[score.condition] = score
    return Recordings(entries, by_path)


def by_fold(entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> list[Recordings]:
    """In the order of the folds."""
    folds = sorted({score.fold for score in scores})
    return [recordings_of(entries, [score for score in scores if score.fold == fold]) for fold in folds]
