"""Before stage 1: find the container format of the bytes, and check whether the file ends too early.

Signatures are those of the formats' own specifications (RFC 3533 OGG, RFC 9639 FLAC, RFC 4867 AMR, RIFF/RF64,
ISO 14496-12 `ftyp`, EBML, ISO 13818-7 ADTS, ISO 11172-3 MPEG audio).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from preprocess.errors import EmptyAudio, UnsupportedMedia

# RFC 4867, sections 5.1 and 5.3: bytes of speech that follow each frame's header byte, by frame type.
_AMR_FRAME_BYTES = (12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 0, 0, 0, 0)
_AMR_WB_FRAME_BYTES = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0)

# Sizes from here on mean "unknown": ffmpeg writes 0xFFFFFFFF, arecord 0x80000000, SoX 0x7FFFF000.
_PLACEHOLDER_FROM = 0x7FFF0000

# 120 s of 20 ms blocks are 6,000 elements; a file with millions of empty elements must not keep a worker busy.
_MOST_ELEMENTS = 100_000


@dataclass(frozen=True, slots=True)
class Container:
    """A container format: our name, whether libsndfile may try it first, and FFmpeg's name of the demuxer."""

    name: str
    libsndfile: bool
    ffmpeg: str
    declares_frames: bool = False  # the header's number of frames is the encoder's, so fewer decoded means truncated


_OGG = Container("ogg", True, "ogg")
_OGG_OPUS = Container("ogg", False, "ogg")
_WAV = Container("wav", True, "wav")
_W64 = Container("w64", True, "w64")
_FLAC = Container("flac", True, "flac", declares_frames=True)
_AIFF = Container("aiff", True, "aiff")
_AU = Container("au", True, "au")
_CAF = Container("caf", True, "caf")
_MP3 = Container("mp3", True, "mp3")
_EBML = Container("webm", False, "matroska")
_MP4 = Container("mp4", False, "mov")
_AMR = Container("amr", False, "amr")
_ADTS = Container("adts", False, "aac")
_ASF = Container("asf", False, "asf")

_W64_GUID = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA_GUID = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

_SIGNATURES = (
    (b"OggS", _OGG),
    (b"fLaC", _FLAC),
    (b"\x1aE\xdf\xa3", _EBML),
    (b"#!AMR", _AMR),
    (b".snd", _AU),
    (b"caff", _CAF),
    (_W64_GUID, _W64),
    (_ASF_GUID, _ASF),
)
NARROW_OPUS_HZ = 16_000


def sniff(data: bytes) -> Container:
    """Return the container of the first bytes; nothing is decoded. Raises: EmptyAudio, UnsupportedMedia."""
    if not data:
        raise EmptyAudio("file_empty")
    head = data[:16]
    if head.startswith(b"OggS") and data[28:36] == b"OpusHead":
        # OpusHead stands alone on the first page (RFC 7845, section 3). libsndfile decodes a note at the rate that it
        # names, and its libopus costs twice the CPU of FFmpeg's, which decodes at 48 kHz: as much at 16 kHz, and all
        # that follows is cheaper (0013).
        return _OGG if (opus_input_rate_hz(data[28:47]) or 48_000) <= NARROW_OPUS_HZ else _OGG_OPUS
    for signature, container in _SIGNATURES:
        if head.startswith(signature):
            return container
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return _WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[4:8] == b"ftyp":
        return _MP4
    found = _sniff_mpeg(data)
    if found is None:
        raise UnsupportedMedia("format_unknown")
    return found


def _sniff_mpeg(data: bytes) -> Container | None:
    """Recognise ADTS and MPEG audio by their sync word; they have no signature. An ID3v2 tag may come before it."""
    start = _id3_bytes(data)
    if start and start >= len(data):
        return _MP3
    word = data[start : start + 4]
    if len(word) < 4 or word[0] != 0xFF or word[1] & 0xE0 != 0xE0:
        return _MP3 if start else None
    if word[1] & 0xF6 == 0xF0:
        return _ADTS
    version, layer, bitrate, rate = word[1] >> 3 & 3, word[1] >> 1 & 3, word[2] >> 4, word[2] >> 2 & 3
    # A reserved version, layer, bit rate or sampling rate means some other 0xFF, not an MPEG frame. Layer I is
    # excluded: no device records it, and the FF FE of UTF-16 text would look like its frame.
    return _MP3 if version != 1 and layer in (1, 2) and bitrate != 15 and rate != 3 else None


def _id3_bytes(data: bytes) -> int:
    """Return the length of the leading ID3v2 tag, 0 without one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])


def opus_input_rate_hz(opus_head: bytes) -> int | None:
    """Return the encoder's input rate in an OpusHead (RFC 7845, section 5.1); None where it has none."""
    rate = struct.unpack_from("<I", opus_head, 12)[0] if opus_head[:8] == b"OpusHead" and len(opus_head) >= 16 else 0
    return rate if 8_000 <= rate <= 192_000 else None


