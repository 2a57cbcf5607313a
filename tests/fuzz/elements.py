"""Files of sound as trees of elements: chunks, boxes, pages, blocks, frames. A tree that was read is written to the
same bytes; one that was changed gets its sizes and checksums anew, so that it gets past the door.

Structures: RFC 3533 (Ogg), RFC 9639 (FLAC), RIFF and RF64 (EBU Tech 3306), Sony Wave64, IFF (AIFF), Apple's CAF,
ISO 14496-12 (MP4), RFC 8794 (EBML), ASF, RFC 4867 (AMR), ISO 13818-7 (ADTS), ISO 11172-3 (MP3), ID3v2, AU.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from preprocess.formats.frames import adts_frame, mpeg_frame

# Of its head, its content, and the size that it shall tell instead of the true one.
Form = Callable[[bytes, bytes, int | None], bytes]


@dataclass
class Element:
    """One element.

    head: what comes before its content, without size and checksum; body: content in front of the children
    size: what it says instead of its true size
    """

    form: Form
    head: bytes
    body: bytes = b""
    children: list[Element] = field(default_factory=list)
    size: int | None = None

    def written(self) -> bytes:
        return self.form(self.head, self.body + written(self.children), self.size)


def written(elements: list[Element]) -> bytes:
    return b"".join(element.written() for element in elements)


def flat(elements: list[Element]) -> list[list[Element]]:
    """All lists of siblings in the tree, the tree's own first."""
    return [elements] + [siblings for element in elements if element.children for siblings in flat(element.children)]


def plain(head: bytes, content: bytes, _: int | None) -> bytes:
    return head + content


def sized(
    head: bytes, content: bytes, size: int | None, *, layout: str, more: int = 0, align: int = 1, behind: bool = True
) -> bytes:
    """layout: of the size (`struct`); more: bytes that it counts beside the content; behind: the size follows the head.

    align: the content is filled up to a multiple of it
    """
    limit = 1 << 8 * struct.calcsize(layout)
    told = struct.pack(layout.upper(), (len(content) + more if size is None else size) % limit)
    return (head + told if behind else told + head) + content + bytes(-len(content) % align)


RIFF = partial(sized, layout="<I", align=2)
IFF = partial(sized, layout=">I", align=2)
W64 = partial(sized, layout="<Q", more=24, align=8)
CAF = partial(sized, layout=">Q")
BOX = partial(sized, layout=">I", more=8, behind=False)
ASF = partial(sized, layout="<Q", more=24)


def ebml(head: bytes, content: bytes, size: int | None, *, width: int) -> bytes:
    """width: bytes of the size. -1 as the size: unknown"""
    value = (len(content) if size is None else size) % (1 << 7 * width)
    return head + (value | 1 << 7 * width).to_bytes(width, "big") + content


def flac_block(head: bytes, content: bytes, size: int | None) -> bytes:
    return head + ((len(content) if size is None else size) % (1 << 24)).to_bytes(3, "big") + content


def flac_frame(head: bytes, content: bytes, _: int | None) -> bytes:
    frame = head + checksum(head, 8, 0x07).to_bytes(1, "big") + content
    return frame + checksum(frame, 16, 0x8005).to_bytes(2, "big")


