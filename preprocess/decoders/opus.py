"""Stage 1 for Ogg Opus: the packets of a stream -> float32 samples at 16 kHz (RFC 6716, RFC 7845).

libopus is called directly, once a packet. It is the one that PyAV brings; PyAV itself makes four objects of each packet
and always decodes at 48 kHz. At 16 kHz libopus costs least: it is the rate of SILK, so speech is not resampled.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

import av._core
import numpy as np
from numpy.typing import NDArray

from preprocess.decoders.pieces import DecodeLimits, Gap, Piece, trimmed
from preprocess.errors import AudioTooLong, TooManyChannels, UndecodableAudio, UnsupportedMedia
from preprocess.formats.ogg import OggLink

RATE_HZ = 16_000
_CLOCK_HZ = 48_000  # of granule positions and pre-skip, whatever the encoder was given
_CLOCK_PER_SAMPLE = _CLOCK_HZ // RATE_HZ
# The shortest packet: less can't be missing. Timestamps of programs that count in milliseconds jitter by less.
_SHORTEST = 120
_LONGEST = RATE_HZ * 120 // 1000  # a packet that claims more is invalid (RFC 6716, section 3.2.5)
_DTX_BYTES = 2  # a packet that short holds no sound (RFC 6716, section 2.1.9; libopus sends none that are longer)
_HEAD_BYTES = 19


_CELT_FROM = 0x80  # first bytes of packets in CELT mode (RFC 6716, section 3.1)
# Samples of one frame by a packet's configuration (RFC 6716, section 3.1, table 2): SILK, hybrid, CELT.
_MS = RATE_HZ // 1000
_SILK, _HYBRID = (10 * _MS, 20 * _MS, 40 * _MS, 60 * _MS), (10 * _MS, 20 * _MS)
_CELT = (5 * _MS // 2, 5 * _MS, 10 * _MS, 20 * _MS)
_FRAMES = (*_SILK * 3, *_HYBRID * 2, *_CELT * 4)
# Of the whole packet by its first byte (section 3.2); of one frame where the second byte has their number (code 3).
_DURATIONS = tuple(_FRAMES[byte >> 3] * (1, 2, 2, 1)[byte & 3] for byte in range(256))


def _load() -> ctypes.CDLL:
    """PyAV's libopus. Its file's name has a digest in it; but a handle finds what its library is linked with, too."""
    library = ctypes.CDLL(av._core.__file__)
    address, number = ctypes.c_void_p, ctypes.c_int
    library.opus_multistream_decoder_create.argtypes = (
        ctypes.c_int32, number, number, number, ctypes.c_char_p, ctypes.POINTER(number)
    )  # fmt: skip
    library.opus_multistream_decoder_create.restype = address
    library.opus_multistream_decoder_destroy.argtypes = (address,)
    library.opus_multistream_decoder_destroy.restype = None
    library.opus_multistream_decode_float.argtypes = (address, address, ctypes.c_int32, address, number, number)
    library.opus_multistream_decode_float.restype = number
    library.opus_packet_parse.argtypes = (
        ctypes.c_char_p, ctypes.c_int32, address, address, ctypes.POINTER(ctypes.c_int16), address
    )  # fmt: skip
    library.opus_packet_parse.restype = number
    return library


_LIBOPUS = _load()


@dataclass(frozen=True, slots=True)
class OpusHead:
    """The identification header (RFC 7845, section 5.1).

    pre_skip: samples at 48 kHz that the decoder drops from its start; gain: a factor
    input_rate_hz: of the encoder's input, 0 where it does not say
    streams, coupled: number of Opus streams, and how many of them have two channels
    mapping: the decoded channel that each channel of the output is
    """

    channels: int
    pre_skip: int
    input_rate_hz: int
    gain: np.float32
    streams: int
    coupled: int
    mapping: bytes


class _Plan(NamedTuple):
    """Where each packet's samples go; all in samples at `RATE_HZ`, before anything is decoded."""

    durations: list[int]
    positions: list[int]
    total: int
    trimmed: int
    gaps: list[Gap]


