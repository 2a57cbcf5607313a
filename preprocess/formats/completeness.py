"""Before stage 1: check by its container whether a file holds what it says, no less and no more.

The structures are those of the formats' own specifications: RIFF/RF64, Sony W64, AIFF, CAF, AU, EBML, ISO 14496-12
(MP4).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from preprocess.formats.container import ASF_GUID, W64_GUID, Container
from preprocess.formats.frames import skip_tags

# Sizes from here on mean "unknown": ffmpeg writes 0xFFFFFFFF, arecord 0x80000000, SoX 0x7FFFF000, in AIFF 0x7F000008.
_PLACEHOLDER_FROM = 0x7F000000

# 120 s of 20 ms blocks are 6,000 elements; a file with millions of empty elements must not keep a worker busy.
_MOST_ELEMENTS = 100_000
_CAF_HEADER = struct.Struct(">4sQ")
_W64_DATA_GUID = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_EBML_ID = b"\x1aE\xdf\xa3"
_GSM_TAG = 0x31
_GSM_BLOCK_BYTES, _GSM_BLOCK_SAMPLES = 65, 320
_BLOCK_TAGS = (0x02, 0x11, _GSM_TAG)  # Microsoft ADPCM, IMA ADPCM, GSM 6.10: RFC 2361
_LEAST_REST_BYTES = 64  # less behind the last chunk is padding or a remark


def is_complete(data: bytes, container: Container) -> bool:
    """Whether all of the file is there to be heard, as far as its container shows that.

    It is not complete if it ends too early. WAV, RF64, W64, AIFF, CAF, AU: the audio's chunk says more bytes than there
    are (2 GiB and more is what recorders leave there that can't go back, and tells nothing). WebM: an element is cut.
    MP4: the last top-level box is. Other containers are judged while they are decoded.

    Nor is it if something follows the audio that may be more of it, and that no decoder reads: joined WAV, W64, AIFF,
    CAF, ASF and MP4 files are like that, and files whose size was written too early. Known chunks, tags and zeros are
    not audio.
    """
    checks = (table.get(container.name) for table in (_ENDS_EARLY, _HAS_MORE))
    return not any(check(data) for check in checks if check is not None)


def audio_chunk(data: bytes) -> tuple[int, int]:
    """Return the start and the end of a WAV file's audio, as far as there are bytes."""
    start, size = _find_wav_chunk(data, b"data")
    end = start + size
    return start, len(data) if size >= _PLACEHOLDER_FROM or size == 0 else min(end, len(data))


def wav_samples(data: bytes) -> int | None:
    """Return the samples of a channel by the headers of a WAV file whose codec has blocks; None for other codecs.

    The `fact` chunk says how much of the last block counts. Without one, GSM has 320 in each 65 bytes.
    """
    tag = wav_codec_tag(data)
    if tag not in _BLOCK_TAGS:
        return None
    declared = _fact(data)
    if tag != _GSM_TAG:
        return declared
    start, end = audio_chunk(data)
    whole = (end - start) // _GSM_BLOCK_BYTES * _GSM_BLOCK_SAMPLES
    return declared if declared is not None and 0 <= whole - declared < _GSM_BLOCK_SAMPLES else whole


def _fact(data: bytes) -> int | None:
    start, size = _find_wav_chunk(data, b"fact")
    if size < 4 or start + 4 > len(data):
        return None
    count = int(struct.unpack_from(">I" if data[:4] == b"RIFX" else "<I", data, start)[0])
    return count if 0 < count < _PLACEHOLDER_FROM else None


def wav_codec_tag(data: bytes) -> int:
    """Return the codec's number in the `fmt ` chunk of a WAV file, 0 without one."""
    start, size = _find_wav_chunk(data, b"fmt ")
    if size < 2 or start + 2 > len(data):
        return 0
    return int(struct.unpack_from(">H" if data[:4] == b"RIFX" else "<H", data, start)[0])


def _find_wav_chunk(data: bytes, name: bytes) -> tuple[int, int]:
    header = struct.Struct(">4sI" if data[:4] == b"RIFX" else "<4sI")
    start, size = _find_chunk(data, 12, name, header, alignment=2)
    if name == b"data" and data[:4] == b"RF64" and size == 0xFFFFFFFF and data[12:16] == b"ds64" and len(data) >= 36:
        (size,) = struct.unpack_from("<Q", data, 28)
    return start, size


def ebml_files(data: bytes) -> list[bytes]:
    """Split joined WebM or Matroska files at their headers."""
    starts = []
    position = 0
    for _ in range(_MOST_ELEMENTS):
        element = _ebml_element(data, position)
        if element is None:
            break
        if data.startswith(_EBML_ID, position):
            starts.append(position)
        position = element
    starts = starts or [0]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _wav_ends_early(data: bytes) -> bool:
    return _runs_over(data, *_find_wav_chunk(data, b"data"))


def _w64_ends_early(data: bytes) -> bool:
    return _runs_over(data, *w64_chunk(data))


def _aiff_ends_early(data: bytes) -> bool:
    return _runs_over(data, *_find_chunk(data, 12, b"SSND", struct.Struct(">4sI"), alignment=2))


def _caf_ends_early(data: bytes) -> bool:
    return _runs_over(data, *_find_chunk(data, 8, b"data", _CAF_HEADER, alignment=1))


def _au_ends_early(data: bytes) -> bool:
    return len(data) < 12 or _runs_over(data, *struct.unpack_from(">II", data, 4))


def _find_chunk(
    data: bytes, position: int, wanted: bytes, header: struct.Struct, alignment: int, size_has_header: bool = False
) -> tuple[int, int]:
    """Return start and size of the first chunk of that name; without one, the next chunk's expected start, and 0."""
    for _ in range(_MOST_ELEMENTS):
        if position + header.size > len(data):
            break
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


def _chunks_follow(data: bytes, start: int, size: int, header: struct.Struct, magics: tuple[bytes, ...]) -> bool:
    """Whether bytes lie behind the audio's chunk that are neither chunks of a known kind nor tags nor zeros."""
    position = start + size
    if size >= _PLACEHOLDER_FROM or size == 0:
        return False
    if position % 2 and data[position : position + 1] == b"\0":  # not every program pads
        position += 1
    for _ in range(_MOST_ELEMENTS):
        position = skip_tags(data, position)
        if position + header.size > len(data):
            break
        name, size = header.unpack_from(data, position)
        if name in magics:
            return True
        if not (name.isascii() and name.decode("ascii").isprintable()) or position + header.size + size > len(data) + 1:
            return len(data) - position >= _LEAST_REST_BYTES
        position += header.size + size + size % 2
    return False


def _wav_has_more(data: bytes) -> bool:
    header = struct.Struct(">4sI" if data[:4] == b"RIFX" else "<4sI")
    return _chunks_follow(data, *_find_wav_chunk(data, b"data"), header, (b"data", b"RIFF", b"RIFX", b"RF64", b"BW64"))


def _aiff_has_more(data: bytes) -> bool:
    header = struct.Struct(">4sI")
    return _chunks_follow(data, *_find_chunk(data, 12, b"SSND", header, alignment=2), header, (b"SSND", b"FORM"))


def w64_chunk(data: bytes) -> tuple[int, int]:
    """Return the start and the size of a W64 file's audio."""
    return _find_chunk(data, 40, _W64_DATA_GUID, struct.Struct("<16sQ"), alignment=8, size_has_header=True)


def _w64_has_more(data: bytes) -> bool:
    start, size = w64_chunk(data)
    return size > 0 and data.startswith(W64_GUID, start + size + -size % 8)


def _caf_has_more(data: bytes) -> bool:
    """A second file behind the chunks."""
    start, size = _find_chunk(data, 8, b"data", _CAF_HEADER, alignment=1)
    position = start + size
    for _ in range(_MOST_ELEMENTS):
        if data.startswith(b"caff\0\1", position):
            return True
        if position + _CAF_HEADER.size > len(data):
            break
        position += _CAF_HEADER.size + _CAF_HEADER.unpack_from(data, position)[1]
    return False


def _asf_has_more(data: bytes) -> bool:
    return data.find(ASF_GUID, 1) > 0


def _mp4_has_more(data: bytes) -> bool:
    """A second movie: FFmpeg reads the first one."""
    names = [data[start + 4 : start + 8] for start, _ in mp4_boxes(data, 0, len(data))]
    return names.count(b"moov") > 1


def mp4_boxes(data: bytes, position: int, end: int) -> list[tuple[int, int]]:
    """Return start and end of each box between two positions (ISO 14496-12, section 4.2); a broken one ends it."""
    boxes: list[tuple[int, int]] = []
    while position + 8 <= end and len(boxes) < _MOST_ELEMENTS:
        (size,) = struct.unpack_from(">I", data, position)
        if size == 1 and position + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        size = size or end - position
        if size < 8 or position + size > end:
            break
        boxes.append((position, position + size))
        position += size
    return boxes


def _webm_ends_early(data: bytes) -> bool:
    position = 0
    for _ in range(_MOST_ELEMENTS):
        if position >= len(data):
            return position > len(data)
        following = _ebml_element(data, position)
        if following is None:  # no element: padding, or broken
            return False
        position = following
    return False


def _ebml_element(data: bytes, position: int) -> int | None:
    """Return the position of the next element; None where there is none.

    Segments and clusters of unknown size, as live recorders write them, are entered.
    """
    if position >= len(data):
        return None
    id_bytes = _vint_bytes(data, position)
    size_bytes = _vint_bytes(data, position + id_bytes)
    if not id_bytes or not size_bytes:
        return None
    start = position + id_bytes + size_bytes
    size = int.from_bytes(data[position + id_bytes : start], "big") & (1 << 7 * size_bytes) - 1
    unknown = start <= len(data) and size == (1 << 7 * size_bytes) - 1
    return start if unknown or start > len(data) else start + size


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


_ENDS_EARLY: dict[str, Callable[[bytes], bool]] = {
    "wav": _wav_ends_early,
    "w64": _w64_ends_early,
    "aiff": _aiff_ends_early,
    "caf": _caf_ends_early,
    "au": _au_ends_early,
    "webm": _webm_ends_early,
    "mp4": _mp4_ends_early,
}
_HAS_MORE: dict[str, Callable[[bytes], bool]] = {
    "wav": _wav_has_more,
    "w64": _w64_has_more,
    "aiff": _aiff_has_more,
    "caf": _caf_has_more,
    "asf": _asf_has_more,
    "mp4": _mp4_has_more,
}
