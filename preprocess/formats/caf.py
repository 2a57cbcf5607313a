"""Before stage 1, for CAF (Apple Core Audio Format Specification 1.0): what FFmpeg's demuxer does not read of it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

_HEADER = struct.Struct(">4sq")
_MOST_CHUNKS = 1_000


@dataclass(frozen=True, slots=True)
class CafFacts:
    """channels: of `desc`; priming, frames: of the packet table, None without one; in samples at `rate_hz`"""

    rate_hz: float
    channels: int
    priming: int | None
    frames: int | None


def caf_facts(data: bytes) -> CafFacts | None:
    """Read the description and the packet table; None without a description."""
    rate_hz, channels, priming, frames = 0.0, 0, None, None
    at = 8
    for _ in range(_MOST_CHUNKS):
        if at + _HEADER.size > len(data):
            break
        name, size = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if name == b"desc" and at + 32 <= len(data):
            rate_hz, channels = struct.unpack_from(">d16xI", data, at)
        elif name == b"pakt" and at + 24 <= len(data):
            frames, priming = struct.unpack_from(">8xqi", data, at)
        if size < 0:  # the audio runs to the end of the file
            break
        at += size
    # A rate below 1 Hz, or none that is a number, is not one to count by.
    return CafFacts(rate_hz, channels, priming, frames) if channels and 1.0 <= rate_hz < math.inf else None
