"""Before stage 1: find the container format of the bytes.

Signatures are those of the formats' own specifications (RFC 3533 OGG, RFC 9639 FLAC, RFC 4867 AMR, RIFF/RF64,
ISO 14496-12 `ftyp`, EBML, ISO 13818-7 ADTS, ISO 11172-3 MPEG audio).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from preprocess.errors import EmptyAudio, UnsupportedMedia
from preprocess.formats.frames import adts_frame, first_frame, mpeg_frame, skip_id3, skip_tags


@dataclass(frozen=True, slots=True)
class Container:
    """A container format.

    name: ours; ffmpeg: of FFmpeg's demuxer
    declares_frames: the header's number of frames is the encoder's, so fewer decoded means truncated
    time_stamps: each packet has one, so that a gap in them is a gap in the sound
    """

    name: str
    ffmpeg: str
    declares_frames: bool = False
    time_stamps: bool = False


_OGG = Container("ogg", "ogg", time_stamps=True)
_WAV = Container("wav", "wav")
_W64 = Container("w64", "w64")
_FLAC = Container("flac", "flac", declares_frames=True)
_AIFF = Container("aiff", "aiff")
_AU = Container("au", "au")
_CAF = Container("caf", "caf")
_MP3 = Container("mp3", "mp3")
_EBML = Container("webm", "matroska", time_stamps=True)
_MP4 = Container("mp4", "mov", time_stamps=True)
_AMR = Container("amr", "amr")
_ADTS = Container("adts", "aac")
_ASF = Container("asf", "asf", time_stamps=True)


W64_GUID = bytes.fromhex("726966662e91cf11a5d628db04c10000")
ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

_SIGNATURES = (
    (b"OggS", _OGG),
    (b"fLaC", _FLAC),
    (b"\x1aE\xdf\xa3", _EBML),
    (b"#!AMR", _AMR),
    (b".snd", _AU),
    (b"caff", _CAF),
    (W64_GUID, _W64),
    (ASF_GUID, _ASF),
)
# What a QuickTime file without `ftyp` begins with (QuickTime File Format, "Movie files").
_QUICKTIME_BOXES = frozenset(
    {
        b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"udta", b"uuid", b"prfl", b"pict", b"PICT", b"junk",
        b"pdin", b"styp",
    }
)  # fmt: skip


_FREE_FORMAT = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][\x00-\x0b]")
_LONGEST_FREE_FRAME = 8_192  # two of 640 kbit/s

_ADTS_SYNC = (b"\xf0", b"\xf1", b"\xf8", b"\xf9")


def sniff(data: bytes) -> Container:
    """Return the container of the first bytes; nothing is decoded. ID3 tags and zeros in front don't count.

    Raises: EmptyAudio, UnsupportedMedia.
    """
    if not data:
        raise EmptyAudio("file_empty")
    start = skip_id3(data)
    found = _by_signature(data[start : start + 16]) or _sniff_frames(data, skip_tags(data, start))
    if found is None and _is_free_format(data, skip_tags(data, start)):
        raise UnsupportedMedia("codec_unknown")
    if found is None and data.startswith(b"ID3"):
        found = _MP3
    if found is None:
        raise UnsupportedMedia("format_unknown")
    return found


def has_header(data: bytes) -> bool:
    """Whether a file begins with a container's own signature; frames, which any bytes may look like, don't count."""
    return data.startswith(b"ID3") or _by_signature(data[:16]) is not None


def _by_signature(head: bytes) -> Container | None:
    for signature, container in _SIGNATURES:
        if head.startswith(signature):
            return container
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if head[4:8] == b"ftyp" or head[4:8] in _QUICKTIME_BOXES:
        return _MP4
    return None


def _sniff_frames(data: bytes, start: int) -> Container | None:
    """Recognise MPEG audio and ADTS by a frame, or by three in a row where the file begins inside of one."""
    if mpeg_frame(data, start):
        return _MP3
    if data[start : start + 1] == b"\xff" and data[start + 1 : start + 2] in _ADTS_SYNC and len(data) >= start + 4:
        return _ADTS
    found = {first_frame(data, read, start): kind for read, kind in ((adts_frame, _ADTS), (mpeg_frame, _MP3))}
    found.pop(None, None)
    return found[min(found)] if found else None  # type: ignore[type-var]


def _is_free_format(data: bytes, start: int) -> bool:
    """Whether MPEG audio begins whose frames do not say how long they are (ISO 11172-3, bit rate index 0)."""
    head = _FREE_FORMAT.match(data, start)
    return head is not None and data.find(head[0], head.end(), head.end() + _LONGEST_FREE_FRAME) > 0


def opus_input_rate_hz(opus_head: bytes) -> int | None:
    """Return the encoder's input rate in an OpusHead (RFC 7845, section 5.1); None where it has none."""
    rate = struct.unpack_from("<I", opus_head, 12)[0] if opus_head[:8] == b"OpusHead" and len(opus_head) >= 16 else 0
    return rate if 8_000 <= rate <= 192_000 else None
