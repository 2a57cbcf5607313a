"""Every recording that one should not send, sent: each gets its status and code within 5 s, and a good one
still works.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from laptop.service import CHECKOUT
from tests.integration.problems import assert_problem, assert_still_works, post, tone, wav

BENCHMARK = (CHECKOUT / "samples/preprocessing/benchmark_1/raw.ogg").read_bytes()
RATE_HZ = 16_000


def with_value(value: float) -> bytes:
    samples = tone(2.0)
    samples[RATE_HZ] = value
    return wav(samples, subtype="FLOAT")


def two_hours_of_silence() -> bytes:
    """8 kHz FLAC: 7200 s in a few hundred kB."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(120):
            file.write(np.zeros(8000 * 60, dtype=np.int16))
    assert buffer.tell() < 2_000_000
    return buffer.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (lambda: b"", 422, "empty_audio"),
    "text": (lambda: b"This is not a recording.\n" * 40, 415, "unsupported_media"),
    "html": (lambda: b"<!doctype html><script>alert(1)</script>", 415, "unsupported_media"),
    "zip": (lambda: b"PK\x03\x04" + bytes(400), 415, "unsupported_media"),
    "one byte": (lambda: b"O", 415, "unsupported_media"),
    "magic of OGG alone": (lambda: b"OggS", 422, "undecodable_audio"),
    "headers of OGG alone": (lambda: BENCHMARK[:60], 422, "undecodable_audio"),
    "0 samples": (lambda: wav(np.zeros((0, 1))), 422, "undecodable_audio"),
    "NaN": (functools.partial(with_value, np.nan), 422, "undecodable_audio"),
    "Inf": (functools.partial(with_value, np.inf), 422, "undecodable_audio"),
    "-Inf": (functools.partial(with_value, -np.inf), 422, "undecodable_audio"),
    "10 minutes": (lambda: wav(tone(600.0)), 422, "audio_too_long"),
    "10 minutes of FLAC": (lambda: wav(tone(600.0, 8000), 8000, container="FLAC"), 422, "audio_too_long"),
    "121 s": (lambda: wav(tone(121.0, 8000), 8000), 422, "audio_too_long"),
    "2 hours of silence": (two_hours_of_silence, 422, "audio_too_long"),
    "8 channels": (lambda: wav(tone(1.0, channels=8)), 422, "too_many_channels"),
    "3 channels": (lambda: wav(tone(1.0, channels=3)), 422, "too_many_channels"),
    "1 kHz": (lambda: wav(tone(2.0, 1000), 1000), 422, "unsupported_sample_rate"),
    "384 kHz": (lambda: wav(tone(1.0, 384_000), 384_000), 422, "unsupported_sample_rate"),
}


def dc() -> bytes:
    return wav(np.full((RATE_HZ * 3, 1), 0.5))


def square_wave() -> bytes:
    return wav(np.sign(tone(3.0) + 1e-6))


def clipped_noise() -> bytes:
    return wav(np.clip(np.random.default_rng(0).normal(0.0, 3.0, (RATE_HZ * 3, 1)), -1.0, 1.0))


# What is wrong with these is said by the diagnosis.
DIAGNOSED: dict[str, tuple[Callable[[], bytes], set[str], set[str]]] = {
    "1 sample": (lambda: wav(np.full((1, 1), 0.5)), {"poor_quality"}, {"too_short"}),
    "0.19 s": (lambda: wav(tone(0.19)), {"poor_quality"}, {"too_short"}),
    "silence": (lambda: wav(np.zeros((RATE_HZ * 3, 1))), {"poor_quality"}, {"silent"}),
    "DC only": (dc, {"no_cough", "poor_quality"}, set()),
    "square wave": (square_wave, {"poor_quality"}, {"clipped"}),
    "clipped noise": (clipped_noise, {"poor_quality"}, {"clipped"}),
    "tone": (lambda: wav(tone(3.0)), {"no_cough", "poor_quality"}, set()),
    "120 s": (lambda: wav(tone(120.0, 8000), 8000), {"no_cough", "poor_quality"}, set()),
    "192 kHz": (lambda: wav(tone(2.0, 192_000), 192_000), {"no_cough", "poor_quality"}, set()),
    "4 kHz": (lambda: wav(tone(2.0, 4000), 4000), {"no_cough", "poor_quality"}, set()),
    "float beyond full scale": (lambda: wav(tone(2.0) * 1e6, subtype="FLOAT"), {"no_cough", "poor_quality"}, set()),
    "float near zero": (lambda: wav(tone(2.0) * 1e-30, subtype="FLOAT"), {"poor_quality"}, {"silent"}),
}


@pytest.fixture(scope="module", autouse=True)
def still_works(api: httpx.Client, benchmark: bytes) -> Iterator[None]:
    """After all of these a good recording is diagnosed; tests that leave more behind ask by themselves."""
    yield
    assert_still_works(api, benchmark)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_recordings(api: httpx.Client, name: str) -> None:
    make, status, code = REFUSED[name]
    assert_problem(post(api, make()), status, code)


