"""Before stage 1: find the frames of MPEG audio (MP3, Layer II), of AAC in ADTS, and of AMR.

These streams have no index. What a header in front says about the length (Xing) is the encoder's word, and joined files
hold several of them. So the frames themselves are counted, and a decoder gets one at a time.

Formats: ISO 11172-3 and 13818-3 (MPEG audio), ISO 13818-7 (ADTS), RFC 4867 sections 5.1 and 5.3 (AMR); the Xing tag
with LAME's extension as LAME 3.100 writes it; ID3v1, ID3v2.4, APEv2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

# kbit/s by bit rate index: MPEG-1 Layer II, MPEG-1 Layer III, MPEG-2 and 2.5 Layers II and III.
_MPEG1_LAYER2_KBITS = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MPEG1_LAYER3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_RATES_HZ = (44_100, 48_000, 32_000)
_MPEG_RATE_SHIFT = {3: 0, 2: 1, 0: 2}  # by version: MPEG-1, MPEG-2, MPEG-2.5
_ADTS_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
# RFC 4867: bytes of speech that follow each frame's header byte, by frame type.
_AMR_BYTES = (12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 0, 0, 0, 0)
_AMR_WB_BYTES = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0)
_AMR_RESERVED, _AMR_WB_RESERVED = range(9, 15), range(10, 14)  # other systems' silence, or nothing yet
_AMR_MAGIC, _AMR_WB_MAGIC = b"#!AMR\n", b"#!AMR-WB\n"

LAYER_III_DELAY = 529  # samples by which every decoder of Layer III is late; LAME's tag does not count them
MOST_FRAMES = 100_000  # 120 s of the shortest frames, of 8 ms, are 15,000
_SEARCH_BYTES = 16_384  # a stream may start inside a frame, which has at most 8,191 bytes
_CHAIN = 3  # so many frames in a row show that bytes without a signature are frames
MOST_PARTS = 1_000  # joined files; 120 s of voice notes of a tenth of a second
_MOST_BREAKS = 10_000  # tags and damage between frames; 120 s of the shortest frames are 15,000
_MOST_TRIES = 100_000  # bytes that look like a frame's header and begin none; of random bytes in 20 MiB 3,000 do
_LEAST_REST_BYTES = 64  # less that is no frame is padding or a remark
_MOST_TAGS = 100  # in a row
_RECENT = 100  # frames whose bytes tell how many were lost
_OTHER_FORMAT = 4  # so many frames of another format in a row are another recording; fewer are damage


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header.

    format: what all frames of one encoder share; size: bytes, header included; samples: of one channel
    """

    format: tuple[int, ...]
    size: int
    samples: int
    rate_hz: int
    channels: int


@dataclass(slots=True)
class FrameRun:
    """Frames of one encoder, in their order.

    spans: start and end of each frame's bytes; None stands for a frame that was lost
    delay, padding: samples that the encoder added in front and behind; 0 where no LAME tag says so
    broken: bytes between the frames belong to none, the last frame is cut, or the Xing tag promised more frames
    """

    first: Frame
    spans: list[tuple[int, int] | None] = field(default_factory=list)
    delay: int = 0
    padding: int = 0
    broken: bool = False


_ZEROS = re.compile(rb"\0+")
_LYRICS = re.compile(rb"LYRICSBEGIN.*?LYRICS(?:END|200)", re.DOTALL)  # Lyrics3, behind the last frame
_LONGEST_LYRICS = 100_000
_XING = (b"Xing", b"Info", b"VBRI")
# The first three bytes of every header that `mpeg_frame` reads, and two of those that `adts_frame` reads.
_MPEG_SYNC = re.compile(
    rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][" + b"".join(b"\\x%x0-\\x%xb" % (n, n) for n in range(1, 15)) + b"]"
)
_ADTS_SYNC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")


def mpeg_frame(data: bytes, at: int) -> Frame | None:
    """Read the header of a frame of MPEG audio, Layer II or III; None where there is none."""
    return _mpeg_frame(data[at : at + 4])


@lru_cache(maxsize=1024)  # a file has few different headers, and thousands of frames
def _mpeg_frame(word: bytes) -> Frame | None:
    if len(word) < 4 or word[0] != 0xFF or word[1] < 0xE0:
        return None
    version, layer = word[1] >> 3 & 3, word[1] >> 1 & 3
    bit_rate, rate, padded = word[2] >> 4, word[2] >> 2 & 3, word[2] >> 1 & 1
    # Layer I is left out: no device records it, and the FF FE of UTF-16 text would look like its frame. With bit rate
    # index 0, the free format, a frame does not say how long it is.
    if version == 1 or layer not in (1, 2) or bit_rate in (0, 15) or rate == 3:
        return None
    rate_hz = _MPEG_RATES_HZ[rate] >> _MPEG_RATE_SHIFT[version]
    by_layer = _MPEG1_LAYER3_KBITS if layer == 1 else _MPEG1_LAYER2_KBITS
    kbits = (by_layer if version == 3 else _MPEG2_KBITS)[bit_rate]
    samples = 576 if layer == 1 and version != 3 else 1152
    channels = 1 if word[3] >> 6 == 3 else 2
    size = samples // 8 * kbits * 1000 // rate_hz + padded
    return Frame((version, layer, rate, channels), size, samples, rate_hz, channels)


