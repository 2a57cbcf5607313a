"""Before stage 1, for Ogg: the pages of a file -> the packets of each logical stream (RFC 3533).

Only pages whose checksum is right are used, as libogg and FFmpeg do: a damaged packet would decode to noise, and a
missing one is known to be missing.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

_HEADER = struct.Struct("<4sBBqIII")  # 26 of the 27 bytes, without the number of lacing values (RFC 3533, section 6)
_HEADER_BYTES = 27
_CONTINUED, _BEGINS, _ENDS = 1, 2, 4
_GRANULE_AT, _CHECKSUM_AT, _COUNT_AT = 6, 22, 26

# 120 s of packets of 2.5 ms, each on a page of its own, are 48,000 pages; what comes after these is not read.
_MOST_PAGES = 100_000
_MOST_PACKETS = 100_000
_MOST_STREAMS = 1_000  # a decoder is made for each
# Every "OggS" that begins no page may cost the checksum of 64 KiB; that many take 50 ms.
_MOST_FALSE_PAGES = 1_000

# Ogg's checksum has the polynomial of zlib's, but takes each byte's highest bit first and begins with 0: it is zlib's
# over bytes with their bits mirrored. 25 µs for a note of 10 s; a table in Python would take 3 ms.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_REGISTER_0 = 0xFFFFFFFF
_NO_CHECKSUM = bytes(4)


class OggPage(NamedTuple):
    """A page of one logical stream.

    granule: its granule position, a time in units of the codec; -1 where no packet ends on it
    packets: number of the stream's packets that end on this page or before
    jumped: pages are missing before this one, by its sequence number
    begin, end: its bytes in the file, half open
    """

    granule: int
    packets: int
    jumped: bool
    begin: int
    end: int


@dataclass(slots=True)
class OggLink:
    """A logical stream: one link of a chain, or one of several streams at the same time, which overlap in the file.

    codec: by its first packet: opus, vorbis, flac, speex; "unknown" for others, and where the first page is missing
    channels, sample_rate_hz: by its first packet, 0 where the codec is unknown; Opus names its encoder's rate, or 0
    body: the pages' contents, one after another, so that a packet lies in one piece
    starts, sizes: of each packet in `body`, in bytes
    ended: the last page says that it is the last
    missing: a packet's beginning or end is missing, or pages are missing
    """

    serial: int
    codec: str = "unknown"
    channels: int = 0
    sample_rate_hz: int = 0
    body: bytes = b""
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    pages: list[OggPage] = field(default_factory=list)
    ended: bool = False
    missing: bool = False

    @property
    def begin(self) -> int:
        return self.pages[0].begin

    @property
    def end(self) -> int:
        return self.pages[-1].end

    def packet(self, number: int) -> bytes:
        start = self.starts[number]
        return self.body[start : start + self.sizes[number]]

    def file(self, data: bytes, earlier: int = 0) -> bytes:
        """This stream's pages alone, as a file of its own.

        data: the file that it was found in; earlier: subtracted from each granule position
        """
        pages = (data[page.begin : page.end] for page in self.pages)
        return b"".join(_earlier(page, earlier) for page in pages) if earlier else b"".join(pages)


def links(data: bytes) -> list[OggLink]:
    """Return the logical streams of an Ogg file in the order in which they begin; none where no page is whole.

    What lies between pages is passed over, as is a last page that is cut.
    """
    found: list[_Assembly] = []
    open_ones: dict[int, _Assembly] = {}
    mirrored, size = memoryview(data.translate(_MIRRORED)), len(data)
    position = false_pages = n_pages = n_packets = 0
    while (
        n_pages < _MOST_PAGES
        and n_packets < _MOST_PACKETS
        and false_pages < _MOST_FALSE_PAGES
        and len(found) < _MOST_STREAMS
    ):
        position = data.find(b"OggS", position)
        if position < 0 or position + _HEADER_BYTES > size:
            break
        begin_body = position + _HEADER_BYTES + data[position + _COUNT_AT]
        lacing = data[position + _HEADER_BYTES : begin_body]
        end = begin_body + sum(lacing)
        if end > size or not _is_whole(mirrored, position, end):
            position += 1
            false_pages += 1
            continue
        _, version, flags, granule, serial, sequence, _ = _HEADER.unpack_from(data, position)
        if version == 0:
            assembly = open_ones.get(serial)
            if assembly is None or flags & _BEGINS:
                # Also with the serial number of a stream before it: files are joined with `cat`.
                assembly = open_ones[serial] = _Assembly(OggLink(serial))
                found.append(assembly)
            n_packets += assembly.add(data[begin_body:end], lacing, flags, sequence, granule, position, end)
            n_pages += 1
        position = end
    return [assembly.link() for assembly in found]


def chain(streams: list[OggLink]) -> list[OggLink]:
    """Return the streams that follow one another: those that begin inside another, beside it, are left out."""
    following: list[OggLink] = []
    for stream in streams:
        if not following or stream.begin >= following[-1].end:
            following.append(stream)
    return following


def _is_whole(mirrored: memoryview, begin: int, end: int) -> bool:
    """Whether a page's checksum is right; it is computed with zeros in its own place (RFC 3533, section 6)."""
    found = zlib.crc32(mirrored[begin : begin + _CHECKSUM_AT], _REGISTER_0)
    found = zlib.crc32(mirrored[begin + _COUNT_AT : end], zlib.crc32(_NO_CHECKSUM, found))
    # Little endian with each byte mirrored is big endian with all 32 bits mirrored.
    return found ^ _REGISTER_0 == int.from_bytes(mirrored[begin + _CHECKSUM_AT : begin + _COUNT_AT], "big")


