"""Bodies that are not the multipart form that one should send."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from laptop.service import Service
from tests.integration.problems import assert_problem, assert_still_works, post

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
        "invalid_request",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(api: httpx.Client, benchmark: bytes, name: str) -> None:
    content_type, body, status, code = BODIES[name]
    headers = {"Content-Type": content_type} if content_type else {}
    assert_problem(api.post("/v1/diagnoses", content=body, headers=headers), status, code)
    assert_still_works(api, benchmark)


def test_a_body_cut_in_the_middle_of_the_audio(api: httpx.Client, benchmark: bytes) -> None:
    whole = audio_field(benchmark) + END
    assert_problem(api.post("/v1/diagnoses", content=whole[: len(whole) // 2], headers=FORM), 422, "missing_audio")


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "no-such-charset", "rot13", "a" * 1000])
def test_other_charsets_do_no_harm(api: httpx.Client, benchmark: bytes, charset: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    answer = api.post("/v1/diagnoses", content=audio_field(benchmark) + END, headers=headers)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "filename",
    ["", "../../etc/passwd", "a\0b.ogg", "<script>.ogg", "x\r\nSet-Cookie: a=b.ogg", "é" * 2000],
)
def test_file_names_are_never_used(api: httpx.Client, service: Service, benchmark: bytes, filename: str) -> None:
    body = AUDIO.replace(b"x.ogg", filename.encode()) + benchmark + b"\r\n" + END
    answer = api.post("/v1/diagnoses", content=body, headers=FORM)
    assert answer.status_code == 201, answer.text
    assert "set-cookie" not in answer.headers
    assert "passwd" not in answer.text
    names = [name for _, folders, files in os.walk(Path(service.var)) for name in (*folders, *files)]
    assert not [name for name in names if "passwd" in name or "script" in name]


def test_a_file_name_that_smuggles_in_another_field_name_gives_no_audio(api: httpx.Client, benchmark: bytes) -> None:
    body = AUDIO.replace(b"x.ogg", b'x"; name="call_id') + benchmark + b"\r\n" + END
    assert_problem(api.post("/v1/diagnoses", content=body, headers=FORM), 422, "missing_audio")


@pytest.mark.parametrize("content_type", ["text/html", "audio/ogg\r\nX-Evil: 1", "image/svg+xml", "video/mp4;a=<b>"])
def test_what_is_played_back_never_becomes_a_page(api: httpx.Client, benchmark: bytes, content_type: str) -> None:
    body = AUDIO.replace(b"audio/ogg", content_type.encode()) + benchmark + b"\r\n" + END
    record = api.post("/v1/diagnoses", content=body, headers=FORM).json()
    answer = api.get(f"/v1/calls/{record['call_id']}/audio")
    assert answer.headers["content-type"] in {"application/octet-stream", "audio/ogg", "video/mp4"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-evil" not in answer.headers
    assert answer.content == benchmark


def test_html_in_a_call_is_never_sent_as_a_page(api: httpx.Client) -> None:
    page = b"OggS<!doctype html><script>alert(document.domain)</script>"  # stored, since its first bytes name a format
    assert_problem(post(api, page, "stored-xss"), 422, "undecodable_audio")
    answer = api.get("/v1/calls/stored-xss/audio")
    assert (answer.status_code, answer.content) == (200, page)
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("audio/ogg", "nosniff")


def test_other_fields_beside_the_audio_are_let_through(api: httpx.Client, benchmark: bytes) -> None:
    body = field("comment", "Grüße".encode()) + audio_field(benchmark) + field("call_id", b"with-a-comment") + END
    answer = api.post("/v1/diagnoses", content=body, headers=FORM)
    assert (answer.status_code, answer.json()["call_id"]) == (201, "with-a-comment")
