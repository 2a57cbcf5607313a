"""Before stage 1, for FLAC (RFC 9639): files that were joined, and the length by the last frame."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_HEAD = b"fLaC"
_STREAMINFO = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")  # of 34 bytes; 0x80: the only metadata block
_HEAD_BYTES = 42
_TOTAL_BITS = (1 << 36) - 1
_MOST_TRIES = 5_000  # sync words that begin no frame: 50 ms; of random bytes in 20 MiB 20 do
# Section 9.1.1: samples of a block by their code; 6 and 7 are written behind the number.
_BLOCK_SAMPLES = {
    1: 192,
    **{code: 576 << code - 2 for code in range(2, 6)},
    **{code: 256 << code - 8 for code in range(8, 16)},
}


def flac_files(data: bytes) -> list[bytes]:
    """Split joined FLAC files at their headers; each begins with one."""
    starts = [0]
    at = 4
    while (at := data.find(_HEAD, at)) >= 0:
        if data[at + 4 : at + 8] in _STREAMINFO and _plausible(data, at):
            starts.append(at)
        at += 4
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _plausible(data: bytes, at: int) -> bool:
    if at + _HEAD_BYTES > len(data):
        return False
    least, most = struct.unpack_from(">HH", data, at + 8)
    return 16 <= least <= most and int.from_bytes(data[at + 18 : at + 21], "big") >> 4 > 0


def with_true_length(data: bytes) -> tuple[bytes, bool]:
    """Return the file with the number of samples that its last frame shows, and whether the header promised more.

    The file as it is where no frame can be read.
    """
    if len(data) < _HEAD_BYTES:
        return data, False
    declared = int.from_bytes(data[18:26], "big") & _TOTAL_BITS
    found = _last_sample(data)
    if found is None or found == declared:
        return data, False
    word = int.from_bytes(data[18:26], "big") >> 36 << 36 | found
    return data[:18] + word.to_bytes(8, "big") + data[26:], declared > found


def late_samples(packets: Sequence[bytes], granule: int) -> int:
    """Return the samples before a stream in Ogg. packets: its first, up to the page with this granule position."""
    frames = [_frame_number(packet, 0) for packet in packets if packet[:1] == b"\xff"]
    return max(0, granule - sum(frame[1] for frame in frames if frame)) if frames and all(frames) else 0


def _last_sample(data: bytes) -> int | None:
    """Return the number of the sample behind the last frame; None without a frame."""
    first = _first_frame(data)
    if first is None:
        return None
    block, _ = struct.unpack_from(">HH", data, 8)
    sync, sample_size = data[first : first + 2], data[first + 3] & 0x0F
    at = len(data)
    for _ in range(_MOST_TRIES):
        at = data.rfind(sync, first, at)
        if at < 0:
            break
        frame = _frame_number(data, at) if data[at + 3 : at + 4] and data[at + 3] & 0x0F == sample_size else None
        if frame is not None:
            number, samples = frame
            return number + samples if sync[1] & 1 else number * block + samples
        at += 1  # rfind's end is exclusive, and sync words may overlap by one byte
    return None


def _first_frame(data: bytes) -> int | None:
    """Return the position behind all metadata blocks."""
    at = 4
    while at + 4 <= len(data):
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if last:
            return at if data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] in (b"\xf8", b"\xf9") else None
    return None


def _frame_number(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a frame's header: its number (of the frame, or of its first sample) and its samples; None if it is none."""
    head = data[at : at + 16]
    if len(head) < 6:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    lead = head[4]
    more = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1  # continuation bytes, as in UTF-8
    if lead & 0xC0 == 0x80 or lead == 0xFF or size_code == 0 or rate_code == 15:
        return None
    number = lead if not more else lead & (1 << 6 - more) - 1 if more < 6 else 0
    position = 5
    for byte in head[position : position + more]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    position += more
    extra = {6: 1, 7: 2}.get(size_code, 0)
    samples = int.from_bytes(head[position : position + extra], "big") + 1 if extra else _BLOCK_SAMPLES[size_code]
    position += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if position >= len(head) or _crc8(head[:position]) != head[position]:
        return None
    return number, samples


def _crc8(data: bytes) -> int:
    """Section 9.1.8: the polynomial x^8 + x^2 + x + 1, beginning with 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