def ends_early(data: bytes, container: Container) -> bool:
    """Whether the file ends too early, as far as the container shows it.

    OGG: the last page lacks the end-of-stream flag or is cut. WAV, RF64, W64, AIFF, CAF, AU: the audio's chunk says
    more bytes than there are (2 GiB and more is what recorders leave there that can't go back, and tells nothing).
    WebM: an element is cut. MP4: the last top-level box is. AMR: the last frame is. MP3: a Xing header says more bytes
    than there are. Other containers don't tell.
    """
    check = _ENDS_EARLY.get(container.name)
    return check is not None and check(data)


def _ogg_ends_early(data: bytes) -> bool:
    last = data.rfind(b"OggS")
    page = data[last:]
    if len(page) < 27:
        return True
    lacing = page[27 : 27 + page[26]]
    whole = 27 + page[26] + sum(lacing)
    return len(page) < whole or not page[5] & 0x04


def _wav_ends_early(data: bytes) -> bool:
    header = struct.Struct(">4sI" if data[:4] == b"RIFX" else "<4sI")
    start, size = _find_chunk(data, 12, b"data", header, alignment=2)
    if data[:4] == b"RF64" and size == 0xFFFFFFFF and data[12:16] == b"ds64":
        (size,) = struct.unpack_from("<Q", data, 28)
    return _runs_over(data, start, size)


def _w64_ends_early(data: bytes) -> bool:
    start, size = _find_chunk(data, 40, _W64_DATA_GUID, struct.Struct("<16sQ"), alignment=8, size_has_header=True)
    return _runs_over(data, start, size)


def _aiff_ends_early(data: bytes) -> bool:
    return _runs_over(data, *_find_chunk(data, 12, b"SSND", struct.Struct(">4sI"), alignment=2))


def _caf_ends_early(data: bytes) -> bool:
    return _runs_over(data, *_find_chunk(data, 8, b"data", struct.Struct(">4sQ"), alignment=1))


def _au_ends_early(data: bytes) -> bool:
    return len(data) < 12 or _runs_over(data, *struct.unpack_from(">II", data, 4))


def _find_chunk(
    data: bytes, position: int, wanted: bytes, header: struct.Struct, alignment: int, size_has_header: bool = False
) -> tuple[int, int]:
    """Return start and size of the first chunk of that name; without one, the next chunk's expected start, and 0."""
    while position + header.size <= len(data):
        name, size = header.unpack_from(data, position)
        if size_has_header:
            size = max(size - header.size, 0)
        position += header.size
        if name == wanted:
            return position, size
        position += size + -size % alignment
    return position, 0


def _runs_over(data: bytes, start: int, size: int) -> bool:
    return size < _PLACEHOLDER_FROM and start + size > len(data)


def _mp3_ends_early(data: bytes) -> bool:
    start = _id3_bytes(data)
    frame = data[start : start + 64]
    if len(frame) < 64:
        return True
    mpeg1, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    tag = frame[4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17)) :]
    (flags,) = struct.unpack_from(">I", tag, 4)
    if tag[:4] not in (b"Xing", b"Info") or not flags & 2:
        return False
    (size,) = struct.unpack_from(">I", tag, 12 if flags & 1 else 8)
    # Encoders disagree on whether the header's own frame counts; 1441 bytes is the longest frame of Layer III.
    return start + int(size) - 1441 > len(data)


def _webm_ends_early(data: bytes) -> bool:
    """Walk the elements; enter segments and clusters only if their size is unknown, as live recorders write them."""
    position = 0
    for _ in range(_MOST_ELEMENTS):
        if position >= len(data):
            return position > len(data)
        id_bytes = _vint_bytes(data, position)
        size_bytes = _vint_bytes(data, position + id_bytes)
        if not id_bytes or not size_bytes:  # no element: padding, or broken
            return False
        start = position + id_bytes + size_bytes
        if start > len(data):
            return True
        size = int.from_bytes(data[position + id_bytes : start], "big") & (1 << 7 * size_bytes) - 1
        unknown = size == (1 << 7 * size_bytes) - 1
        position = start if unknown else start + size
    return False


def _vint_bytes(data: bytes, position: int) -> int:
    """Return an EBML number's length; 1 beyond the end, where the rest is missing too; 0 for an invalid start."""
    return 9 - data[position].bit_length() if position < len(data) and data[position] else int(position >= len(data))


def _mp4_ends_early(data: bytes) -> bool:
    position = 0
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        if size == 1 and position + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size == 0:  # the box runs to the end of the file
            return False
        if size < 8:
            return True
        position += size
    return position != len(data)


def _amr_ends_early(data: bytes) -> bool:
    wide = data.startswith(b"#!AMR-WB\n")
    sizes = _AMR_WB_FRAME_BYTES if wide else _AMR_FRAME_BYTES
    position = 9 if wide else 6
    while position < len(data):
        position += 1 + sizes[data[position] >> 3 & 0x0F]
    return position != len(data)


_ENDS_EARLY: dict[str, Callable[[bytes], bool]] = {
    "ogg": _ogg_ends_early,
    "wav": _wav_ends_early,
    "w64": _w64_ends_early,
    "aiff": _aiff_ends_early,
    "caf": _caf_ends_early,
    "au": _au_ends_early,
    "mp3": _mp3_ends_early,
    "webm": _webm_ends_early,
    "mp4": _mp4_ends_early,
    "amr": _amr_ends_early,
}