def parse_head(packet: bytes) -> OpusHead:
    """Read OpusHead. Raises: UnsupportedMedia for a later version or ambisonics, UndecodableAudio."""
    if packet[:8] != b"OpusHead" or len(packet) < _HEAD_BYTES or not packet[9]:
        raise UndecodableAudio("file_broken")
    channels, family = packet[9], packet[18]
    # Versions that share the upper half are compatible. Family 3 (RFC 8486) has a matrix where the others have a table.
    if packet[8] & 0xF0 or family == 3:
        raise UnsupportedMedia("codec_unknown")
    if family == 0:
        if channels > 2:
            raise UndecodableAudio("file_broken")
        streams, coupled, mapping = 1, channels - 1, bytes(range(channels))
    else:
        mapping = packet[_HEAD_BYTES + 2 : _HEAD_BYTES + 2 + channels]
        if len(mapping) < channels:
            raise UndecodableAudio("file_broken")
        streams, coupled = packet[_HEAD_BYTES], packet[_HEAD_BYTES + 1]
    return OpusHead(
        channels=channels,
        pre_skip=int.from_bytes(packet[10:12], "little"),
        input_rate_hz=int.from_bytes(packet[12:16], "little"),
        gain=_gain(int.from_bytes(packet[16:18], "little", signed=True)),
        streams=streams,
        coupled=coupled,
        mapping=mapping,
    )


def decode_opus(link: OggLink, limits: DecodeLimits, before_s: float = 0.0) -> Piece:
    """Decode a whole stream. before_s: what other links of the chain have already. Samples may exceed [-1, 1].

    A packet that can't be decoded becomes silence of its own duration, and time without packets becomes silence, so
    that later samples keep their times. Time that passed before the first packet is not part of the recording.

    Raises: AudioTooLong, before memory is taken for it; TooManyChannels; UndecodableAudio; UnsupportedMedia.
    """
    if not link.starts:
        raise UndecodableAudio("no_samples")
    head = parse_head(link.packet(0))
    # More streams than channels would cost CPU, and nobody would hear them.
    most_channels = max(head.channels, head.streams + head.coupled)
    if most_channels > limits.max_channels:
        raise TooManyChannels("too_many_channels", channels=most_channels, most=limits.max_channels)
    first = 2 if len(link.starts) > 1 and link.packet(1)[:8] == b"OpusTags" else 1
    skip = head.pre_skip // _CLOCK_PER_SAMPLE
    most = int((limits.max_duration_s - before_s) * RATE_HZ) + skip
    plan = _plan(link, first, most, limits)
    decoded = np.zeros((plan.total, head.channels), dtype=np.float32)
    undecodable = _decode_packets(link, first, head, plan, decoded)
    samples = np.ascontiguousarray(decoded.T)
    if head.gain != 1.0:
        samples *= head.gain
    rate = head.input_rate_hz if 8_000 <= head.input_rate_hz <= 192_000 else _CLOCK_HZ
    missing = link.missing or bool(undecodable) or not link.ended
    gaps = tuple(sorted((*plan.gaps, *undecodable), key=attrgetter("start")))
    whole = Piece(samples, RATE_HZ, rate, "opus", exact=_is_exact(link, first), missing=missing, gaps=gaps)
    return trimmed(whole, skip, max(0, plan.total - plan.trimmed - skip))


