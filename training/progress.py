"""Progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tqdm import tqdm


def bar(title: str) -> Callable[[Iterable[int], int], Iterable[int]]:
    """A progress bar over an iterable of known length."""

    def wrap(items: Iterable[int], total: int) -> Iterable[int]:
        wrapped: Iterable[int] = tqdm(items, total=total, desc=title, mininterval=2.0)
        return wrapped

    return wrap
