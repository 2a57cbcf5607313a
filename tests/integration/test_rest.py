"""The routes on the real service."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
import soundfile
from PIL import Image

from frontend.openapi.schemas import CallAnswer, PageAnswer
from laptop.service import CHECKOUT, Service
from tests.integration.problems import assert_problem, post, tone, wav

RECORD = {"call_id", "state", "received_at", "updated_at", "attempts", "failure", "audio", "diagnosis", "guidance"}
DIAGNOSIS = {
    "status", "reasons", "result", "segments", "audio", "model", "preprocess_sha256", "spectrogram_sha256",
    "software_version", "timings_ms", "processor", "near_threshold",
}  # fmt: skip
AUDIO = {
    "sha256", "duration_s", "sample_rate_hz", "codec", "channels", "channel", "snr_db", "clipped_fraction",
    "bandwidth_hz", "parts", "track", "tracks", "pauses_s", "lost_s", "tones",
    "hum_hz", "hum_db",
}  # fmt: skip
SEGMENT = {"start_s", "end_s", "cough_probability", "is_cough", "class_probabilities", "spectrogram_crc32"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
EXPECTED = json.loads((CHECKOUT / "samples" / "expected.json").read_text())


def png_size(answer: httpx.Response) -> tuple[int, int]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    with Image.open(io.BytesIO(answer.content)) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def test_a_record_has_the_fields_of_the_design(api: httpx.Client, benchmark: bytes) -> None:
    before = datetime.now(UTC)
    answer = post(api, benchmark, "rest-fields")
    assert (answer.status_code, answer.headers["location"]) == (201, "/v1/calls/rest-fields")
    record = answer.json()
    assert record.keys() == RECORD
    assert (record["call_id"], record["state"], record["attempts"], record["failure"]) == (
        "rest-fields",
        "diagnosed",
        1,
        None,
    )
    assert TIME.fullmatch(record["received_at"])
    assert TIME.fullmatch(record["updated_at"])
    assert before.isoformat() < record["received_at"] < record["updated_at"]
    sha256 = hashlib.sha256(benchmark).hexdigest()
    assert record["audio"] == {"sha256": sha256, "bytes": len(benchmark), "content_type": "audio/ogg"}
    diagnosis = record["diagnosis"]
    assert diagnosis.keys() == DIAGNOSIS
    assert diagnosis["audio"].keys() == AUDIO
    assert (diagnosis["audio"]["sha256"], diagnosis["audio"]["codec"]) == (sha256, "opus")
    assert diagnosis["segments"]
    for segment in diagnosis["segments"]:
        assert segment.keys() == SEGMENT
        assert (segment["class_probabilities"] is None) == (not segment["is_cough"])
        if segment["is_cough"]:
            assert list(segment["class_probabilities"]) == ["negative", "positive"]
            assert sum(segment["class_probabilities"].values()) == pytest.approx(1.0, abs=1e-5)  # float32 softmax
    assert diagnosis["result"].keys() == {"label", "probability", "thresholds", "validated"}
    assert diagnosis["model"].keys() == {"name", "version", "sha256", "validated"}
    CallAnswer.model_validate(record)
    assert api.get("/v1/calls/rest-fields").json() == record


def test_without_a_call_id_a_uuid7_is_made(api: httpx.Client, benchmark: bytes) -> None:
    first, second = (post(api, benchmark).json()["call_id"] for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert first < second


def test_the_same_call_eight_times_at_once_is_one_call(api: httpx.Client, benchmark: bytes) -> None:
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(post(api, benchmark, "rest-at-once"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.text for answer in answers}) == 1
    listed = [item for item in api.get("/v1/calls?limit=200").json()["items"] if item["call_id"] == "rest-at-once"]
    assert [item["attempts"] for item in listed] == [1]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda item: item["path"].split("/")[-2])
def test_samples_get_their_status(api: httpx.Client, expected: dict[str, object]) -> None:
    answer = post(api, (CHECKOUT / str(expected["path"])).read_bytes())
    assert answer.status_code == 201, answer.text
    diagnosis = answer.json()["diagnosis"]
    assert diagnosis["status"] in expected["statuses"]
    assert set(expected["reasons"]) <= set(diagnosis["reasons"])
    assert diagnosis["audio"]["channel"] == expected.get("channel", 0)


def test_a_call_of_two_parties(api: httpx.Client) -> None:
    audio = post(api, (CHECKOUT / "samples/preprocessing/call/raw.wav").read_bytes()).json()["diagnosis"]["audio"]
    assert (audio["channels"], audio["sample_rate_hz"], audio["codec"]) == (2, 8000, "ulaw")


def put_into_the_container(service: Service, name: str, audio: bytes) -> None:
    (service.var / "audio").mkdir(exist_ok=True)
    (service.var / "audio" / name).write_bytes(audio)


def test_audio_that_lies_in_the_container_already(api: httpx.Client, service: Service, benchmark: bytes) -> None:
    put_into_the_container(service, "rest-stored.ogg", benchmark)
    first = api.post("/v1/calls/rest-stored/diagnosis")
    again = api.post("/v1/calls/rest-stored/diagnosis")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["diagnosis"]["status"] == "ok"
    assert api.get("/v1/calls/rest-stored/audio").content == benchmark
    assert api.delete("/v1/calls/rest-stored").status_code == 204
    assert not (service.var / "audio" / "rest-stored.ogg").exists()


def test_a_broken_recording_in_the_container(api: httpx.Client, service: Service) -> None:
    put_into_the_container(service, "rest-broken.wav", wav(tone(1.0, channels=3)))
    assert_problem(api.post("/v1/calls/rest-broken/diagnosis"), 422, "too_many_channels")


@pytest.fixture(scope="module")
def listed(api: httpx.Client) -> list[str]:
    """Seven calls, oldest first: the third and the sixth failed."""
    ids = [f"listed-{number}" for number in range(7)]
    for number, call_id in enumerate(ids):
        answer = post(api, b"OggS, and no recording" if number in (2, 5) else wav(tone(0.5)), call_id)
        assert answer.status_code == (422 if number in (2, 5) else 201)
    return ids


def pages(api: httpx.Client, query: str, between: Callable[[], None]) -> list[str]:
    found, after = [], ""
    while True:
        page = api.get(f"/v1/calls?{query}&after={after}").json()
        PageAnswer.model_validate(page)
        assert page.keys() == {"items", "next"}
        found += [item["call_id"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = page["next"]
        between()


def test_pages_are_stable_while_calls_arrive(api: httpx.Client, listed: list[str], benchmark: bytes) -> None:
    whole = pages(api, "limit=200", lambda: None)
    arrived: list[int] = []

    def one_arrives() -> None:
        if len(arrived) < 5:
            arrived.append(post(api, benchmark).status_code)

    found = pages(api, "limit=3", one_arrives)
    assert arrived[:2] == [201, 201]  # seven calls at least, so three pages
    assert found == whole
    assert [item for item in found if item in listed] == listed[::-1]


def test_lists_by_state_and_status(api: httpx.Client, listed: list[str]) -> None:
    failed = pages(api, "limit=2&state=failed", lambda: None)
    assert [item for item in failed if item in listed] == ["listed-5", "listed-2"]
    diagnosed = pages(api, "limit=200&state=diagnosed&status=", lambda: None)
    quiet = pages(api, "limit=200&status=no_cough", lambda: None) + pages(
        api, "limit=200&status=poor_quality", lambda: None
    )
    good = ["listed-6", "listed-4", "listed-3", "listed-1", "listed-0"]
    assert [item for item in diagnosed if item in listed] == good
    assert [item for item in sorted(quiet, reverse=True) if item in listed] == good
    assert pages(api, "limit=200&state=received", lambda: None) == []
    assert len(api.get("/v1/calls?limit=1").json()["items"]) == 1
    assert [page for page in pages(api, "limit=200&status=ok", lambda: None) if page in listed] == []


def test_ranges_of_the_audio(api: httpx.Client, benchmark: bytes) -> None:
    size = len(benchmark)
    route = f"/v1/calls/{post(api, benchmark, 'rest-ranges').json()['call_id']}/audio"
    whole = api.get(route)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, benchmark, "bytes")
    for header, start, end in (
        ("bytes=0-99", 0, 100), ("bytes=100-", 100, size), ("bytes=-10", size - 10, size),
        (f"bytes=5-{size * 2}", 5, size),
        (f"bytes=-{size * 2}", 0, size), (f"bytes={size - 1}-", size - 1, size),
    ):  # fmt: skip
        part = api.get(route, headers={"Range": header})
        assert (part.status_code, part.content) == (206, benchmark[start:end]), header
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for header in (f"bytes={size}-", "bytes=-0"):
        assert_problem(answer := api.get(route, headers={"Range": header}), 416, "range_not_satisfiable")
        assert answer.headers["content-range"] == f"bytes */{size}"
    for header in ("bytes=5-2", "bytes=a-b", "lines=0-1", "bytes=0-1,5-6", "bytes=-", "bytes=" + "9" * 5000 + "-"):
        assert api.get(route, headers={"Range": header}).status_code == 200, header


def test_the_channel_to_listen_to(api: httpx.Client) -> None:
    """As WAV whatever came in, and in parts, as an <audio> element asks for them."""
    call = (CHECKOUT / "samples/preprocessing/call/raw.wav").read_bytes()
    diagnosis = post(api, call, "rest-listen").json()["diagnosis"]
    whole = api.get("/v1/calls/rest-listen/audio.wav")
    assert (whole.status_code, whole.headers["content-type"], whole.headers["accept-ranges"]) == (
        200,
        "audio/wav",
        "bytes",
    )
    samples, rate_hz = soundfile.read(io.BytesIO(whole.content))
    assert (samples.ndim, rate_hz) == (1, 8000)
    assert len(samples) / rate_hz == pytest.approx(diagnosis["audio"]["duration_s"], abs=1e-3)
    part = api.get("/v1/calls/rest-listen/audio.wav", headers={"Range": "bytes=44-1043"})
    assert (part.status_code, part.content) == (206, whole.content[44:1044])
    assert_problem(api.get("/v1/calls/nobody/audio.wav"), 404, "call_not_found")
    assert post(api, b"OggS, and no recording", "rest-unheard").status_code == 422
    assert_problem(api.get("/v1/calls/rest-unheard/audio.wav"), 409, "not_diagnosed")


def test_figures(api: httpx.Client, benchmark: bytes) -> None:
    segments = post(api, benchmark, "rest-figure").json()["diagnosis"]["segments"]
    width, height = png_size(api.get("/v1/calls/rest-figure/figure.png", timeout=15.0))
    assert width >= 600
    assert height >= 300
    for n in (0, len(segments) - 1):
        assert png_size(api.get(f"/v1/calls/rest-figure/segments/{n}.png")) == (4 * 96, 4 * 64)
    for n in (len(segments), -1, 10**30):
        assert_problem(api.get(f"/v1/calls/rest-figure/segments/{n}.png"), 404, "call_not_found")


@pytest.mark.parametrize("name", ["silence/raw.flac", "call/raw.wav", "too_short/raw.wav", "clipped/raw.wav"])
def test_every_diagnosis_has_a_figure(api: httpx.Client, name: str) -> None:
    record = post(api, (CHECKOUT / "samples/preprocessing" / name).read_bytes()).json()
    assert png_size(api.get(f"/v1/calls/{record['call_id']}/figure.png"))[0] >= 600


def test_erasing(api: httpx.Client, service: Service, benchmark: bytes) -> None:
    post(api, benchmark, "rest-erased")
    assert (service.var / "audio" / "calls" / "rest-erased").is_dir()
    for _ in range(2):
        answer = api.delete("/v1/calls/rest-erased")
        assert (answer.status_code, answer.content) == (204, b"")
    assert not (service.var / "audio" / "calls" / "rest-erased").exists()
    assert "rest-erased" not in pages(api, "limit=200", lambda: None)
    assert_problem(post(api, benchmark, "rest-erased"), 410, "call_erased")


def test_a_negative_segment_is_none_of_any_call(api: httpx.Client, benchmark: bytes) -> None:
    """Also of a call that has failed, which has no diagnosis to draw."""
    for call_id, audio, status in (("negative-ok", benchmark, 201), ("negative-failed", b"OggS, and no more", 422)):
        posted = api.post("/v1/diagnoses", files={"audio": ("a.ogg", audio)}, data={"call_id": call_id})
        assert posted.status_code == status
        assert api.get(f"/v1/calls/{call_id}/segments/-1.png").status_code == 404
    assert api.get("/v1/calls/negative-failed/segments/0.png").status_code == 409
    assert api.get("/v1/calls/nobody/segments/-1.png").status_code == 404
