"""Recordings that were packed or written as text on their way are told from those in no known format."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import zipfile
import zlib

import pytest

from frontend.api.wrapped_audio import coding_of, transfer_coding_of
from tests.conftest import SAMPLES

SAMPLE = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("note.ogg", SAMPLE)
    return buffer.getvalue()


TEXT = base64.b64encode(SAMPLE)
CODINGS = {
    "gzip": (gzip.compress(SAMPLE), "gzip"),
    "zlib": (zlib.compress(SAMPLE), "deflate"),
    "bzip2": (bz2.compress(SAMPLE), "bzip2"),
    "xz": (lzma.compress(SAMPLE), "xz"),
    "zip": (zipped(), "zip"),
    "base64": (TEXT, "base64"),
    "base64 in lines": (base64.encodebytes(SAMPLE), "base64"),
    "base64 in lines of CR LF": (base64.encodebytes(SAMPLE).replace(b"\n", b"\r\n"), "base64"),
    "base64 for URLs": (base64.urlsafe_b64encode(b"\x1aE\xdf\xa3" + b"\xfb\xff" * 100), "base64"),
    "base64 in quotes": (b'"' + TEXT + b'"', "base64"),
    "base64 behind a byte order mark": (b"\xef\xbb\xbf" + TEXT, "base64"),
    "short base64 with padding": (base64.b64encode(SAMPLE[:61]), "base64"),
    "base64 of MP3": (base64.b64encode(b"ID3\4\0\0\0\0\0\0\xff\xfb\x90\x64" + bytes(400)), "base64"),
    "base64 of gzip": (base64.b64encode(gzip.compress(SAMPLE)), "base64"),
    "a data URL": (b"data:audio/ogg;base64," + TEXT, "base64"),
    "a data URL of a codec": (b"DATA:audio/webm;codecs=opus;base64," + TEXT, "base64"),
    "text": (b"This is no audio.", None),
    "a long word": (b"a" * 1000, None),
    "base64 of text": (base64.b64encode(b"This is no audio, however long it is." * 20), None),
    "a data URL of text": (b"data:,hello", None),
    "bytes": (bytes(range(256)), None),
    "too short": (TEXT[:8], None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("name", CODINGS)
def test_what_a_recording_was_made_into(name: str) -> None:
    data, coding = CODINGS[name]
    assert coding_of(data) == coding


@pytest.mark.parametrize(
    ("header", "coding"),
    [("base64", "base64"), (" BASE64 ", "base64"), ("Quoted-Printable", "quoted-printable"), ("binary", None),
     ("7bit", None), ("", None), ("x-own", None)],
)  # fmt: skip
def test_transfer_encodings(header: str, coding: str | None) -> None:
    assert transfer_coding_of(header) == coding
