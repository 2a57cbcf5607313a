"""What is accepted is finished: Triton stops, freezes, comes late or with another model; the front end is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from runtime.config import digest
from tests.integration.problems import assert_problem, post, tone, wav
from tests.integration.processes import FrontEnd, descendants, front_end, is_running, wait_for

REPOSITORY = CHECKOUT / "model_repository"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """One Triton for this module; tests that stop it start it again, on the same ports."""
    server = TritonServer(REPOSITORY, log=tmp_path_factory.mktemp("log") / "triton.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared_front_end(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """Not started yet."""
    with front_end(tmp_path_factory.mktemp("var"), triton.grpc_url) as one:
        yield one


@pytest.fixture
def running(shared_front_end: FrontEnd) -> FrontEnd:
    """The module's front end, ready; started again where a test has ended it."""
    if shared_front_end.process is None or shared_front_end.process.poll() is not None:
        shared_front_end.start()
    wait_for(lambda: shared_front_end.get("/readyz") == 200, "the front end is ready")
    return shared_front_end


def triton_processes(triton: TritonServer) -> list[int]:
    """tritonserver and its stubs."""
    assert triton._warden is not None
    return descendants(triton._warden.pid)


def inference(one: FrontEnd) -> str:
    answer = one.api.get("/readyz")
    assert answer.status_code == 200, "an outage that comes later must leave the front end ready"
    return str(answer.json()["inference"])


def assert_accepted(answer: httpx.Response, call_id: str) -> None:
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/calls/{call_id}"
    assert int(answer.headers["retry-after"]) > 0
    assert (answer.json()["state"], answer.json()["diagnosis"]) == ("received", None)


def test_triton_stops_and_comes_back(triton: TritonServer, running: FrontEnd, benchmark: bytes) -> None:
    triton.stop()
    try:
        assert_accepted(post(running.api, benchmark, "while-away"), "while-away")
        wait_for(lambda: inference(running) == "degraded", "the outage is noticed")
        assert_accepted(post(running.api, benchmark, "while-away"), "while-away")  # the same call: nothing new
        assert_problem(running.api.get("/v1/calls/while-away/figure.png"), 409, "not_diagnosed")
        # Without candidates there is nothing to ask Triton.
        quiet = post(running.api, wav(tone(3.0) * 0), "quiet-while-away")
        assert (quiet.status_code, quiet.json()["diagnosis"]["status"]) == (201, "poor_quality")
        assert [item["call_id"] for item in running.api.get("/v1/calls?state=received").json()["items"]] == [
            "while-away"
        ]
    finally:
        triton.start()
    wait_for(lambda: running.state("while-away") == "diagnosed", "the call is finished by itself")
    record = running.api.get("/v1/calls/while-away").json()
    assert record["diagnosis"]["status"] == "ok"
    assert record["attempts"] >= 2
    assert inference(running) == "ok"
    assert post(running.api, benchmark, "while-away").status_code == 200


@pytest.mark.system
def test_triton_freezes(triton: TritonServer, tmp_path: Path, benchmark: bytes) -> None:
    """The client's timeout of 20 s guards the 3 s after which it must be answered."""
    with front_end(tmp_path, triton.grpc_url, settings="limits: {request_deadline_s: 3}") as running:
        running.start()
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        frozen = triton_processes(triton)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert_accepted(post(running.api, benchmark, "while-frozen"), "while-frozen")
            assert inference(running) == "degraded"
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: running.state("while-frozen") == "diagnosed", "the call is finished by itself")


def test_a_killed_worker_costs_no_request(running: FrontEnd, benchmark: bytes) -> None:
    long = wav(tone(50.0, 192_000), 192_000)  # 19 MB that keep a worker busy for about a second
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(post(running.api, long, "killed")))
    sender.start()
    wait_for(lambda: running.get("/v1/calls/killed") == 200, "the call is in work")
    for pid in running.workers():
        os.kill(pid, signal.SIGKILL)
    sender.join()
    # Whoever killed it, a good recording is tried again and not condemned.
    assert answers[0].status_code == 201, answers[0].text
    for _ in range(4):
        assert post(running.api, benchmark).status_code == 201
    metrics = httpx.get(f"http://127.0.0.1:{running.metrics_port}/metrics", trust_env=False).text
    assert re.search(r'^tosia_worker_restarts_total\{cause="died"\} [1-9]', metrics, re.M)


@pytest.mark.parametrize("killed", ["one", "all"])
def test_workers_that_are_killed_while_idle_cost_nothing(running: FrontEnd, benchmark: bytes, killed: str) -> None:
    count = len(os.sched_getaffinity(0))
    gone = running.workers()[: 1 if killed == "one" else None]
    for pid in gone:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in gone), "the workers are gone")
    for _ in range(4):
        assert post(running.api, benchmark).status_code == 201
    wait_for(lambda: len(running.workers()) == count, "there are as many workers as before")


