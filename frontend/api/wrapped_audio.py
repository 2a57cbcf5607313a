"""Recognise a recording that was packed or written as text on its way; it is refused with what to do instead."""

from __future__ import annotations

import base64
import re

from runtime.errors import AudioError
from runtime.prepare import sniff

# RFC 1952, RFC 1950 (the usual window and three levels), RFC 8878; the formats' own descriptions of the others.
_SIGNATURES = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x78\x01", "deflate"),
    (b"\x78\x9c", "deflate"),
    (b"\x78\xda", "deflate"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
)
_HEAD_BYTES = 512
_DATA_URL = re.compile(rb"data:[^,]*;base64,", re.IGNORECASE)  # RFC 2397
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{32,}={0,2}")
_TRANSFER_ENCODINGS = frozenset({"base64", "quoted-printable"})  # RFC 2045; the others change nothing


def coding_of(data: bytes) -> str | None:
    """Return what bytes in no known format are packed or written as; None where it is not known."""
    packing = packing_of(data)
    return packing or ("base64" if _is_base64(data[:_HEAD_BYTES]) else None)


def packing_of(data: bytes) -> str | None:
    """Return the name of the packing. brotli has no signature."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def transfer_coding_of(header: str) -> str | None:
    """Return what a part's Content-Transfer-Encoding says; RFC 7578, section 4.7, deprecates it."""
    coding = header.strip().lower()
    return coding if coding in _TRANSFER_ENCODINGS else None


def _is_base64(head: bytes) -> bool:
    """Whether it is a data URL, or text in an alphabet of RFC 4648 that decodes to a format that is known."""
    text = b"".join(head.removeprefix(b"\xef\xbb\xbf").split()).strip(b"\"'")
    if _DATA_URL.match(text):
        return True
    text = text.translate(bytes.maketrans(b"-_", b"+/"))
    if _BASE64.fullmatch(text) is None:
        return False
    decoded = base64.b64decode(text[: len(text.rstrip(b"=")) // 4 * 4])
    try:
        sniff(decoded)
    except AudioError:
        return packing_of(decoded) is not None
    return True