def adts_frame(data: bytes, at: int) -> Frame | None:
    """Read the header of an ADTS frame; None where there is none. HE-AAC has twice the rate that is written here."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate = data[at + 2] >> 2 & 15
    channels = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate >= len(_ADTS_RATES_HZ) or size < 7:
        return None
    form = (data[at + 1] & 0xF9, data[at + 2] >> 6, rate, channels)
    return Frame(form, size, 1024 * (1 + (data[at + 6] & 3)), _ADTS_RATES_HZ[rate], channels)


def first_frame(data: bytes, read: Callable[[bytes, int], Frame | None], start: int = 0) -> int | None:
    """Return where the first of three frames in a row begins, within 16 KiB of `start`; None without one."""
    at = start
    while (at := data.find(b"\xff", at, start + _SEARCH_BYTES)) >= 0:
        if _chained(data, at, read):
            return at
        at += 1
    return None


def mpeg_runs(data: bytes) -> list[FrameRun]:
    """Return the runs of frames in MPEG audio; a Xing tag or another format begins a new one."""
    return _Runs(data, mpeg_frame, _MPEG_SYNC, tagged=True).found


def adts_runs(data: bytes) -> list[FrameRun]:
    """Return the runs of frames in ADTS; another format begins a new one."""
    return _Runs(data, adts_frame, _ADTS_SYNC, tagged=False).found


class _Runs:
    """Walks over the frames from the first to the last."""

    def __init__(
        self, data: bytes, read: Callable[[bytes, int], Frame | None], sync: re.Pattern[bytes], *, tagged: bool
    ) -> None:
        self.found: list[FrameRun] = []
        self._data, self._read, self._sync = data, read, sync
        self._tags = [-1 if tagged else len(data)] * len(_XING)  # where the next one of each may be
        self._tag = min(self._tags)
        self._frames_left, self._tries_left = MOST_FRAMES, _MOST_TRIES
        self._declared = 0  # frames by the Xing tag of the last run
        at: int | None = self._start()
        for _ in range(_MOST_BREAKS):
            if at is None:
                break
            at = self._between(self._frames(at))
        self._end_run()
        if at is not None and self.found:
            self.found[-1].broken = True
        self.found = [run for run in self.found if run.spans]

    def _start(self) -> int | None:
        at = skip_tags(self._data, 0)
        if _chained(self._data, at, self._read, needed=2):
            return at
        found = first_frame(self._data, self._read, at)
        return at if found is None and self._read(self._data, at) is not None else found

    def _frames(self, at: int) -> int:
        """Take frames from here on; return the position behind the last one."""
        data, read, end = self._data, self._read, len(self._data)
        run = self.found[-1] if self.found else None
        while self._frames_left > 0:
            self._frames_left -= 1
            frame = read(data, at)
            if frame is None or at + frame.size > end:
                return at
            other = run is None or frame.format != run.first.format
            if other and run is not None and not _chained(data, at, read, _OTHER_FORMAT):
                return at
            tag = _xing(data, at, frame) if self._has_tag(at, frame.size) else None
            if run is None or other or tag is not None:
                self._end_run()
                if len(self.found) > MOST_PARTS:  # one more than is decoded
                    self._frames_left = 0
                    return at
                run = FrameRun(frame)
                self.found.append(run)
            if tag is None:
                run.spans.append((at, at + frame.size))
            else:
                self._declared, run.delay, run.padding = tag
            at += frame.size
        return at

    def _has_tag(self, at: int, size: int) -> bool:
        if self._tag < at:
            # Three searches for a word take a tenth of the time of one for any of them.
            for number, name in enumerate(_XING):
                if self._tags[number] < at:
                    found = self._data.find(name, at)
                    self._tags[number] = found if found >= 0 else len(self._data)
            self._tag = min(self._tags)
        return self._tag < at + size

    def _between(self, at: int) -> int | None:
        """Return where frames go on behind tags or damage; None at the end. Lost frames are counted by their bytes."""
        data = self._data
        if at >= len(data):
            return None
        if self._frames_left <= 0:
            self.found[-1].broken = True
            return None
        after = skip_tags(data, at)
        if after > at:
            return after
        following = self._resync(at + 1)
        if following is None and len(data) - at < _LEAST_REST_BYTES and data[at : at + 1] != b"\xff":
            return None  # a remark behind the last frame
        if self.found:
            run = self.found[-1]
            run.broken = True
            if following is not None and run.spans:
                sizes = [span[1] - span[0] for span in run.spans[-_RECENT:] if span] or [run.first.size]
                run.spans += [None] * round((following - at) * len(sizes) / sum(sizes))
        return following

    def _resync(self, at: int) -> int | None:
        """Return where frames go on; None where they don't."""
        for found in self._sync.finditer(self._data, at):
            self._tries_left -= 1
            if self._tries_left < 0:
                break
            if _chained(self._data, found.start(), self._read):
                return found.start()
        return None

    def _end_run(self) -> None:
        """Compare with what the Xing tag said; encoders disagree on whether its own frame counts."""
        if self.found and len(self.found[-1].spans) + 1 < self._declared:
            self.found[-1].broken = True
            self.found[-1].padding = 0  # the end is missing, and the padding with it
        self._declared = 0


