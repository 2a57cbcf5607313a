"""Finished calls go to the receiver of their key: the real front end, stores, Triton, and receivers on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports
from tests.callbacks.rig import SECRET, Receiver, callbacks_to, secret, wait_until
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for

pytestmark = pytest.mark.timeout(300)


@contextmanager
def sending(var: Path, service: Service, environment: dict[str, str]) -> Iterator[FrontEnd]:
    """A front end that is ready; embedded stores."""
    var.mkdir(exist_ok=True)
    stores = {"TOSIA_STORES": "embedded", "TOSIA_VAR": str(var), **environment}
    with front_end(var, service.triton_url, stores=stores) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        yield one


def post(one: FrontEnd, audio: bytes, call_id: str, key: str = KEY) -> int:
    return one.api.post(
        "/v1/diagnoses", files={"audio": ("a.ogg", audio)}, data={"call_id": call_id}, headers={"X-API-Key": key}
    ).status_code


def command(var: Path, *options: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "frontend", "callbacks", *options],
        cwd=CHECKOUT,
        env={"TOSIA_STORES": "embedded", "TOSIA_VAR": str(var), "TRITON_URL": "127.0.0.1:1", "API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return found.stdout


def test_a_finished_call_is_sent_as_get_answers_it(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with Receiver() as receiver, sending(tmp_path, service, callbacks_to(receiver.url())) as one:
        assert post(one, benchmark, "heard") == 201
        assert post(one, b"no audio", "refused") == 415
        assert post(one, b"OggS and nothing of it", "failed") == 422
        wait_until(lambda: len(receiver.got) == 2, "both are sent")
        events = {got.event["subject"]: got for got in receiver.got}
        got = events["heard"]
        assert got.is_signed_with(SECRET)
        assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 300
        event = got.event
        assert got.headers["webhook-id"] == event["id"]
        assert got.headers["content-type"].startswith("application/cloudevents+json")
        assert {name: event[name] for name in ("specversion", "source", "type", "datacontenttype")} == {
            "specversion": "1.0",
            "source": "/v1/calls",
            "type": "ia.tos.call.diagnosed",
            "datacontenttype": "application/json",
        }
        assert event["data"] == one.api.get("/v1/calls/heard").json()
        assert events["failed"].event["type"] == "ia.tos.call.failed"
        assert events["failed"].event["data"]["failure"]["code"] == "undecodable_audio"
        assert post(one, benchmark, "heard") == 200  # sent again by its caller: nothing new to tell
        time.sleep(1.0)
        assert len(receiver.got) == 2
    log = (tmp_path / "frontend.log").read_text()
    assert not any(text in log for text in (SECRET, receiver.url(), "heard"))


@pytest.mark.system
def test_a_key_without_a_receiver_and_another_keys_receiver_get_nothing(
    service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    with Receiver() as first, Receiver() as second:
        environment = {**callbacks_to(first.url(), second.url()), "API_KEY": f"default:{KEY},second:k2,third:k3"}
        with sending(tmp_path, service, environment) as one:
            assert [post(one, benchmark, f"of-{key}", key) for key in (KEY, "k2", "k3")] == [201] * 3
            wait_until(lambda: first.ids() != [] and second.ids() != [], "both are sent")
            time.sleep(1.0)
        assert (first.ids(), second.ids()) == ([f"of-{KEY}"], ["of-k2"])


@pytest.mark.system
def test_two_secrets_sign_while_one_replaces_the_other(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    both = [secret("new"), secret("old")]
    with Receiver() as receiver, sending(tmp_path, service, callbacks_to(receiver.url(), secrets=both)) as one:
        post(one, benchmark, "a")
        wait_until(lambda: receiver.got != [], "it is sent")
    assert all(receiver.got[0].is_signed_with(each) for each in both)
    assert not receiver.got[0].is_signed_with(secret("another"))


@pytest.mark.system
def test_what_was_not_taken_is_sent_again_by_another_process_after_a_kill(
    service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    def answer(n: int) -> int:
        return 503 if n == 1 else 204

    with Receiver(answer) as receiver:
        environment = callbacks_to(receiver.url())
        with sending(tmp_path, service, environment) as one:
            post(one, benchmark, "again")
            wait_until(lambda: len(receiver.got) == 1, "the first try")
            assert one.stop(signal.SIGKILL) == -signal.SIGKILL
        with sending(tmp_path, service, environment) as one:
            wait_until(lambda: len(receiver.got) == 2, "the second try")
            wait_until(lambda: "sent" in states(tmp_path), "it is noted")
        first, second = receiver.got
        assert (first.headers["webhook-id"], first.event) == (second.headers["webhook-id"], second.event)


@pytest.mark.system
def test_erasing_a_call_removes_what_waits(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with Receiver(lambda _: 503) as receiver, sending(tmp_path, service, callbacks_to(receiver.url())) as one:
        post(one, benchmark, "erased")
        wait_until(lambda: len(receiver.got) == 1, "the first try")
        assert one.api.delete("/v1/calls/erased").status_code == 204
        post(one, benchmark, "kept")
        assert ", key default: kept\n1 messages are owed.\n" in command(tmp_path, "--list-owed")
        wait_until(lambda: receiver.ids().count("kept") == 2, "a second try of the other")
    assert receiver.ids().count("erased") == 1
    assert states(tmp_path) == {"owed"}


@pytest.mark.system
def test_what_is_given_up_is_listed_and_sent_again(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    answers = {"now": 503}
    with Receiver(lambda _: answers["now"]) as receiver:
        environment = {**callbacks_to(receiver.url()), "TOSIA_CALLBACKS__GIVE_UP_AFTER_S": "0"}
        with sending(tmp_path, service, environment) as one:
            post(one, benchmark, "first")
            wait_until(lambda: states(tmp_path) == {"dead"}, "it is given up")
            answers["now"] = 410
            post(one, benchmark, "second")
            wait_until(lambda: len(receiver.got) == 2 and states(tmp_path) == {"dead"}, "the other one, too")
            listed = command(tmp_path, "--list-dead")
            assert "status_503 after 1 tries, key default: first" in listed
            assert "status_410 after 1 tries, key default: second" in listed
            assert listed.endswith("2 messages were given up.\n")
            assert command(tmp_path, "--list-owed") == "0 messages are owed.\n"
            answers["now"] = 204
            assert command(tmp_path, "--send-again", "--call", "second") == "1 messages are sent again.\n"
            wait_until(lambda: len(receiver.got) == 3, "it is sent again")
            assert command(tmp_path, "--send-again") == "1 messages are sent again.\n"
            wait_until(lambda: states(tmp_path) == {"sent"}, "both are taken")
    assert receiver.ids()[2:] == ["second", "first"]


@pytest.mark.system
def test_a_slow_receiver_delays_no_other(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with Receiver(lambda _: 0) as slow, Receiver() as quick:
        environment = {**callbacks_to(slow.url(), quick.url()), "API_KEY": f"default:{KEY},second:k2"}
        with sending(tmp_path, service, environment) as one:
            for n in range(8):
                post(one, benchmark, f"slow-{n}")
            wait_until(lambda: len(slow.got) == 4, "as many as go at once are on their way")
            post(one, benchmark, "quick", "k2")
            wait_until(lambda: quick.ids() == ["quick"], "the other is sent meanwhile")
            assert len(slow.got) == 4
            slow.hold.set()
            wait_until(lambda: len({*slow.ids()}) == 8, "the slow one gets all")


def test_no_redirect_is_followed(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with Receiver() as elsewhere:
        to_there = {"status": 307, "Location": elsewhere.url()}
        with (
            Receiver(lambda _: dict(to_there)) as receiver,
            sending(tmp_path, service, callbacks_to(receiver.url())) as one,
        ):
            post(one, benchmark, "moved")
            wait_until(lambda: receiver.got != [] and "owed" in states(tmp_path), "it is not taken")
            time.sleep(1.0)
            assert elsewhere.got == []
    assert reasons(tmp_path) == {"status_307"}


@pytest.mark.system
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]"])
def test_nothing_goes_to_an_address_inside(service: Service, tmp_path: Path, benchmark: bytes, host: str) -> None:
    with Receiver() as receiver:
        environment = callbacks_to(f"https://{host}:{receiver.port}/")
        environment["CALLBACKS_ALLOW_PRIVATE"] = "0"
        with sending(tmp_path, service, environment) as one:
            post(one, benchmark, "inside")
            wait_until(lambda: reasons(tmp_path) == {"address_inside"}, "it is refused")
    assert receiver.got == []


@pytest.mark.system
def test_a_certificate_must_be_one(service: Service, tmp_path: Path, benchmark: bytes, tls: object) -> None:
    """The same receiver is taken where its authority is known, and refused where it is not."""
    context, authority = tls  # type: ignore[misc]
    with Receiver(tls=context) as receiver:
        with sending(tmp_path / "without", service, callbacks_to(receiver.url())) as one:
            post(one, benchmark, "a")
            wait_until(lambda: reasons(tmp_path / "without") == {"certificate"}, "it is refused")
        assert receiver.got == []
        known = {**callbacks_to(receiver.url()), "SSL_CERT_FILE": str(authority)}
        with sending(tmp_path / "with", service, known) as one:
            post(one, benchmark, "b")
            wait_until(lambda: receiver.ids() == ["b"], "it is sent")


@pytest.mark.system
@pytest.mark.parametrize(
    "program", [[sys.executable, "docs/receivers/receiver.py"], ["node", "docs/receivers/receiver.mjs"]]
)
def test_the_receivers_of_the_docs_take_what_is_ours_alone(
    service: Service, tmp_path: Path, benchmark: bytes, program: list[str]
) -> None:
    import httpx

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/finished"
    with (tmp_path / "out").open("wb") as out:
        receiver = subprocess.Popen(
            [*program, str(port)],
            cwd=CHECKOUT,
            env={**os.environ, "WEBHOOK_SECRET": SECRET},
            stdout=out,
        )
    try:
        with sending(tmp_path, service, callbacks_to(url)) as one:
            post(one, benchmark, "heard")
            wait_until(lambda: (tmp_path / "out").read_text() == "ia.tos.call.diagnosed heard ok\n", "it is taken")
        with Receiver() as ours, sending(tmp_path / "2", service, callbacks_to(ours.url())) as one:
            post(one, benchmark, "recorded")
            wait_until(lambda: ours.got != [], "one is recorded")
        (got,) = ours.got
        headers = {name: value for name, value in got.headers.items() if name.startswith("webhook-")}

        def answer(body: bytes, **changed: str) -> int:
            return httpx.post(url, content=body, headers={**headers, **changed}, trust_env=False).status_code

        old = str(int(headers["webhook-timestamp"]) - 400)
        assert answer(got.body + b" ") == 400
        assert answer(got.body, **{"webhook-id": "msg_another"}) == 400
        assert answer(got.body, **{"webhook-timestamp": old}) == 400
        assert answer(got.body, **{"webhook-signature": "v1,"}) == 400
        assert answer(got.body) == 204
        assert answer(got.body) == 204  # twice: taken, and worked on once
        wait_until(lambda: (tmp_path / "out").read_text().count("recorded") == 1, "once")
    finally:
        receiver.terminate()
        receiver.wait(10.0)


def states(var: Path) -> set[str]:
    return {notice["state"] for notice in notices(var)}


def reasons(var: Path) -> set[str]:
    return {notice["reason"] for notice in notices(var) if notice["reason"]}


def notices(var: Path) -> list[dict[str, str]]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(var / "calls.sqlite")) as connection:
        found = [json.loads(text)["notice"] for (text,) in connection.execute("SELECT document FROM calls")]
    return [notice for notice in found if notice]
