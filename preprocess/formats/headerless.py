"""Recordings without a header, as telephone exchanges write them: somebody has to say what they are.

The words are the file suffixes of Asterisk, the exchange that is met most (docs.asterisk.org, "Asterisk's Codecs" and
formats/ in its source). The rate belongs to the format: 8 kHz, and 16 kHz for G.722.
"""

from __future__ import annotations

import struct

from preprocess.errors import UnsupportedMedia
from preprocess.formats.container import Container, has_header

HEADERLESS = {
    "ulaw": Container("ulaw", "mulaw"),  # ITU-T G.711
    "alaw": Container("alaw", "alaw"),
    "sln": Container("sln", "s16le"),  # signed linear, 16 bits, little-endian
    "g722": Container("g722", "g722"),  # ITU-T G.722 at 64 kbit/s
    "gsm": Container("gsm", "gsm"),  # ETSI GSM 06.10, frames of 33 bytes
}
RATE_HZ = 8_000  # of all but G.722
_ALIASES = {"ul": "ulaw", "mu": "ulaw", "mulaw": "ulaw", "al": "alaw", "raw": "sln"}
GSM_FRAME_BYTES = 33
_MARKS = bytes(byte >> 4 == 0xD for byte in range(256))  # the upper four bits of each frame's first byte
_MOST_OTHER_FRAMES = 0.02  # a frame may be damaged
_MOST_MARKS_ELSEWHERE = 0.5
_AU_HEADER = struct.Struct(">4sIIIII")
_AU_ENCODINGS = {"ulaw": 1, "alaw": 27}  # of the AU format
_WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def headerless(word: str) -> Container:
    """Return the format of this name. Raises: UnsupportedMedia."""
    found = HEADERLESS.get(_ALIASES.get(word.strip().lower(), word.strip().lower()))
    if found is None:
        raise UnsupportedMedia("format_word_unknown", known=", ".join(HEADERLESS))
    return found


def headerless_by_name(name: str) -> Container | None:
    """Return the format that a file's name says by its suffix; None where it says none of these."""
    suffix = name.rpartition(".")[2].lower()
    return HEADERLESS.get(_ALIASES.get(suffix, suffix)) if "." in name else None


def check_headerless(data: bytes, container: Container) -> None:
    """Check what the bytes show without decoding. Raises: UnsupportedMedia where the word can't be true."""
    if has_header(data):
        raise UnsupportedMedia("format_has_header", format=container.name)
    if is_gsm(data) != (container.name == "gsm"):
        raise UnsupportedMedia("format_is_other", format=container.name)


def is_gsm(data: bytes) -> bool:
    """Whether the bytes are frames of GSM 06.10; an incomplete one may end them.

    Silence in A-law has the frames' mark in every byte.
    """
    marks = data[::GSM_FRAME_BYTES].translate(_MARKS).count(1)
    elsewhere = data.translate(_MARKS).count(1) - marks
    frames = len(data[::GSM_FRAME_BYTES])
    is_framed = len(data) >= GSM_FRAME_BYTES and frames - marks <= _MOST_OTHER_FRAMES * frames
    return is_framed and elsewhere < _MOST_MARKS_ELSEWHERE * len(data)


def with_header(data: bytes, name: str) -> bytes:
    """Return the same samples as a file: AU around `ulaw` and `alaw`, WAV around `sln`."""
    if name in _AU_ENCODINGS:
        return _AU_HEADER.pack(b".snd", _AU_HEADER.size, len(data), _AU_ENCODINGS[name], RATE_HZ, 1) + data
    size = len(data) // 2 * 2
    rest = _WAV_HEADER.size - 8
    head = (b"RIFF", rest + size, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16, b"data", size)
    return _WAV_HEADER.pack(*head) + data[:size]
