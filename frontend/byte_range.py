"""One byte range of a body (RFC 9110, section 14), which players use to seek."""

from __future__ import annotations

import re

from frontend.errors import RangeNotSatisfiable


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """`bytes=a-b` -> half-open (start, end), or None where the whole body is to be sent.

    Several ranges, other units and malformed headers are answered with the whole body, as the RFC allows.
    Raises: RangeNotSatisfiable.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable(size)
    return start, end