def test_liveness_fails_while_work_waits_for_workers_that_can_t_be_had(
    triton: TritonServer, tmp_path: Path, benchmark: bytes
) -> None:
    """And only then: what can be waited for is no reason to restart."""
    settings = (
        "{limits: {worker_timeout_s: 1, request_deadline_s: 1}, service: {stuck_after_s: 2, reconcile_every_s: 0.2}}"
    )
    with front_end(tmp_path, triton.grpc_url, settings=settings) as running:
        running.start("--workers", "1")
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        server = running.fork_server()
        os.kill(server, signal.SIGSTOP)
        try:
            for pid in running.workers():
                os.kill(pid, signal.SIGKILL)
            assert running.get("/healthz") == 200  # nothing waits
            assert_accepted(post(running.api, benchmark, "stuck"), "stuck")
            wait_for(lambda: running.get("/healthz") == 503, "liveness fails")
            assert_problem(running.api.get("/healthz"), 503, "not_ready")
        finally:
            os.kill(server, signal.SIGCONT)
        wait_for(lambda: running.state("stuck") == "diagnosed", "the call is finished")
        assert running.get("/healthz") == 200


def test_the_process_that_workers_are_forked_from_is_killed(running: FrontEnd, benchmark: bytes) -> None:
    """The next one takes seconds for its imports; what waits meanwhile is finished."""
    server, workers = running.fork_server(), running.workers()
    for pid in (server, *workers):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in (server, *workers)), "they are gone")
    assert post(running.api, benchmark).status_code in (201, 202)
    wait_for(lambda: len(running.workers()) == len(workers), "there are as many workers as before")
    assert post(running.api, benchmark).status_code == 201


def test_the_front_end_is_killed_with_a_call_left_and_starts_before_triton(
    triton: TritonServer, running: FrontEnd, benchmark: bytes
) -> None:
    triton.stop()
    try:
        assert_accepted(post(running.api, benchmark, "left-behind"), "left-behind")
        assert running.process is not None
        left = descendants(running.process.pid)
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_for(lambda: not any(is_running(pid) for pid in left), "the workers have followed the front end")
        running.start()
        # Nothing is known about the model yet, so nothing is accepted; what was accepted before is there.
        early = post(running.api, benchmark, "too-early")
        for answer in (early, running.api.get("/readyz"), running.api.get("/v1/model")):
            assert_problem(answer, 503, "not_ready")
        assert running.get("/v1/calls/too-early") == 404
        assert running.get("/healthz") == 200
        assert running.state("left-behind") == "received"
    finally:
        triton.start()
    wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
    wait_for(lambda: running.state("left-behind") == "diagnosed", "the call is finished after the restart")
    assert post(running.api, benchmark, "too-early").status_code == 201


def test_a_request_at_sigterm_is_still_answered(running: FrontEnd, benchmark: bytes) -> None:
    """The request's second half is sent after the signal."""
    head, tail = benchmark[:1000], benchmark[1000:]
    terminated = threading.Event()

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x.ogg"\r\n\r\n' + head
        assert running.process is not None
        running.process.terminate()
        terminated.wait(1.0)
        yield tail + b"\r\n--b--\r\n"

    answer = running.api.post(
        "/v1/diagnoses", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status_code, answer.json()["diagnosis"]["status"]) == (201, "ok")
    assert running.process is not None
    assert running.process.wait(30) == 0
    assert "Traceback" not in (running.var / "frontend.log").read_text()


@pytest.mark.system
def test_a_model_with_other_parameters_is_refused(tmp_path: Path, benchmark: bytes) -> None:
    repository = shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    config = repository / "cough_cnn" / "config.pbtxt"
    text = config.read_text()
    parameters = next(line for line in text.splitlines() if "hop_length" in line).partition('"')[2].rpartition('"')[0]
    ours = json.loads(parameters.replace('\\"', '"'))
    other = {**ours, "mel_spec": {**ours["mel_spec"], "hop_length": 96}}
    edited = json.dumps(other, sort_keys=True, separators=(",", ":")).replace('"', '\\"')
    config.write_text(text.replace(parameters, edited).replace(digest(ours), digest(other)))
    with TritonServer(repository, log=tmp_path / "triton.log") as triton, front_end(tmp_path, triton.grpc_url) as one:
        one.start("--workers", "1")
        wait_for(lambda: "trained" in one.api.get("/readyz").text, "the model's parameters are seen")
        answer = one.api.get("/readyz")
        assert_problem(answer, 503, "not_ready")
        detail = answer.json()["detail"]
        assert detail.startswith("mel_spec.hop_length is 80, but the model was trained with 96")
        assert_problem(post(one.api, benchmark, "other-model"), 503, "not_ready")
        assert one.get("/v1/calls/other-model") == 404
        assert one.get("/healthz") == 200