@pytest.mark.parametrize("name", DIAGNOSED)
def test_recordings_without_anything_to_believe(api: httpx.Client, name: str) -> None:
    make, statuses, reasons = DIAGNOSED[name]
    answer = post(api, make())
    assert answer.status_code == 201, answer.text
    diagnosis = answer.json()["diagnosis"]
    assert diagnosis["status"] in statuses
    assert reasons <= set(diagnosis["reasons"])
    assert diagnosis["result"] is None


@pytest.mark.parametrize("kept", [0.5, 0.8, 0.99])
def test_truncated_ogg_is_diagnosed_and_says_so(api: httpx.Client, benchmark: bytes, kept: float) -> None:
    answer = post(api, benchmark[: int(len(benchmark) * kept)])
    assert answer.status_code == 201, answer.text
    assert "truncated" in answer.json()["diagnosis"]["reasons"]
    assert_still_works(api, benchmark)


@pytest.mark.parametrize("seeds", [range(first, first + 25) for first in range(0, 100, 25)], ids=str)
def test_ogg_with_64_random_bytes_changed(api: httpx.Client, benchmark: bytes, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        damaged = np.frombuffer(benchmark, dtype=np.uint8).copy()
        damaged[rng.choice(len(damaged), 64, replace=False)] = rng.integers(0, 256, 64, dtype=np.uint8)
        answer = post(api, damaged.tobytes())
        if answer.status_code == 201:
            assert answer.json()["state"] == "diagnosed", (seed, answer.text)
        elif answer.status_code == 415:
            assert_problem(answer, 415, "unsupported_media")
        else:
            assert answer.json()["code"] in {
                "undecodable_audio", "audio_too_long", "too_many_channels", "unsupported_sample_rate",
            }, (seed, answer.text)  # fmt: skip
            assert_problem(answer, 422, answer.json()["code"])
    assert_still_works(api, benchmark)


def test_the_same_call_twice(api: httpx.Client, benchmark: bytes) -> None:
    first = post(api, benchmark, "bad-input-twice")
    again = post(api, benchmark, "bad-input-twice")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_the_same_call_with_other_audio(api: httpx.Client, benchmark: bytes) -> None:
    assert post(api, benchmark, "bad-input-other").status_code == 201
    assert_problem(post(api, wav(tone(1.0)), "bad-input-other"), 409, "call_conflict")
    assert api.get("/v1/calls/bad-input-other").json()["audio"]["bytes"] == len(benchmark)
    assert_still_works(api, benchmark)


def test_a_refused_recording_is_refused_again_with_its_code(api: httpx.Client) -> None:
    audio = wav(tone(1.0, channels=3))
    for _ in range(2):
        assert_problem(post(api, audio, "bad-input-refused"), 422, "too_many_channels")
    record = api.get("/v1/calls/bad-input-refused").json()
    assert (record["state"], record["failure"]) == ("failed", {"code": "too_many_channels", "retryable": False})
    assert_problem(api.get("/v1/calls/bad-input-refused/figure.png"), 409, "not_diagnosed")
    assert_problem(api.get("/v1/calls/bad-input-refused/segments/0.png"), 409, "not_diagnosed")


ROUTES = ["", "/audio", "/figure.png", "/segments/0.png"]


@pytest.mark.parametrize("route", ROUTES)
def test_an_unknown_call(api: httpx.Client, route: str) -> None:
    assert_problem(api.get(f"/v1/calls/nobody{route}"), 404, "call_not_found")


def test_an_unknown_call_can_be_neither_diagnosed_nor_erased(api: httpx.Client) -> None:
    assert_problem(api.post("/v1/calls/nobody/diagnosis"), 404, "call_not_found")
    assert_problem(api.delete("/v1/calls/nobody"), 404, "call_not_found")


def test_an_erased_call(api: httpx.Client, benchmark: bytes) -> None:
    assert post(api, benchmark, "bad-input-erased").status_code == 201
    assert api.delete("/v1/calls/bad-input-erased").status_code == 204
    for route in ROUTES:
        assert_problem(api.get(f"/v1/calls/bad-input-erased{route}"), 410, "call_erased")
    assert_problem(post(api, benchmark, "bad-input-erased"), 410, "call_erased")
    assert_problem(api.post("/v1/calls/bad-input-erased/diagnosis"), 410, "call_erased")
    assert_still_works(api, benchmark)


@pytest.mark.parametrize(
    "call_id",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "-a",
        "=a",
        "a b",
        "a\0b",
        "a\nb",
        "é",
        "１",
        "a" * 129,
        "a%2Fb",
    ],
)
def test_call_ids_with_other_characters(api: httpx.Client, benchmark: bytes, call_id: str) -> None:
    assert_problem(post(api, benchmark, call_id), 422, "invalid_call_id")


@pytest.mark.parametrize("call_id", ["a" * 128, "A.b_c=d-9", "9", "a..b"])
def test_call_ids_at_the_edge_of_what_is_allowed(api: httpx.Client, benchmark: bytes, call_id: str) -> None:
    answer: Any = post(api, benchmark, call_id)
    assert answer.status_code == 201
    assert api.get(f"/v1/calls/{call_id}").json() == answer.json()
    assert api.get(f"/v1/calls/{call_id}/audio").content == benchmark
