"""Which of the data's sources can tell what: never pooled, since in a source of one kind only, source equals class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Entry, folds_by_subject

# A source judges a detector if it has so many recordings with coughs and so many without: one of 20 is 5 %. A figure
# over two coughs would say nothing.
MIN_OF_EACH = 20


def mixed_sources(entries: Iterable[Entry], minimum: int = MIN_OF_EACH) -> list[str]:
    """Return the sources, by name, that have `minimum` recordings with coughs and as many without: they are used to
    judge a detector.
    """
    return _with_both(((entry.source, entry.is_cough) for entry in entries), minimum)


def class_sources(entries: Iterable[Entry]) -> list[str]:
    """Return the sources, by name, that have both classes."""
    return _with_both((entry.source, entry.class_label == 1) for entry in entries if entry.class_label is not None)


def folds_by_source(entries: Sequence[Entry], n_folds: int) -> NDArray[np.int64]:
    """As `folds_by_subject`, but where the manifest has kinds, all of a source in one fold, [shape=(len(entries),)].

    What is in a fold then comes from places that the others have nothing of. Sources are dealt out by size.
    """
    folds = folds_by_subject(entries, n_folds)
    sizes = Counter(entry.source for entry in entries if entry.has_kind)
    ranked = sorted(sizes, key=lambda source: (-sizes[source], hashlib.sha256(source.encode()).hexdigest()))
    fold_of = {source: rank % n_folds for rank, source in enumerate(ranked)}
    return np.array(
        [
            fold_of.get(entry.source, fold) if entry.has_kind else fold
            for entry, fold in zip(entries, folds, strict=True)
        ]
    )


def _with_both(pairs: Iterable[tuple[str, bool]], minimum: int = 1) -> list[str]:
    counts = Counter(pairs)
    sources = {source for source, _ in counts}
    return sorted(source for source in sources if min(counts[source, True], counts[source, False]) >= minimum)
