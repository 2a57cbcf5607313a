"""Ogg pages made by hand (RFC 3533), so that a file can be whole and yet unusual, or damaged in one place only."""

from __future__ import annotations

import struct
from collections.abc import Sequence

CONTINUED, BEGINS, ENDS = 1, 2, 4
TAGS = b"OpusTags" + bytes(8)


def checksum(data: bytes) -> int:
    """The definition, bit by bit: polynomial 0x04C11DB7, highest bit first, begins with 0."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


def raw_page(body: bytes, lacing: bytes, granule: int, serial: int, sequence: int, flags: int) -> bytes:
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, sequence, 0, len(lacing)) + lacing
    return head[:22] + struct.pack("<I", checksum(head + body)) + head[26:] + body


def page(packets: Sequence[bytes], granule: int, serial: int = 7, sequence: int = 0, flags: int = 0) -> bytes:
    """A page of whole packets."""
    lacing = b"".join(bytes([255] * (len(packet) // 255) + [len(packet) % 255]) for packet in packets)
    return raw_page(b"".join(packets), lacing, granule, serial, sequence, flags)


def head(
    channels: int = 1, pre_skip: int = 0, rate_hz: int = 16_000, gain: int = 0, version: int = 1,
    family: int = 0, table: bytes = b"",
) -> bytes:  # fmt: skip
    return b"OpusHead" + struct.pack("<BBHIhB", version, channels, pre_skip, rate_hz, gain, family) + table


def opus_file(
    pages: Sequence[tuple[Sequence[bytes], int]], opus_head: bytes | None = None, serial: int = 7, ended: bool = True
) -> bytes:
    """A stream of pages, each with its packets and its granule position."""
    parts = [page([opus_head or head()], 0, serial, 0, BEGINS), page([TAGS], 0, serial, 1)]
    for number, (packets, granule) in enumerate(pages):
        last = ended and number + 1 == len(pages)
        parts.append(page(packets, granule, serial, number + 2, ENDS if last else 0))
    return b"".join(parts)
