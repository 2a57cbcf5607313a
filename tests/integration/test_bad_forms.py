"""Bodies that are not the multipart form that one should send."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from laptop.service import Service
from tests.frontend.api.test_upload import AUDIO, BODIES, END, FORM, audio_field, field
from tests.integration.problems import assert_problem, assert_still_works, post

# Each way of being refused once over a socket; all of them are in tests/frontend/api/test_upload.py.
OVER_A_SOCKET = (
    "JSON",
    "no content type",
    "no boundary",
    "a boundary that is never closed",
    "another field with the file",
    "10,000 fields after the file",
    "a part header of 1 MB",
    "the charset `undefined`",
)


@pytest.mark.parametrize("name", OVER_A_SOCKET)
def test_bodies(api: httpx.Client, benchmark: bytes, name: str) -> None:
    content_type, body, status, code = BODIES[name]
    headers = {"Content-Type": content_type} if content_type else {}
    assert_problem(api.post("/v1/diagnoses", content=body, headers=headers), status, code)
    assert_still_works(api, benchmark)


def test_a_body_cut_in_the_middle_of_the_audio(api: httpx.Client, benchmark: bytes) -> None:
    whole = audio_field(benchmark) + END
    assert_problem(api.post("/v1/diagnoses", content=whole[: len(whole) // 2], headers=FORM), 422, "missing_audio")


@pytest.mark.parametrize("charset", ["utf-16", "rot13"])
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
