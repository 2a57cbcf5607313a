"""Answers follow Accept-Language, Spanish where it asks for nothing that we have."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from laptop.service import Service
from tests.conftest import SAMPLES
from tests.integration.problems import assert_problem, post

CLOSER = {
    "es": "Acerque el teléfono y tosa dos o tres veces.",
    "en": "Hold the telephone closer and cough two or three times.",
}
NO_CALL = {"es": "No existe esa llamada", "en": "There is no such call"}


@pytest.mark.parametrize(
    ("header", "expected"), [("en-US,en;q=0.9", "en"), ("es-MX", "es"), ("pt-BR", "es"), (None, "es")]
)
def test_every_answer_about_a_call(api: httpx.Client, header: str | None, expected: str) -> None:
    headers = {"Accept-Language": header} if header else {}
    call_id = f"language-{(header or 'none').partition(',')[0]}"
    speech = (SAMPLES / "speech_like" / "raw.ogg").read_bytes()
    posted = post(api, speech, call_id, headers=headers)
    read = api.get(f"/v1/calls/{call_id}", headers=headers)
    again = post(api, speech, call_id, headers=headers)
    page = api.get("/v1/calls", params={"limit": 1}, headers=headers)
    for answer in (posted, read, again, page):
        assert (answer.headers["content-language"], answer.headers["vary"]) == (expected, "Accept-Language")
    for record in (posted.json(), read.json(), again.json(), page.json()["items"][0]):
        assert record["call_id"] == call_id
        assert record["guidance"]["language"] == expected
        assert CLOSER[expected] in record["guidance"]["hints"]


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_problem(service: Service, api: httpx.Client, language: str) -> None:
    headers = {"Accept-Language": language}
    answer = api.get("/v1/calls/nobody", headers=headers)
    assert_problem(answer, 404, "call_not_found")
    assert answer.json()["title"] == NO_CALL[language]
    answers = [
        answer,
        httpx.get(f"{service.url}/v1/calls", headers=headers, trust_env=False),  # no key
        api.get("/v1/calls", params={"limit": 0}, headers=headers),
        api.get("/nothing", headers=headers),
        api.put("/v1/calls", headers=headers),
        post(api, b"not audio", headers=headers),
        post(api, b"", headers=headers),
    ]
    for item in answers:
        assert item.status_code >= 400
        assert (item.headers["content-language"], item.headers["vary"]) == (language, "Accept-Language")
    english = [item.json()["detail"] for item in answers]
    if language == "es":
        assert not {"the", "is", "send", "see"} & {word.lower() for text in english for word in text.split()}, english


def test_figures(api: httpx.Client, benchmark: bytes) -> None:
    post(api, benchmark, "language-figure")
    spanish, english = (
        api.get("/v1/calls/language-figure/figure.png", headers={"Accept-Language": item}) for item in ("es", "en")
    )
    assert (spanish.headers["content-language"], english.headers["content-language"]) == ("es", "en")
    assert spanish.content != english.content


def test_the_same_call_is_stored_once_for_both(api: httpx.Client, benchmark: bytes) -> None:
    """Words are no part of what is stored."""
    first = post(api, benchmark, "both-languages", headers={"Accept-Language": "es"}).json()
    second = post(api, benchmark, "both-languages", headers={"Accept-Language": "en"}).json()
    assert first.pop("guidance") != second.pop("guidance")
    assert first == second


def test_a_header_that_comes_twice_is_one_list(api: httpx.Client) -> None:
    headers: Any = [("Accept-Language", "fr"), ("Accept-Language", "en;q=0.5")]
    answer = api.get("/v1/calls/nobody", headers=headers)
    assert answer.headers["content-language"] == "en"
