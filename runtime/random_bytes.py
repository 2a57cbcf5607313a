"""Random bytes for ids.

Each question to the kernel gives Python's lock away: the event loop then waits for the threads that wait for a disk. So
it is asked once for many ids.
"""

from __future__ import annotations

import os
from collections import deque

MOST_BYTES = 16
_PIECES = 256
_pieces: deque[bytes] = deque()
os.register_at_fork(after_in_child=_pieces.clear)  # a child must not make its parent's ids


def random_bytes(count: int) -> bytes:
    """Return `count` bytes, MOST_BYTES at most, of the kernel's generator; any thread may call this."""
    try:
        piece = _pieces.pop()
    except IndexError:
        block = os.urandom(_PIECES * MOST_BYTES)
        _pieces.extend(block[start : start + MOST_BYTES] for start in range(MOST_BYTES, len(block), MOST_BYTES))
        piece = block[:MOST_BYTES]
    return piece[:count]
