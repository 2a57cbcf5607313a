"""What one caller, one bad record or one signal does must not reach the others."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.integration.problems import assert_problem, post
from tests.integration.processes import KEY, FrontEnd, descendants, front_end, wait_for


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """A front end and a Triton for this module, ready."""
    var = tmp_path_factory.mktemp("var")
    with (
        TritonServer(CHECKOUT / "model_repository", log=var / "triton.log") as triton,
        front_end(var, triton.grpc_url) as running,
    ):
        running.start("--drain-seconds", "3")
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        yield running


def stored(one: FrontEnd, call_id: str) -> Path:
    return one.var / "audio" / "calls" / call_id


def test_what_is_no_audio_is_refused_before_it_is_stored(one: FrontEnd) -> None:
    assert_problem(post(one.api, b"hello, this is text\n" * 99, "text"), 415, "unsupported_media")
    assert not stored(one, "text").exists()
    assert_problem(one.api.get("/v1/calls/text"), 404, "call_not_found")


def test_what_is_refused_after_it_was_stored_names_its_call(one: FrontEnd, benchmark: bytes) -> None:
    answer = post(one.api, benchmark[:300])
    assert_problem(answer, 422, "undecodable_audio")
    location = answer.headers["location"]
    assert one.api.get(location).json()["failure"] == {"code": "undecodable_audio", "retryable": False}
    assert one.api.delete(location).status_code == 204
    assert not stored(one, location.rpartition("/")[2]).exists()


def test_audio_that_the_telephone_system_left_is_diagnosed_or_erased(one: FrontEnd, benchmark: bytes) -> None:
    for name in ("phone-1.ogg", "phone-2.ogg"):
        (one.var / "audio" / name).write_bytes(benchmark)
    assert one.api.post("/v1/calls/phone-1/diagnosis").status_code == 201
    assert one.api.post("/v1/calls/phone-1/diagnosis").status_code == 200
    assert [one.api.delete("/v1/calls/phone-2").status_code for _ in range(2)] == [204, 204]
    assert not (one.var / "audio" / "phone-2.ogg").exists()
    assert_problem(one.api.get("/v1/calls/phone-2"), 410, "call_erased")
    assert_problem(one.api.delete("/v1/calls/phone-3"), 404, "call_not_found")


def test_stored_audio_beyond_the_limit_is_not_read(one: FrontEnd) -> None:
    with (one.var / "audio" / "huge.wav").open("wb") as file:
        file.truncate(1 << 32)  # sparse
    assert_problem(one.api.post("/v1/calls/huge/diagnosis"), 413, "body_too_large")


def test_a_record_of_a_newer_version_is_read_and_a_broken_one_stops_nobody(one: FrontEnd, benchmark: bytes) -> None:
    assert post(one.api, benchmark, "newer").status_code == 201
    with closing(sqlite3.connect(one.var / "calls.sqlite")) as store, store:
        (document,) = store.execute("SELECT document FROM calls WHERE id = 'newer'").fetchone()
        changed = {**json.loads(document), "a_new_field": 1, "state": "received", "diagnosis": None}
        store.execute(
            "UPDATE calls SET state = 'received', due_at = '', document = ? WHERE id = 'newer'", (json.dumps(changed),)
        )
        store.execute(
            "INSERT INTO calls (id, sort_key, state, status, version, document, due_at) "
            "VALUES ('broken', '9', 'received', NULL, 1, '{}', '0')"
        )
    assert one.api.get("/v1/calls/newer").status_code == 200
    wait_for(lambda: one.state("newer") == "diagnosed", "the reconciler goes on past the broken record")
    with closing(sqlite3.connect(one.var / "calls.sqlite")) as store, store:
        store.execute("DELETE FROM calls WHERE id = 'broken'")


def test_stalled_bodies_of_one_key_keep_no_other_key_out(one: FrontEnd, tmp_path: Path, benchmark: bytes) -> None:
    """All 64 places are held by one key; before, every other key was refused for ten seconds."""
    with front_end(tmp_path, one.triton_url) as shared, ExitStack() as senders:
        shared.environment["API_KEY"] = f"other:another-key,first:{KEY}"
        shared.start("--workers", "1")
        wait_for(lambda: shared.get("/readyz") == 200, "the front end is ready")
        for _ in range(64):
            sender = senders.enter_context(socket.create_connection(("127.0.0.1", shared.port), timeout=30))
            sender.sendall(stalled_head("another-key"))
        wait_for(lambda: "tosia_recordings_in_work 64.0" in metrics_of(shared), "every place is held")
        assert [post(shared.api, benchmark).status_code for _ in range(3)] == [201] * 3
        assert 'tosia_refusals_total{limit="share"} 1.0' in metrics_of(shared)  # one place is enough for these
        assert "tosia_recordings_in_work 63.0" in metrics_of(shared)


@pytest.mark.system
def test_senders_that_trickle_are_ended(one: FrontEnd, tmp_path: Path) -> None:
    with front_end(tmp_path, one.triton_url, settings="limits: {request_deadline_s: 1}") as impatient:
        impatient.start("--workers", "1")
        wait_for(lambda: impatient.get("/readyz") == 200, "the front end is ready")
        answer = trickled(impatient)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"body_timeout"' in answer


def metrics_of(one: FrontEnd) -> str:
    return httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False).text


def stalled_head(key: str) -> bytes:
    """A head, and the beginning of the body that it declares."""
    return (
        f"POST /v1/diagnoses HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    ).encode()


def trickled(one: FrontEnd) -> bytes:
    """What a sender is told that sends a byte at a time."""
    with socket.create_connection(("127.0.0.1", one.port), timeout=30) as sender:
        sender.sendall(stalled_head(KEY))
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2):
                try:
                    sender.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            return b"".join(iter(lambda: sender.recv(4096), b""))
        finally:
            stop.set()
            thread.join()


def test_what_is_stored_is_nobody_elses(one: FrontEnd, benchmark: bytes) -> None:
    post(one.api, benchmark, "private")
    files = [path for path in one.var.rglob("*") if path.is_file() and path.name not in ("triton.log", "frontend.log")]
    ours = [path for path in files if path.suffix not in (".ogg", ".wav")]  # those the tests have put there
    assert len(ours) >= 2
    assert [path for path in ours if path.stat().st_mode & 0o077] == []


def test_the_log_names_the_key_and_the_route_but_no_call(one: FrontEnd, benchmark: bytes) -> None:
    post(one.api, benchmark, "secret-call-id")
    one.api.get("/v1/calls/secret-call-id")
    log = (one.var / "frontend.log").read_text()
    assert "GET /v1/calls/{call_id} 200" in log
    assert '"key": "default"' in log
    assert "secret-call-id" not in log
    assert KEY not in log


def test_the_processes_that_decode_were_started_without_a_key(one: FrontEnd) -> None:
    """The kernel keeps what a process was started with, and its code can read it."""
    assert one.process is not None
    found = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants(one.process.pid)}
    assert set(one.workers()) < found.keys(), "the one that they are forked from, too"
    assert all(b"TOSIA_STORES=" in environment for environment in found.values())
    assert [pid for pid, environment in found.items() if KEY.encode() in environment] == []


def test_it_answers_while_it_drains_and_then_ends(one: FrontEnd, benchmark: bytes) -> None:
    """Last in this module: it ends the front end."""
    assert one.process is not None
    one.process.send_signal(signal.SIGTERM)
    wait_for(lambda: one.get("/readyz") == 503, "it says that it drains", patience_s=3.0)
    with httpx.Client(
        base_url=one.api.base_url, headers=one.api.headers, trust_env=False, timeout=20
    ) as new_connection:
        assert_problem(new_connection.get("/readyz"), 503, "not_ready")
        assert post(new_connection, benchmark).status_code == 201
    assert one.process.wait(30) == 0
