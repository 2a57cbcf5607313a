"""Before stage 1, for AU: files that were joined, and sizes that are too small."""

from __future__ import annotations

import struct

from preprocess.formats.frames import MOST_PARTS

_AU_HEADER = struct.Struct(">4sII")
_AU_SIZE_UNKNOWN = b"\xff\xff\xff\xff"


def au_files(data: bytes) -> list[bytes]:
    """Split joined files where a header follows the sound; nothing but sound may follow it otherwise."""
    files: list[bytes] = []
    at = 0
    while at + _AU_HEADER.size <= len(data) and len(files) <= MOST_PARTS:
        _, start, size = _AU_HEADER.unpack_from(data, at)
        end = at + start + size
        if size == 0 or not data.startswith(b".snd\0\0", end):
            file = data[at:]
            files.append(file[:8] + _AU_SIZE_UNKNOWN + file[12:] if end < len(data) else file)
            break
        files.append(data[at:end])
        at = end
    return files or [data]
