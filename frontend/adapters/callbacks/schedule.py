"""When a message is tried again, and when it is given up."""

from __future__ import annotations

import random

PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0)  # after each try; then the last again
SPREAD = 0.1  # a receiver that comes back must not get everything in the same second
MOST_ASKED_S = 3600.0  # the longest pause that a receiver can ask for (Retry-After)


def pause_s(tries: int, asked_s: float | None = None) -> float:
    """Return the pause in seconds after the nth try. asked_s: what the receiver asked for."""
    planned = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
    if asked_s is not None:
        planned = max(planned, min(asked_s, MOST_ASKED_S))
    return planned * random.uniform(1.0, 1.0 + SPREAD)  # noqa: S311 - no secret
