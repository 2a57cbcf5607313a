"""The form of an upload, read in this process: every body that one should not send, and what is made of a good one."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.responses import JSONResponse

from frontend.api.upload import read_upload
from frontend.inference.admission import Admission
from frontend.observability.metrics import Metrics
from frontend.openapi.schemas import MAX_FORM_FIELDS
from runtime.config import load_limits
from tests.conftest import SAMPLES
from tests.frontend.asgi import application, ask
from tests.integration.problems import assert_problem

MOST = 100_000  # more than the sample has
SAMPLE = (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes()
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
AUDIO = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x.ogg"\r\nContent-Type: audio/ogg\r\n\r\n'


def field(name: str, value: bytes = b"x", more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def audio_field(audio: bytes) -> bytes:
    return AUDIO + audio + b"\r\n"


END = b"--b--\r\n"
ANY = b"some bytes"

# name: (content type, body, status, code)
BODIES: dict[str, tuple[str, bytes, int, str]] = {
    "JSON": ("application/json", b'{"audio": "x"}', 415, "unsupported_media"),
    "a urlencoded form": ("application/x-www-form-urlencoded", b"audio=x", 415, "unsupported_media"),
    "bare audio": ("audio/ogg", b"OggS", 415, "unsupported_media"),
    "no content type": ("", ANY, 415, "unsupported_media"),
    "no boundary": ("multipart/form-data", audio_field(ANY) + END, 422, "invalid_request"),
    "an empty boundary": ("multipart/form-data; boundary=", audio_field(ANY) + END, 422, "invalid_request"),
    "another boundary": ("multipart/form-data; boundary=c", audio_field(ANY) + END, 422, "invalid_request"),
    "no parts": ("multipart/form-data; boundary=b", END, 422, "missing_audio"),
    "no body": ("multipart/form-data; boundary=b", b"", 422, "missing_audio"),
    "cut in the part's header": ("multipart/form-data; boundary=b", AUDIO[:40], 422, "missing_audio"),
    "a boundary that is never closed": ("multipart/form-data; boundary=b", AUDIO + ANY, 422, "missing_audio"),
    "no file": ("multipart/form-data; boundary=b", field("call_id") + END, 422, "missing_audio"),
    "audio as a plain field": ("multipart/form-data; boundary=b", field("audio") + END, 422, "missing_audio"),
    "another field with the file": (
        "multipart/form-data; boundary=b",
        field("file", more='; filename="x"') + END,
        422,
        "missing_audio",
    ),
    "two files": (
        "multipart/form-data; boundary=b",
        audio_field(ANY) + audio_field(ANY) + END,
        422,
        "invalid_request",
    ),
    "call_id as a file": (
        "multipart/form-data; boundary=b",
        field("call_id", more='; filename="x"') + audio_field(ANY) + END,
        422,
        "invalid_request",
    ),
    "10,000 fields": (
        "multipart/form-data; boundary=b",
        b"".join(field(f"f{n}") for n in range(10_000)) + audio_field(ANY) + END,
        422,
        "invalid_request",
    ),
    "10,000 fields after the file": (
        "multipart/form-data; boundary=b",
        audio_field(ANY) + b"".join(field(f"f{n}") for n in range(10_000)) + END,
        422,
        "invalid_request",
    ),
    "a call_id of 1 MB": (
        "multipart/form-data; boundary=b",
        field("call_id", b"a" * 1_000_000) + audio_field(ANY) + END,
        422,
        "invalid_request",
    ),
    "a part without a name": (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
        422,
        "invalid_request",
    ),
    "a part header of 1 MB": (
        "multipart/form-data; boundary=b",
        b"--b\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\nx\r\n" + END,
        422,
        "invalid_request",
    ),
    # These two codecs raise no UnicodeDecodeError but plain UnicodeErrors.
    "the charset `undefined`": (
        "multipart/form-data; boundary=b; charset=undefined",
        audio_field(ANY) + END,
        422,
        "invalid_request",
    ),
    "the charset `punycode`": (
        "multipart/form-data; boundary=b; charset=punycode",
        field("call_id", b"\xff-") + audio_field(ANY) + END,
        422,
        # From Python 3.13 on the codec reads the field's name as another.
        "invalid_request" if sys.version_info < (3, 13) else "missing_audio",
    ),
}


def post(
    content: Any, headers: dict[str, str] | list[tuple[str, str]] | None = None, idle_s: float = 60.0, most: int = MOST
) -> httpx.Response:
    limits = replace(load_limits()[1], max_body_bytes=most, request_deadline_s=idle_s)
    admission = Admission(limits, Metrics(), [], lambda n: 0.0, 1)

    async def endpoint(request: Request) -> JSONResponse:
        upload = await read_upload(request, limits, admission, admission.admit(None))
        return JSONResponse(
            {
                "call_id": upload.call_id,
                "new_id": upload.new_id,
                "sha256": upload.audio.sha256,
                "content_type": upload.content_type,
            }
        )

    app, _ = application(endpoint)
    if not isinstance(headers, list):
        headers = list({"Accept-Language": "en", **(FORM if headers is None else headers)}.items())
    return ask(app, content=content, headers=headers)


def counted(pieces: Iterable[bytes], taken: list[int]) -> AsyncIterator[bytes]:
    async def generator() -> AsyncIterator[bytes]:
        for piece in pieces:
            taken.append(len(piece))
            yield piece

    return generator()


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_such_form_is_refused(name: str) -> None:
    content_type, body, status, code = BODIES[name]
    most = load_limits()[1].max_body_bytes
    answer = post(body, {"Content-Type": content_type} if content_type else {}, most=most)
    assert_problem(answer, status, code)


@pytest.mark.parametrize("cut", [0, 1, len(AUDIO) - 1, len(AUDIO), len(AUDIO) + 1000])
def test_a_form_that_is_cut_off_has_no_audio(cut: int) -> None:
    assert_problem(post((audio_field(SAMPLE) + END)[:cut]), 422, "missing_audio")


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "no-such-charset", "rot13", "a" * 1000])
def test_other_charsets_do_no_harm(charset: str) -> None:
    answer = post(audio_field(SAMPLE) + END, {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"})
    assert answer.status_code == 200, answer.text


def test_a_good_form_in_pieces_of_any_size() -> None:
    whole = field("call_id", b"a-call") + audio_field(SAMPLE) + END
    for size in (1, 7, 1000, len(whole)):

        async def pieces(size: int = size) -> AsyncIterator[bytes]:
            for start in range(0, len(whole), size):
                yield whole[start : start + size]

        assert post(pieces() if size > 1 else whole).json() == {
            "call_id": "a-call",
            "new_id": False,
            "sha256": hashlib.sha256(SAMPLE).hexdigest(),
            "content_type": "audio/ogg",
        }


CALL_ID = field("call_id", b"a-call")


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="audio"',
        "form-data; name=audio",
        'form-data; name="audio";',
        "form-data; name=\"audio\"; filename*=UTF-8''n%C3%B3ta.ogg",
        'form-data; name="audio"; filename=""',
        "form-data; name=audio; filename=x.ogg",
        'form-data; filename="x.ogg"; name="audio"',
        'FORM-DATA; NAME="audio"; FILENAME="x.ogg"',
        'form-data;\tname="audio" ; filename = "a;b.ogg"',
    ],
)
@pytest.mark.parametrize("content_type", ["", "Content-Type: audio/ogg\r\n", "content-type:text/plain\r\n"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_audio_is_audio_however_its_part_is_named(disposition: str, content_type: str, order: str) -> None:
    """RFC 7578, section 4.2: `filename` may be left out, and `filename*` is none. The sample is above 16 KB."""
    head = f"--b\r\nContent-Disposition: {disposition}\r\n{content_type}\r\n".encode()
    audio, others = head + SAMPLE + b"\r\n", CALL_ID + field("comment")
    answer = post((audio + others if order == "before" else others + audio) + END)
    assert answer.status_code == 200, answer.text
    assert answer.json()["sha256"] == hashlib.sha256(SAMPLE).hexdigest()
    assert answer.json()["call_id"] == "a-call"
    assert answer.json()["content_type"] == ("audio/ogg" if "ogg" in content_type else "application/octet-stream")


UNNAMED = b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\n'
FILE = field("file", more='; filename="x"')

# name: (body, status, code, words of the sentence)
SENTENCES: dict[str, tuple[bytes, int, str, str]] = {
    "two recordings": (2 * audio_field(SAMPLE) + END, 422, "invalid_request", "send one recording"),
    "two without filename": (2 * (UNNAMED + SAMPLE + b"\r\n") + END, 422, "invalid_request", "send one recording"),
    "one of each": (audio_field(SAMPLE) + UNNAMED + SAMPLE + b"\r\n" + END, 422, "invalid_request", "send one"),
    "another file before": (FILE + UNNAMED + SAMPLE + b"\r\n" + END, 422, "invalid_request", "more than one file"),
    "a file's name": (UNNAMED + b"note.ogg\r\n" + END, 422, "missing_audio", "as a file"),
    "no bytes": (UNNAMED + b"\r\n" + END, 422, "empty_audio", "is empty"),
    "other bytes": (UNNAMED + b"\0\1\2\r\n" + END, 415, "unsupported_media", "not an audio format"),
    "a large text field": (field("note", b"a" * 17_000) + audio_field(SAMPLE) + END, 422, "invalid_request", "16KB"),
    "a field of no name": (UNNAMED.replace(b"audio", b"") + SAMPLE + b"\r\n" + END, 422, "invalid_request", "16KB"),
    "gzip": (audio_field(gzip.compress(SAMPLE)) + END, 415, "unsupported_media", "as gzip: send the bytes"),
    "base64": (audio_field(base64.b64encode(SAMPLE)) + END, 415, "unsupported_media", "as base64: send the bytes"),
    "base64 without filename": (
        UNNAMED + base64.b64encode(SAMPLE) + b"\r\n" + END,
        415,
        "unsupported_media",
        "as base64: send the bytes",
    ),
    "a short base64": (UNNAMED + base64.b64encode(SAMPLE[:60]) + b"\r\n" + END, 415, "unsupported_media", "as base64"),
    "a transfer encoding": (
        UNNAMED.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n")
        + b"OggQ=00=02" * 2000
        + b"\r\n"
        + END,
        415,
        "unsupported_media",
        "as quoted-printable: send the bytes",
    ),
    "a form in gzip": (gzip.compress(audio_field(SAMPLE) + END), 415, "unsupported_media", "without Content-Encoding"),
    "bare audio": (SAMPLE, 422, "invalid_request", "no part that begins with the boundary"),
    "a few bytes": (b"OggS", 422, "invalid_request", "no part that begins with the boundary"),
    "a long preamble": (b"a" * 17_000 + b"\r\n" + audio_field(SAMPLE) + END, 422, "invalid_request", "no part"),
    "LF": ((audio_field(SAMPLE) + END).replace(b"\r\n", b"\n"), 422, "invalid_request", "end them in CR LF"),
}


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("size", [997, 1 << 20])
def test_what_is_wrong_with_a_form_is_said_in_one_sentence(name: str, size: int) -> None:
    body, status, code, words = SENTENCES[name]
    answer = post(counted([body[start : start + size] for start in range(0, len(body), size)], []))
    assert_problem(answer, status, code)
    assert words in answer.json()["detail"]
    spanish = post(body, {**FORM, "Accept-Language": "es"}).json()["detail"]
    assert spanish != answer.json()["detail"]
    assert ("accept-encoding" in answer.headers) == (name == "a form in gzip")


@pytest.mark.parametrize("transfer", [b"binary", b"8bit", b"base64"])
def test_a_transfer_encoding_that_is_none_is_let_through(transfer: bytes) -> None:
    """RFC 7578, section 4.7: deprecated. Bytes of a recording are what they are, whatever the label says."""
    header = b"\r\nContent-Transfer-Encoding: " + transfer + b"\r\n\r\n"
    answer = post((audio_field(SAMPLE) + END).replace(b"\r\n\r\n", header, 1))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("before", "padding", "after"),
    [
        (b"", b"", b""),
        (b"\r\n", b"", b""),
        (b"This is a message in MIME format.\r\n", b"", b""),
        (b"-- a -- b --bound\r\n--\r\n\r\n", b"", b""),
        (b"--c\r\n\r\nx\r\n", b" \t", b""),
        (b"", b" ", b" \t\r\nan epilogue\r\n--b\r\n"),
        (b"a" * 5000 + b"\n", b"", b"epilogue"),
    ],
)
def test_what_stands_around_the_parts_is_passed_over(before: bytes, padding: bytes, after: bytes, size: int) -> None:
    """RFC 2046, section 5.1.1: a preamble, an epilogue, and blanks behind each boundary."""
    sample = SAMPLE[:2000]
    whole = (CALL_ID + audio_field(sample)).replace(b"--b\r\n", b"--b" + padding + b"\r\n") + b"--b--"
    body = before + whole + after + (b"" if after else b"\r\n")
    answer = post(counted([body[start : start + size] for start in range(0, len(body), size)], []))
    assert answer.status_code == 200, answer.text
    assert answer.json()["sha256"] == hashlib.sha256(sample).hexdigest()
    assert answer.json()["call_id"] == "a-call"


@pytest.mark.parametrize(
    "codings",
    [["gzip"], ["x-gzip"], ["deflate"], ["br"], ["zstd"], ["rot13"], ["identity, gzip"], ["identity", "GZIP"]],
)
def test_a_content_coding_is_refused_unread_and_the_answer_says_which_is_taken(codings: list[str]) -> None:
    """RFC 9110, sections 8.4 and 15.5.16."""
    taken: list[int] = []
    headers = [*FORM.items(), ("Accept-Language", "en"), *(("Content-Encoding", coding) for coding in codings)]
    answer = post(counted([audio_field(SAMPLE) + END], taken), headers)
    assert_problem(answer, 415, "unsupported_media")
    assert answer.headers["accept-encoding"] == "identity"
    assert "without Content-Encoding" in answer.json()["detail"]
    assert taken == []


@pytest.mark.parametrize("coding", ["", "identity", "Identity, identity"])
def test_no_content_coding_is_none(coding: str) -> None:
    assert post(audio_field(SAMPLE) + END, {**FORM, "Content-Encoding": coding}).status_code == 200


def test_another_415_does_not_speak_of_codings() -> None:
    """RFC 7694, section 3: only so can a sender tell what was wrong."""
    for content_type, body in (("audio/ogg", SAMPLE), (FORM["Content-Type"], audio_field(ANY) + END)):
        answer = post(body, {"Content-Type": content_type})
        assert_problem(answer, 415, "unsupported_media")
        assert "accept-encoding" not in answer.headers


def test_without_a_call_id_one_is_made() -> None:
    first, second = (post(audio_field(SAMPLE) + END).json() for _ in range(2))
    assert first["new_id"] is second["new_id"] is True
    assert first["call_id"] != second["call_id"]


@pytest.mark.parametrize("call_id", ["", "..", "a/b", "-a", "a b", "a\0b", "é", "１", "a" * 129])
def test_a_call_id_with_other_characters_is_refused(call_id: str) -> None:
    assert_problem(post(field("call_id", call_id.encode()) + audio_field(SAMPLE) + END), 422, "invalid_call_id")


def test_a_few_more_fields_are_let_through_and_no_more() -> None:
    def more(count: int) -> bytes:
        return b"".join(field(f"f{n}") for n in range(count)) + audio_field(SAMPLE) + END

    assert post(more(MAX_FORM_FIELDS)).status_code == 200
    assert_problem(post(more(MAX_FORM_FIELDS + 1)), 422, "invalid_request")


@pytest.mark.parametrize(
    ("declared", "stored"),
    [
        ("audio/ogg", "audio/ogg"),
        ("Audio/OGG; codecs=opus", "audio/ogg"),
        ("video/mp4;a=<b>", "video/mp4"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("audio/<script>", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_what_is_played_back_never_becomes_a_page(declared: str, stored: str) -> None:
    content = (audio_field(SAMPLE) + END).replace(b"audio/ogg", declared.encode(), 1)
    assert post(content).json()["content_type"] == stored


def test_the_limit_is_the_audio_s_and_its_edge_is_taken() -> None:
    assert post(audio_field(SAMPLE) + END, most=len(SAMPLE)).status_code == 200
    assert_problem(post(audio_field(SAMPLE) + END, most=len(SAMPLE) - 1), 413, "body_too_large")


def test_a_declared_length_is_refused_before_anything_is_read() -> None:
    taken: list[int] = []
    answer = post(counted([AUDIO, SAMPLE], taken), {**FORM, "Content-Length": str(MOST * 10)})
    assert_problem(answer, 413, "body_too_large")
    assert taken == []


def test_a_body_without_a_length_is_refused_once_it_is_too_large() -> None:
    taken: list[int] = []
    answer = post(counted([AUDIO, *[bytes(10_000)] * 1000], taken), {**FORM, "Transfer-Encoding": "chunked"})
    assert_problem(answer, 413, "body_too_large")
    assert sum(taken) < 2 * MOST


@pytest.mark.parametrize("begun", [b"", AUDIO, AUDIO + SAMPLE[:1000]], ids=["nothing", "a head", "some audio"])
def test_a_sender_that_stops_is_let_go(begun: bytes) -> None:
    """However long a busy machine takes: nothing comes any more."""

    async def stalling() -> AsyncIterator[bytes]:
        yield begun
        await asyncio.Event().wait()

    assert_problem(post(stalling(), idle_s=0.01), 408, "body_timeout")


def test_a_sender_that_was_fast_is_let_go_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand bytes would do for ten days. `make fuzz` met one that had sent a megabyte."""
    monkeypatch.setattr("frontend.api.upload.SLOWEST_BYTES_PER_S", 0.001)

    async def stalling() -> AsyncIterator[bytes]:
        yield AUDIO + SAMPLE[:1000]
        await asyncio.Event().wait()

    assert_problem(post(stalling(), idle_s=0.01), 408, "body_timeout")


def test_a_sender_that_trickles_is_let_go() -> None:
    """A byte at a time is below 4 KiB/s, and no pause is long: it is the sum that counts."""

    async def trickling() -> AsyncIterator[bytes]:
        yield AUDIO
        while True:
            await asyncio.sleep(0.01)
            yield b"a"

    assert_problem(post(trickling(), idle_s=0.1), 408, "body_timeout")
