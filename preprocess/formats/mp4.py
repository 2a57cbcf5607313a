"""Before stage 1, for MP4 and QuickTime: the edit lists of the sound tracks (ISO 14496-12, section 8.6.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from preprocess.formats.completeness import mp4_boxes

_MOST_EDITS = 1_000
_PAUSE = -1


@dataclass(frozen=True, slots=True)
class Edit:
    """An entry of an edit list. start_s: in the track, None for a pause; duration_s: 0 for the rest of the track"""

    start_s: float | None
    duration_s: float


def edit_lists(data: bytes) -> list[list[Edit]]:
    """Return the edit list of each sound track, empty for a track without one."""
    moov = _inside(data, 0, len(data), b"moov")
    scale = _time_scale(data, moov, b"mvhd")
    found = []
    for track in _boxes(data, moov, b"trak"):
        media = _inside(data, *track, b"mdia")
        handler = _inside(data, *media, b"hdlr")
        if data[handler[0] + 8 : handler[0] + 12] == b"soun":
            edits = _inside(data, *_inside(data, *track, b"edts"), b"elst")
            found.append(_edits(data, edits, scale, _time_scale(data, media, b"mdhd")))
    return found


def is_simple(edits: list[Edit], *, fragmented: bool) -> bool:
    """Whether the list only says where the sound begins and ends: FFmpeg reads that right.

    It may begin with one pause, which delays the track against a picture.
    """
    sound = [edit for edit in edits if edit.start_s is not None]
    endless = not fragmented and any(edit.duration_s == 0.0 for edit in sound)  # FFmpeg plays nothing of it
    return len(sound) <= 1 and len(edits) <= 2 and not endless and all(edit.start_s is None for edit in edits[:-1])


def is_fragmented(data: bytes) -> bool:
    """Whether fragments may follow the movie's header (section 8.8.1)."""
    return bool(_boxes(data, _inside(data, 0, len(data), b"moov"), b"mvex"))


def _edits(data: bytes, box: tuple[int, int], movie_scale: int, media_scale: int) -> list[Edit]:
    start, end = box
    if end - start < 8 or not movie_scale or not media_scale:
        return []
    long = data[start] == 1
    entry = struct.Struct(">QqI" if long else ">IiI")
    (count,) = struct.unpack_from(">I", data, start + 4)
    found = []
    for number in range(min(count, _MOST_EDITS)):
        at = start + 8 + number * entry.size
        if at + entry.size > end:
            break
        duration, begin, _ = entry.unpack_from(data, at)
        found.append(Edit(None if begin == _PAUSE else begin / media_scale, duration / movie_scale))
    return found


def _time_scale(data: bytes, box: tuple[int, int], name: bytes) -> int:
    start, end = _inside(data, *box, name)
    at = start + (20 if data[start : start + 1] == b"\1" else 12)
    return int(struct.unpack_from(">I", data, at)[0]) if start < end and at + 4 <= end else 0


def _boxes(data: bytes, box: tuple[int, int], name: bytes) -> list[tuple[int, int]]:
    """Return the contents of each box of that name."""
    found = []
    for start, end in mp4_boxes(data, *box):
        if data[start + 4 : start + 8] == name:
            found.append((start + (16 if data[start : start + 4] == b"\0\0\0\1" else 8), end))
    return found


def _inside(data: bytes, start: int, end: int, name: bytes) -> tuple[int, int]:
    """Return the contents of the first box of that name; an empty range without one."""
    return next(iter(_boxes(data, (start, end), name)), (end, end))
