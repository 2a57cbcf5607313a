"""Recordings without a header through the API, and from where the telephone system puts them."""

from __future__ import annotations

import httpx
import pytest

from laptop.service import Service
from tests.preprocess.test_headerless import SAMPLES, heard, written


def post(api: httpx.Client, data: bytes, call_id: str, **fields: str) -> httpx.Response:
    return api.post(
        "/v1/diagnoses", files={"audio": ("a", data)}, data={"call_id": call_id, **fields},
        headers={"Accept-Language": "en"},
    )  # fmt: skip


def raw(word: str) -> bytes:
    return written(*heard(SAMPLES / "benchmark_1" / "raw.ogg"), word)


@pytest.mark.parametrize("word", ["ulaw", "alaw", "sln", "g722", "gsm"])
def test_a_recording_is_taken_as_what_it_is_said_to_be(api: httpx.Client, word: str) -> None:
    answer = post(api, raw(word), f"raw-{word}", format=word)
    assert answer.status_code == 201, answer.text
    call = answer.json()
    assert call["audio"]["format"] == word
    assert [segment["is_cough"] for segment in call["diagnosis"]["segments"]].count(True) > 0
    for path in ("figure.png", "audio.wav", "segments/0.png"):
        assert api.get(f"/v1/calls/raw-{word}/{path}").status_code == 200
    assert api.get(f"/v1/calls/raw-{word}/audio").content == raw(word)
    assert post(api, raw(word), f"raw-{word}", format=word).status_code == 200  # sent again


def test_another_word_for_the_same_bytes_is_another_recording(api: httpx.Client) -> None:
    assert post(api, raw("ulaw"), "raw-words", format="ulaw").status_code == 201
    assert post(api, raw("ulaw"), "raw-words", format="alaw").status_code == 409


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "say in `format` what a recording without a header is"),
        ({"format": "alaw"}, "This is not alaw"),
        ({"format": "sln"}, "This is not sln"),
        ({"format": "g722"}, "This is not g722"),
        ({"format": "gsm"}, "This is not gsm"),
        ({"format": "mp3"}, "one of ulaw, alaw, sln, g722, gsm"),
    ],
)
def test_a_wrong_word_is_an_error(api: httpx.Client, fields: dict[str, str], says: str) -> None:
    answer = post(api, raw("ulaw"), f"wrong-{fields.get('format', 'none')}", **fields)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    assert says in answer.json()["detail"]


def test_a_file_with_a_header_needs_no_word(api: httpx.Client, benchmark: bytes) -> None:
    answer = post(api, benchmark, "with-header", format="ulaw")
    assert answer.status_code == 415
    assert "leave out `format`" in answer.json()["detail"]
    assert post(api, benchmark, "empty-word", format="").status_code == 201
    assert "format" not in post(api, benchmark, "no-word").json()["audio"]


@pytest.mark.parametrize("name", ["phone-1.sln", "phone-2.ULAW", "phone-3.gsm"])
def test_the_name_of_stored_audio_says_what_it_is(service: Service, api: httpx.Client, name: str) -> None:
    call_id, _, word = name.lower().partition(".")
    (service.var / "audio").mkdir(exist_ok=True)
    (service.var / "audio" / name).write_bytes(raw(word))
    answer = api.post(f"/v1/calls/{call_id}/diagnosis")
    assert answer.status_code == 201, answer.text
    assert answer.json()["audio"]["format"] == word
    assert api.get(f"/v1/calls/{call_id}/figure.png").status_code == 200


def test_a_wrong_name_is_an_error(service: Service, api: httpx.Client) -> None:
    (service.var / "audio").mkdir(exist_ok=True)
    (service.var / "audio" / "phone-9.alaw").write_bytes(raw("ulaw"))
    answer = api.post("/v1/calls/phone-9/diagnosis", headers={"Accept-Language": "en"})
    assert answer.status_code == 415
    assert "This is not alaw" in answer.json()["detail"]
