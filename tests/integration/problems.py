"""What every refusal must look like, and how recordings are posted."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "request_id"}


def post(api: httpx.Client, audio: bytes, call_id: str | None = None, **more: Any) -> httpx.Response:
    """POST /v1/diagnoses with a recording."""
    return api.post(
        "/v1/diagnoses",
        files={"audio": ("recording.ogg", audio, "audio/ogg")},
        data={"call_id": call_id} if call_id is not None else None,
        **more,
    )


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """RFC 9457 with our two members more, and an id that is also in the header."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem.keys() == PROBLEM_FIELDS
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["type"] == f"urn:tosia:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"].endswith(".")
    if status == 503:
        assert int(answer.headers["retry-after"]) > 0


def assert_still_works(api: httpx.Client, benchmark: bytes) -> None:
    """The next good request succeeds."""
    answer = post(api, benchmark)
    assert answer.status_code == 201, answer.text
    assert answer.json()["diagnosis"]["status"] == "ok"


def wav(samples: NDArray[Any], rate_hz: int = 16_000, subtype: str = "PCM_16", container: str = "WAV") -> bytes:
    """samples: (n,) or (n, channels)"""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=container, subtype=subtype)
    return buffer.getvalue()


def tone(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> NDArray[np.float32]:
    """440 Hz at a tenth of full scale, (n, channels)."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(0.1 * np.sin(2 * np.pi * 440 * t)[:, None], channels, axis=1).astype(np.float32)
