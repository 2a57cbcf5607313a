"""The intake as a process: the real Azurite queue and blobs, the Cosmos server, the real Triton."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueClient

from frontend.adapters.intake.events import Landed, message_of
from laptop.service import CHECKOUT, Service
from tests.intake.rig import Rig, cloud_event, command, event_grid, intake, wait_until
from tests.integration.processes import front_end, wait_for

pytestmark = pytest.mark.timeout(300)
FAST = {"TOSIA_INTAKE__POLL_S": "0.2", "TOSIA_INTAKE__RETRY_PAUSE_S": "0"}


def test_what_lands_is_diagnosed_in_both_schemas_and_once(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.land("phone-1.ogg", benchmark)
        rig.land("phone-2.ogg", benchmark, times=3, schema=cloud_event)
        rig.land("calls/folder-1/from-the-exchange", benchmark, schema=cloud_event)
        rig.queue.send_message('{"eventType": "x", "subject": "y", "data": {}}')  # not base64, and of another kind
        wait_until(lambda: len(rig.records()) == 3 and rig.settled(), "all are diagnosed")
        found = rig.records()
        assert {item["state"] for item in found.values()} == {"diagnosed"}
        assert found["folder-1"]["audio"]["name"] == "calls/folder-1/from-the-exchange"
        assert rig.results_written() == {"phone-1": 1, "phone-2": 1, "folder-1": 1}
        wait_until(lambda: one.outcome("diagnosed") == 3 and one.outcome("known") == 2, "all are counted")
        assert one.outcome("passed") == 1
        assert one.process is not None
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(60.0) == 0
    assert rig.poisoned() == []


@pytest.mark.system
def test_our_own_writes_releases_and_other_containers_need_no_work(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    with front_end(tmp_path, service.triton_url, stores=rig.account.environment()) as rest:
        rest.start("--workers", "1")
        wait_for(lambda: rest.get("/readyz") == 200, "the front end is ready")
        answer = rest.api.post("/v1/diagnoses", files={"audio": ("a.ogg", benchmark)}, data={"call_id": "by-rest"})
        assert answer.status_code == 201
    (own,) = [name for name in rig.account.blobs() if name.startswith("calls/by-rest/")]
    before = rig.results_written()
    container = rig.account.container
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.announce(event_grid(container, own))
        # A front end has written this one and is about to create the record, with its own key and format.
        rig.land(f"calls/in-work/{hashlib.sha256(benchmark).hexdigest()}", benchmark)
        rig.announce(event_grid(container, "releases/12/model.onnx"))
        rig.announce(cloud_event("another", "phone-1.ogg"))
        rig.announce(event_grid(container, "phone-1.ogg", kind="Microsoft.Storage.BlobDeleted"))
        rig.announce(event_grid(container, "phone-1.ogg", api="CreateFile"))
        wait_until(lambda: rig.waiting() == 0, "the queue is empty")
        wait_until(lambda: one.outcome("passed") == 6, "all are counted")
        assert one.log.read_text().count("is BLOB_CONTAINER where recordings land?") == 1
    assert (rig.results_written(), rig.poisoned()) == (before, [])
    assert list(rig.records()) == ["by-rest"]


@pytest.mark.system
def test_audio_of_an_erased_call_is_erased_again(rig: Rig, service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with front_end(tmp_path, service.triton_url, stores=rig.account.environment()) as rest:
        rest.start("--workers", "1")
        wait_for(lambda: rest.get("/readyz") == 200, "the front end is ready")
        rest.api.post("/v1/diagnoses", files={"audio": ("a.ogg", benchmark)}, data={"call_id": "gone"})
        assert rest.api.delete("/v1/calls/gone").status_code == 204
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.land("gone.ogg", benchmark)
        wait_until(lambda: rig.waiting() == 0, "the queue is empty")
        wait_until(lambda: one.outcome("erased") == 1, "it is counted")
    assert rig.records() == {}
    assert rig.account.blobs() == {}


@pytest.mark.system
def test_what_can_not_be_diagnosed_fails_or_is_poisoned_with_its_reason(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    container = rig.account.container
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.land("noise.ogg", b"OggS, but nothing else of it")
        rig.announce(event_grid(container, "missing.ogg"))
        rig.land("empty.ogg", b"")
        rig.queue.send_message("no event at all")
        rig.announce(event_grid(container, "-no-call.ogg"))
        wait_until(lambda: rig.waiting() == 0, "the queue is empty")
        assert rig.records()["noise"]["state"] == "failed"
        found = {item.get("blob", ""): (item["reason"], item["failures"]) for item in rig.poisoned()}
        assert found.items() >= {"missing.ogg": ("audio_missing", 5), "empty.ogg": ("audio_missing", 5)}.items()
        assert found.items() >= {"-no-call.ogg": ("name_is_no_call", 1), "": ("no_storage_event", 1)}.items()
        # What an operator sees, and sends again once the audio is there.
        listed = command(rig, "--list-poison")
        assert (listed.returncode, "audio_missing after 5: missing.ogg" in listed.stdout) == (0, True)
        assert "4 messages in the poison queue." in listed.stdout
        rig.account.put("missing.ogg", benchmark)
        rig.account.put("empty.ogg", benchmark)
        only = command(rig, "--retry", "--blob", "empty.ogg")
        assert only.stdout == "1 messages sent again, 3 left.\n"
        assert command(rig, "--retry").stdout == "2 messages sent again, 1 left.\n"
        wait_until(lambda: {"missing", "empty"} <= rig.records().keys() and rig.settled(), "both are diagnosed")
        wait_until(lambda: len(rig.poisoned()) == 2, "the one without an id was given up again")
    assert {name: rig.records()[name]["state"] for name in ("missing", "empty")} == {
        "missing": "diagnosed",
        "empty": "diagnosed",
    }
    assert sorted(item["reason"] for item in rig.poisoned()) == ["name_is_no_call", "no_storage_event"]


@pytest.mark.system
def test_another_recording_under_a_taken_id_is_poisoned_at_once(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.land("twice.ogg", benchmark)
        wait_until(lambda: "twice" in rig.records() and rig.settled(), "the first is diagnosed")
        rig.land("twice.wav", benchmark)
        wait_until(lambda: rig.waiting() == 0 and rig.poisoned() != [], "the second is given up")
    (given_up,) = rig.poisoned()
    assert (given_up["blob"], given_up["reason"], given_up["failures"]) == ("twice.wav", "call_conflict", 1)
    assert rig.results_written() == {"twice": 1}


def test_a_message_says_nothing_of_the_caller_but_the_blobs_name(rig: Rig, service: Service, tmp_path: Path) -> None:
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        rig.announce(event_grid(rig.account.container, "5215512345678.ogg", url="https://a/calls/5215512345678.ogg"))
        wait_until(lambda: rig.poisoned() != [], "it is given up")
        log = one.log.read_text()
    (given_up,) = rig.poisoned()
    assert given_up == {"tosia_intake": 1, "blob": "5215512345678.ogg", "failures": 5, "reason": "audio_missing"}
    assert "5215512345678" not in log


@pytest.mark.system
def test_nothing_is_taken_while_triton_is_away(rig: Rig, service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with intake(rig, "127.0.0.1:1", tmp_path, TRITON_MAY_SLEEP="1", **FAST) as one:
        one.start()
        rig.land("later.ogg", benchmark)
        wait_until(lambda: _answers(one.metrics_port), "it runs")
        wait_until(lambda: "tosia_intake_waiting_messages" in one.metrics(), "it has looked")
        wait_until(
            lambda: 'tosia_intake_waiting_messages{queue="queue"} 1.0' in one.metrics(), "it has seen the message"
        )
        assert _receives(rig.queue) == 0
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        wait_until(lambda: "later" in rig.records() and rig.settled(), "it is diagnosed")


@pytest.mark.system
def test_a_consumer_that_is_told_to_end_leaves_nothing_half_done(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    """Also if it is told twice: what is in work is finished, and what waits was not taken."""
    names = [f"many-{n}" for n in range(40)]
    for n, name in enumerate(names):
        rig.land(f"{name}.ogg", benchmark + bytes([n]))
    with intake(rig, service.triton_url, tmp_path, **FAST) as one:
        one.start()
        wait_until(lambda: rig.records() != {}, "work has begun")
        assert one.process is not None
        one.process.send_signal(signal.SIGTERM)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(60.0) == 0
        records = rig.records()
        assert {item["state"] for item in records.values()} == {"diagnosed"}
        assert rig.waiting() == len(names) - len(records)
        assert len(rig.queue.peek_messages(max_messages=32)) == min(32, rig.waiting())  # none of them is invisible
        one.start()
        wait_until(lambda: len(rig.records()) == len(names) and rig.settled(), "the next one does the rest")
    assert rig.results_written() == dict.fromkeys(names, 1)
    assert rig.poisoned() == []


def _receives(queue: QueueClient) -> int:
    (message,) = queue.peek_messages(max_messages=2)
    return int(message.dequeue_count or 0)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_the_command_says_what_is_missing(rig: Rig) -> None:
    found = command(replace(rig, queue_name=""), "--list-poison")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "frontend: INTAKE_QUEUE is missing: set it to the queue that gets the storage events.\n"
    assert "not allowed with" in command(rig, "--list-poison", "--retry").stderr


def test_a_check_says_whether_the_queues_can_be_reached(rig: Rig, service: Service) -> None:
    rig.announce(event_grid(rig.account.container, "a.wav"))
    environment = {**os.environ, **rig.environment(), "TRITON_URL": service.triton_url}
    environment.pop("API_KEY", None)

    def checked() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "frontend", "--check", "intake"],
            cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    found = checked()
    assert found.returncode == 0, found.stdout + found.stderr
    said = " ".join(found.stdout.split())  # rows are wrapped
    assert "1 messages, 0 given up" in said
    assert "this process answers no requests" in said
    rig.poison.delete_queue()
    found = checked()
    assert found.returncode == 1
    assert "intake      failed" in found.stdout


@pytest.mark.system
def test_a_long_poison_queue_is_listed_and_sent_again_whole(rig: Rig) -> None:
    """A peek would show the first 32."""
    for n in range(100):
        rig.poison.send_message(message_of(Landed(f"phone-{n}.wav", "", 5, "audio_missing")))
    listed = command(rig, "--list-poison").stdout.splitlines()
    assert {f"audio_missing after 5: phone-{n}.wav" for n in range(100)} == set(listed[:-1])
    assert len(rig.poisoned()) == 32  # all are visible again
    assert command(rig, "--retry").stdout == "100 messages sent again, 0 left.\n"
    assert rig.waiting() == 100