def _chained(data: bytes, at: int, read: Callable[[bytes, int], Frame | None], needed: int = _CHAIN) -> bool:
    """Whether so many frames of one format follow each other from here, or all until the end of the file."""
    first = read(data, at)
    frame = first
    for _ in range(needed - 1):
        if frame is None or first is None or frame.format != first.format:
            return False
        at += frame.size
        if at == len(data):
            return True
        frame = read(data, at)
    return frame is not None and first is not None and frame.format == first.format


def skip_id3(data: bytes, at: int = 0) -> int:
    """Return the position behind the ID3v2 tags that begin here; programs write them in front of other formats, too."""
    for _ in range(_MOST_TAGS):
        if data[at : at + 3] != b"ID3" or at + 10 > len(data):
            break
        size = data[at + 6 : at + 10]
        at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]) + (10 if data[at + 5] & 0x10 else 0)
    return min(at, len(data))


def skip_tags(data: bytes, at: int) -> int:
    """Return the position behind all ID3v2, ID3v1, APEv2 and Lyrics3 tags and zeros that begin here."""
    for _ in range(_MOST_TAGS):
        if (after := skip_id3(data, at)) > at:
            at = after
        elif data[at : at + 3] == b"TAG" and at + 128 <= len(data):
            at += 128
        elif data[at : at + 8] == b"APETAGEX" and at + 32 <= len(data):
            # The size holds the items and the footer; the header counts apart. A tag without a header is only a footer.
            size_of, flags = struct.unpack_from("<I4xI", data, at + 12)
            at += 32 + (size_of if flags & 0x20000000 else 0)
        elif lyrics := _LYRICS.match(data, at, at + _LONGEST_LYRICS):
            at = lyrics.end()
        elif zeros := _ZEROS.match(data, at):
            at = zeros.end()
        else:
            break
    return min(at, len(data))


def _xing(data: bytes, at: int, frame: Frame) -> tuple[int, int, int] | None:
    """Return frames, delay and padding by a Xing tag, 0 for what it lacks; None where the frame is sound."""
    version, layer, _, channels = frame.format
    if layer != 1:
        return None
    side_info = (17 if channels == 1 else 32) if version == 3 else (9 if channels == 1 else 17)
    for side in (side_info, side_info + 2):  # with a checksum
        tag = at + 4 + side
        if data[tag : tag + 4] in (b"Xing", b"Info") and tag + 8 <= len(data):
            break
    else:
        return (0, 0, 0) if data[at + 36 : at + 40] == b"VBRI" else None
    (flags,) = struct.unpack_from(">I", data, tag + 4)
    tag += 8
    frames = struct.unpack_from(">I", data, tag)[0] if flags & 1 and tag + 4 <= len(data) else 0
    tag += 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
    lame = data[tag : min(tag + 24, at + frame.size)]
    if len(lame) < 24 or not any(lame[:4]):
        return frames, 0, 0
    return frames, lame[21] << 4 | lame[22] >> 4, (lame[22] & 15) << 8 | lame[23]


def amr_runs(data: bytes) -> list[FrameRun]:
    """Return the runs of AMR, one for each signature: joined files hold several. `format` is (1,) for wideband."""
    runs: list[FrameRun] = []
    at, sizes, frames_left = skip_id3(data), _AMR_BYTES, MOST_FRAMES
    while at < len(data) and frames_left >= 0:
        for magic, wide in ((_AMR_WB_MAGIC, True), (_AMR_MAGIC, False)):
            if data.startswith(magic, at):
                sizes = _AMR_WB_BYTES if wide else _AMR_BYTES
                if runs and not runs[-1].spans:
                    runs.pop()
                    frames_left -= 1
                runs.append(FrameRun(Frame((int(wide),), 0, 320 if wide else 160, 16_000 if wide else 8_000, 1)))
                at += len(magic)
                break
        else:
            end = at + 1 + sizes[data[at] >> 3 & 15]
            if not runs:
                break
            if frames_left <= 0 or len(runs) > MOST_PARTS + 1:
                runs[-1].broken = True
                break
            frames_left -= 1
            if end > len(data):
                runs[-1].broken = True
                break
            reserved = _AMR_WB_RESERVED if runs[-1].first.format[0] else _AMR_RESERVED
            runs[-1].spans.append(None if data[at] >> 3 & 15 in reserved else (at, end))
            at = end
    return [run for run in runs if any(run.spans)]
