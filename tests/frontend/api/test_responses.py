"""Byte ranges of 100 bytes, as RFC 9110 section 14 has them."""

from __future__ import annotations

import pytest

from frontend.api.responses import parse_range
from frontend.domain.errors import RangeNotSatisfiable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=0-99", (0, 100)), ("bytes=0-100", (0, 100)), ("bytes=99-", (99, 100)),
        ("bytes=-1", (99, 100)), ("bytes=-100", (0, 100)), ("bytes=-101", (0, 100)), (" bytes=5-9 ", (5, 10)),
        ("bytes=0-" + "9" * 18, (0, 100)),
    ],
)  # fmt: skip
def test_parts(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=9-5", "bytes=a-b", "bytes=1-2,4-5", "items=0-1",
     "bytes=0-" + "9" * 19,
     "bytes=0x1-2", "bytes=−1", "bytes=+1-2"],
)  # fmt: skip
def test_the_whole_where_a_header_can_not_be_used(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_ranges_outside(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, size)
    assert caught.value.size == size
