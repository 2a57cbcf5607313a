"""Which of the data's sources can tell what: never pooled, since in a source of one kind only, source equals class."""

from __future__ import annotations

from collections.abc import Iterable

from training.data.dataset import Entry


def mixed_sources(entries: Iterable[Entry]) -> list[str]:
    """Return the sources, by name, that have recordings with and without coughs: they are used to judge a detector."""
    return _with_both((entry.source, entry.is_cough) for entry in entries)


def class_sources(entries: Iterable[Entry]) -> list[str]:
    """Return the sources, by name, that have both classes."""
    return _with_both((entry.source, entry.class_label == 1) for entry in entries if entry.class_label is not None)


def _with_both(pairs: Iterable[tuple[str, bool]]) -> list[str]:
    kinds: dict[str, set[bool]] = {}
    for source, kind in pairs:
        kinds.setdefault(source, set()).add(kind)
    return sorted(source for source, found in kinds.items() if len(found) == 2)