def ogg_page(head: bytes, content: bytes, size: int | None) -> bytes:
    """size: how many lacing values it says to have"""
    count = head[26:27] if size is None else bytes([size % 256])
    head = head[:22] + bytes(4) + count + head[27:]
    # zlib's checksum is the same one with the bits of each byte, and of the sum, in the other order.
    mirrored = zlib.crc32((head + content).translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return head[:22] + mirrored.to_bytes(4, "big").translate(_MIRROR) + head[26:] + content


def adts(head: bytes, content: bytes, size: int | None) -> bytes:
    told = (len(head) + len(content) if size is None else size) % (1 << 13)
    word = int.from_bytes(head[3:6], "big") & ~(0x1FFF << 5) | told << 5
    return head[:3] + word.to_bytes(3, "big") + head[6:] + content


def id3(head: bytes, content: bytes, size: int | None) -> bytes:
    told = len(content) if size is None else size
    return head + bytes(told >> shift & 127 for shift in (21, 14, 7, 0)) + content


_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_TABLES: dict[tuple[int, int], list[int]] = {}


def checksum(data: bytes, bits: int, polynomial: int) -> int:
    """CRC, highest bit first, begins with 0."""
    mask, top = (1 << bits) - 1, 1 << (bits - 1)
    table = _TABLES.get((bits, polynomial))
    if table is None:
        table = []
        for byte in range(256):
            register = byte << (bits - 8)
            for _ in range(8):
                register = (register << 1 ^ (polynomial if register & top else 0)) & mask
            table.append(register)
        _TABLES[bits, polynomial] = table
    register = 0
    for byte in data:
        register = (register << 8 ^ table[register >> (bits - 8) ^ byte]) & mask
    return register


_MP4_PARENTS = {
    **dict.fromkeys(
        (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex", b"wave"), 0
    ),
    **{b"stsd": 8, b"dref": 8, b"meta": 4, b"mp4a": 28, b"samr": 28, b"sawb": 28, b"alac": 28},
}  # bytes of the box's own before its boxes
# Segment, SeekHead, Seek, Info, Tracks, TrackEntry, Audio, Cluster, BlockGroup, Cues, CuePoint, Tags, Tag, EBML.
_EBML_PARENTS = {
    bytes.fromhex(name)
    for name in ("18538067", "114d9b74", "4dbb", "1549a966", "1654ae6b", "ae", "e1", "1f43b675", "a0", "1c53bb6b",
                 "bb", "1254c367", "7373", "67c8", "63c0", "1a45dfa3")
}  # fmt: skip
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_AMR_BYTES = (12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 0, 0, 0, 0)


def read(data: bytes) -> list[Element]:
    """A whole file, as our own encoders write it."""
    for at, magic, reader in _READERS:
        if data.startswith(magic, at):
            return reader(data)
    return _frames(data)


def _chunks(data: bytes, name_bytes: int, form: partial[bytes], parents: dict[bytes, int]) -> list[Element]:
    """parents: how many bytes a chunk of chunks has before them"""
    layout, more, align = form.keywords["layout"], form.keywords.get("more", 0), form.keywords.get("align", 1)
    found, at = [], 0
    least = name_bytes + struct.calcsize(layout)
    while at + least <= len(data):
        head = data[at : at + name_bytes]
        told = struct.unpack_from(layout, data, at + name_bytes)[0]
        at += least
        content = data[at : at + told - more]
        element = Element(form, head, content, size=told if len(content) != told - more else None)
        if head in parents:
            element.body, rest = content[: parents[head]], content[parents[head] :]
            element.children = _chunks(rest, name_bytes, form, parents)
        found.append(element)
        at += len(content) + -len(content) % align
    return [*found, Element(plain, data[at:])] if at < len(data) else found


def _boxes(data: bytes) -> list[Element]:
    found, at = [], 0
    while at + 8 <= len(data):
        told, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + told] if told else data[at + 8 :]
        element = Element(BOX, head, content, size=None if len(content) + 8 == told else told)
        if head in _MP4_PARENTS:
            before = _MP4_PARENTS[head]
            element.body, element.children = content[:before], _boxes(content[before:])
        found.append(element)
        at += 8 + len(content)
    return [*found, Element(plain, data[at:])] if at < len(data) else found


def _ebml(data: bytes) -> list[Element]:
    found, at = [], 0
    while at < len(data):
        id_bytes, width = 9 - data[at].bit_length(), 9 - data[at + (9 - data[at].bit_length())].bit_length()
        head, at = data[at : at + id_bytes], at + id_bytes
        told = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        at += width
        unknown = told == (1 << 7 * width) - 1
        content = data[at:] if unknown else data[at : at + told]
        element = Element(partial(ebml, width=width), head, content, size=-1 if unknown else None)
        if head in _EBML_PARENTS:
            element.body, element.children = b"", _ebml(content)
        found.append(element)
        at += len(content)
    return found


def _ogg(data: bytes) -> list[Element]:
    found, at = [], 0
    while at < len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        begin = at + 27 + len(lacing)
        found.append(Element(ogg_page, data[at:begin], data[begin : begin + sum(lacing)]))
        at = begin + sum(lacing)
    return found


def _flac(data: bytes) -> list[Element]:
    found, at, last = [Element(plain, data[:4])], 4, False
    while not last:
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        last = data[at] >= 128
        found.append(Element(flac_block, data[at : at + 1], data[at + 4 : at + 4 + size]))
        at += 4 + size
    starts = [n for n in range(at, len(data) - 16) if data[n : n + 2] in (b"\xff\xf8", b"\xff\xf9")]
    heads = {n: head for n in starts if (head := _flac_head(data, n))}
    ends = [*list(heads)[1:], len(data)]
    for (start, head), end in zip(heads.items(), ends, strict=True):
        found.append(Element(flac_frame, head, data[start + len(head) + 1 : end - 2]))
    return found


def _flac_head(data: bytes, at: int) -> bytes:
    """The header of the frame that begins here, without its checksum; empty where none does."""
    number = max(1, 8 - (data[at + 4] ^ 0xFF).bit_length())  # of UTF-8's bytes
    block, rate = data[at + 2] >> 4, data[at + 2] & 15
    size = 4 + number + {6: 1, 7: 2}.get(block, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    head = data[at : at + size]
    return head if checksum(head, 8, 0x07) == data[at + size] else b""


def _amr(data: bytes) -> list[Element]:
    found, at = [], 0
    while at < len(data):
        size = 1 + _AMR_BYTES[data[at] >> 3 & 15]
        found.append(Element(plain, data[at : at + 1], data[at + 1 : at + size]))
        at += size
    return found


def _frames(data: bytes) -> list[Element]:
    """MP3 or ADTS; what lies between frames is an element of its own."""
    found, at = [], 0
    if data[:3] == b"ID3":
        size = sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        found, at = [Element(id3, data[:6], data[10 : 10 + size])], 10 + size
    while at < len(data):
        if frame := adts_frame(data, at):
            found.append(Element(adts, data[at : at + 7], data[at + 7 : at + frame.size]))
        elif frame := mpeg_frame(data, at):
            found.append(Element(plain, data[at : at + 4], data[at + 4 : at + frame.size]))
        else:
            other = re.compile(rb"\xff[\xe0-\xff]").search(data, at + 1)
            found.append(Element(plain, data[at : other.start() if other else len(data)]))
        at += len(found[-1].head) + len(found[-1].body)
    return found


_W64_HEADER = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_READERS: tuple[tuple[int, bytes, Callable[[bytes], list[Element]]], ...] = (
    (0, b"OggS", _ogg),
    (0, b"fLaC", _flac),
    (0, b"RIFF", lambda data: _chunks(data, 4, RIFF, {b"RIFF": 4, b"LIST": 4})),
    (0, b"RF64", lambda data: _chunks(data, 4, RIFF, {b"RF64": 4, b"LIST": 4})),
    (0, b"FORM", lambda data: _chunks(data, 4, IFF, {b"FORM": 4})),
    (0, _W64_HEADER, lambda data: _chunks(data, 16, W64, {_W64_HEADER: 16})),
    (0, b"caff", lambda data: [Element(plain, data[:8]), *_chunks(data[8:], 4, CAF, {})]),
    (4, b"ftyp", _boxes),
    (0, b"\x1aE\xdf\xa3", _ebml),
    (0, _ASF_HEADER, lambda data: _chunks(data, 16, ASF, {_ASF_HEADER: 6})),
    (0, b".snd", lambda data: [Element(plain, data[:24], data[24:])]),
    (0, b"#!AMR\n", lambda data: [Element(plain, data[:6]), *_amr(data[6:])]),
)