def _earlier(page: bytes, units: int) -> bytes:
    """Return the page with an earlier granule position, and the checksum of that."""
    (granule,) = struct.unpack_from("<q", page, _GRANULE_AT)
    if granule <= 0:
        return page
    page = page[:_GRANULE_AT] + struct.pack("<q", max(granule - units, 0)) + page[_GRANULE_AT + 8 :]
    head, body = page[:_CHECKSUM_AT], page[_COUNT_AT:]
    found = zlib.crc32((head + _NO_CHECKSUM + body).translate(_MIRRORED), _REGISTER_0) ^ _REGISTER_0
    return head + found.to_bytes(4, "big").translate(_MIRRORED) + body


class _Assembly:
    """Joins a stream's pages; packets may run over several (RFC 3533, section 5)."""

    def __init__(self, link: OggLink) -> None:
        self._link = link
        self._bodies: list[bytes] = []
        self._length = 0
        self._unfinished: int | None = None  # where the packet begins that ran over the last page's end
        self._sequence: int | None = None  # of the next page

    def add(self, body: bytes, lacing: bytes, flags: int, sequence: int, granule: int, begin: int, end: int) -> int:
        """Add a page's packets; return how many end on it."""
        link = self._link
        before = len(link.starts)
        jumped = self._sequence is not None and sequence != self._sequence
        self._sequence = sequence + 1 & 0xFFFFFFFF
        unfinished = None if jumped else self._unfinished
        continued = bool(flags & _CONTINUED)
        skip = continued and unfinished is None and len(lacing) > 0
        if jumped or skip or (unfinished is not None and not continued):
            link.missing = True
        at = self._length
        start = unfinished if continued and unfinished is not None else at
        for size in lacing:
            at += size
            if size == 255:
                continue
            if skip:
                skip = False
            else:
                link.starts.append(start)
                link.sizes.append(at - start)
            start = at
        if lacing:
            self._unfinished = start if lacing[-1] == 255 and not skip else None
        else:
            self._unfinished = unfinished
        self._bodies.append(body)
        self._length += len(body)
        link.pages.append(OggPage(granule, len(link.starts), jumped, begin, end))
        link.ended = bool(flags & _ENDS)
        return len(link.starts) - before

    def link(self) -> OggLink:
        link = self._link
        link.body = b"".join(self._bodies)
        if self._unfinished is not None:
            link.missing = True
        if link.starts:
            link.codec, link.channels, link.sample_rate_hz = _identify(link.packet(0))
        return link


def _identify(head: bytes) -> tuple[str, int, int]:
    """Return codec, channels and sampling rate by a stream's first packet.

    Opus: RFC 7845, section 5.1; Vorbis I, section 4.2.2; FLAC: RFC 9639, section 10.1; Speex: its manual, section 6.
    """
    if head[:8] == b"OpusHead" and len(head) >= 19:
        return "opus", head[9], int(struct.unpack_from("<I", head, 12)[0])
    if head[:7] == b"\x01vorbis" and len(head) >= 16:
        return "vorbis", head[11], int(struct.unpack_from("<I", head, 12)[0])
    if head[:5] == b"\x7fFLAC" and len(head) >= 31:
        word = int(struct.unpack_from(">I", head, 27)[0])
        return "flac", (word >> 9 & 7) + 1, word >> 12
    if head[:8] == b"Speex   " and len(head) >= 52:
        rate, _, _, channels = struct.unpack_from("<IIII", head, 36)
        return "speex", int(channels), int(rate)
    return "unknown", 0, 0