def _plan(link: OggLink, first: int, most: int, limits: DecodeLimits) -> _Plan:
    """Give each packet its duration and its place, and find the gaps by the pages' granule positions.

    Packets are counted from `first` on. most: samples. Raises: AudioTooLong.
    """
    durations = _packet_durations(link, first)
    positions: list[int] = []
    position = done = on_page = cut = 0
    gaps: list[Gap] = []
    zero: int | None = None  # the granule position of the first packet's start
    for page in link.pages:
        until, ends = page.packets - first, link.ended and page is link.pages[-1]
        if until > done:
            on_page = sum(durations[done:until])
        elif not ends:
            continue
        gap, resumes = 0, done
        if page.granule >= 0:
            arrived = (position + (on_page if until > done else 0)) * _CLOCK_PER_SAMPLE
            if zero is None:
                # A stream may begin at any time. Where the first page is the last as well, it says how much of it to
                # keep, and the stream begins at 0 (RFC 7845, section 4.5).
                zero = page.granule - arrived
                zero = max(zero, 0) if ends else zero
            ahead = page.granule - zero - arrived
            if ahead >= _SHORTEST and until > done:
                gap = ahead // _CLOCK_PER_SAMPLE
                _check_length(position + on_page + gap, most, limits)
                silent = _resumes_after_dtx(link, first, done, until)
                lost = silent is None or page.jumped
                resumes = done if lost or silent is None else silent
                start = position + sum(durations[done:resumes])
                gaps.append(Gap(start, start + gap, lost, proven=page.jumped))
            elif ahead < 0 and ends:
                # Of the last packets only: a wrong position may not discard the recording.
                cut = min(-ahead // _CLOCK_PER_SAMPLE, on_page)
        for packet in range(done, until):
            position += gap if packet == resumes else 0
            positions.append(position)
            position += durations[packet]
        done = max(done, until)
    _check_length(position - cut, most, limits)
    return _Plan(durations, positions, position, cut, gaps)


def _check_length(samples: int, most: int, limits: DecodeLimits) -> None:
    if samples > most:
        raise AudioTooLong("recording_too_long", most=limits.max_duration_s)


def _packet_durations(link: OggLink, first: int) -> list[int]:
    """Return the samples of each packet from `first` on; 0 for one that is empty or invalid."""
    body, table = link.body, _DURATIONS
    durations = []
    for start, size in zip(link.starts[first:], link.sizes[first:], strict=True):
        duration = table[body[start]] if size else 0
        if size and body[start] & 3 == 3:  # the second byte has the number of frames
            duration *= body[start + 1] & 0x3F if size > 1 else 0
            duration = duration if duration <= _LONGEST else 0
        durations.append(duration)
    return durations


def _is_exact(link: OggLink, first: int) -> bool:
    """Whether libopus never has to conceal in CELT mode, where it searches for a pitch with code that it chooses by
    processor (FMA): at an empty frame after CELT, and where CELT ends without the redundant frame that encoders add.
    That frame can't be seen from here, so every such end counts. SILK is in integers.
    """
    body, celt = link.body, False
    for start, size in zip(link.starts[first:], link.sizes[first:], strict=True):
        if not size:
            continue
        byte = body[start]
        if celt and (size <= _DTX_BYTES or byte < _CELT_FROM):
            return False
        celt = byte >= _CELT_FROM
        if celt and byte & 3 and _has_empty_frame(body[start : start + size]):
            return False
    return True


def _has_empty_frame(packet: bytes) -> bool:
    """Of at most one byte, which libopus takes for a lost one."""
    sizes = (ctypes.c_int16 * 48)()
    count = _LIBOPUS.opus_packet_parse(packet, len(packet), None, None, sizes, None)
    return count > 0 and min(sizes[:count]) <= 1


def _resumes_after_dtx(link: OggLink, first: int, done: int, until: int) -> int | None:
    """Return the packet that ends a silence which was not sent: the last one on the page that follows a packet without
    sound. None without such a packet: then something was lost.
    """
    sizes = link.sizes
    for packet in range(until - 1, done - 1, -1):
        if packet and sizes[first + packet - 1] <= _DTX_BYTES:
            return packet
    return None


def _decode_packets(link: OggLink, first: int, head: OpusHead, plan: _Plan, decoded: NDArray[np.float32]) -> list[Gap]:
    """Decode into `decoded`, float32 [shape=(n, channels)], zeros; return what can't be decoded."""
    error = ctypes.c_int()
    decoder = _LIBOPUS.opus_multistream_decoder_create(
        RATE_HZ, head.channels, head.streams, head.coupled, head.mapping, ctypes.byref(error)
    )
    if not decoder:
        raise UndecodableAudio("file_broken")
    undecodable: list[Gap] = []
    try:
        # Addresses are plain numbers: an array or a pointer for each packet would cost more than the call.
        data = ctypes.cast(ctypes.c_char_p(link.body), ctypes.c_void_p).value or 0
        out, frame_bytes = decoded.ctypes.data, decoded.strides[0]
        decode_float = _LIBOPUS.opus_multistream_decode_float
        packets = zip(link.starts[first:], link.sizes[first:], plan.positions, plan.durations, strict=False)
        for start, size, position, duration in packets:
            # libopus writes at most `duration` samples, so never beyond the packet's own place.
            if duration and decode_float(decoder, data + start, size, out + position * frame_bytes, duration, 0) != (
                duration
            ):
                decoded[position : position + duration] = 0.0
                undecodable.append(Gap(position, position + duration, lost=True, proven=True))
    finally:
        _LIBOPUS.opus_multistream_decoder_destroy(decoder)
    return undecodable


def _gain(q7_8: int) -> np.float32:
    """Return the factor of an output gain, in 1/256 dB. libopus would compute it with the C library's `exp`, whose last
    bits depend on the processor (0016).
    """
    return np.float32(Decimal(10) ** (Decimal(q7_8) / (20 * 256)))
