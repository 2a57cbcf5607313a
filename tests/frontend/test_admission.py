"""Who gets in, and who is refused by which limit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from frontend.admission import Admission, AdmissionGate
from frontend.errors import Overloaded
from frontend.metrics import Metrics
from runtime.config import load_limits

LIMITS = replace(load_limits()[1], max_in_flight=4, max_in_flight_bytes=100, max_body_bytes=60, max_wait_s=1.0)


def refusals(metrics: Metrics, limit: str) -> float:
    return metrics.registry.get_sample_value("tosia_refusals_total", {"limit": limit}) or 0.0


def make(running: int = 0, seconds_each: float = 0.0) -> tuple[Admission, Metrics]:
    metrics = Metrics()
    return Admission(LIMITS, metrics, lambda: running, lambda n: n * seconds_each), metrics


def test_as_many_as_may_be_in_work_and_no_more() -> None:
    admission, metrics = make()
    held = [admission.admitted() for _ in range(4)]
    for one in held:
        one.__enter__()
    with pytest.raises(Overloaded), admission.admitted():
        pass
    assert refusals(metrics, "recordings") == 1.0
    held[0].__exit__(None, None, None)
    with admission.admitted():
        assert admission.in_work == 4


def test_calls_that_go_on_after_their_request_count() -> None:
    admission, _ = make(running=4)
    with pytest.raises(Overloaded), admission.admitted():
        pass


def test_bodies_that_would_not_fit_into_memory_are_refused_and_given_back() -> None:
    admission, metrics = make()
    with admission.admitted(60):
        with pytest.raises(Overloaded), admission.admitted(41):
            pass
        with admission.admitted(40):
            assert admission.body_bytes == 100
    assert refusals(metrics, "bytes") == 1.0
    assert admission.body_bytes == 0
    with pytest.raises(ZeroDivisionError), admission.admitted(60):
        raise ZeroDivisionError
    assert (admission.body_bytes, admission.in_work) == (0, 0)


def test_who_would_wait_too_long_is_refused_but_slow_senders_keep_nobody_waiting() -> None:
    admission, metrics = make(seconds_each=0.4)
    with admission.admitted() as first, admission.admitted() as second, admission.admitted() as third:
        with admission.admitted():  # those three still send, so no worker has any of them
            pass
        for one in (first, second, third):
            one.body_is_read()
        with pytest.raises(Overloaded), admission.admitted():  # 3 times 0.4 s
            pass
        assert refusals(metrics, "wait") == 1.0


@pytest.mark.parametrize(
    ("headers", "claim"),
    [([(b"content-length", b"7")], 7), ([(b"content-length", b"9999")], 60), ([], 60), ([(b"content-length", b"9" * 5000)], 60)],
)  # fmt: skip
def test_what_a_body_may_hold_is_counted_as_its_length_or_else_as_the_most(headers: list[Any], claim: int) -> None:
    admission, _ = make()
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(admission.body_bytes)

    ask(app, admission, headers)
    assert seen == [claim]


def test_a_refusal_reads_nothing_and_says_when_to_come_again() -> None:
    admission, _ = make(running=4)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the application was asked")

    start, body = ask(app, admission, [(b"content-length", b"7")])
    assert start["status"] == 503
    assert (b"retry-after", b"2") in start["headers"]
    assert json.loads(body["body"])["code"] == "overloaded"
    assert json.loads(body["body"])["request_id"] == "r"


def ask(app: Any, admission: Admission, headers: list[Any]) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the body was read")

    owner = Starlette()
    owner.state.admission = admission
    scope = {"type": "http", "method": "POST", "path": "/v1/diagnoses", "headers": headers, "app": owner}
    scope["state"] = {"request_id": "r"}
    asyncio.run(AdmissionGate(app, max_body_bytes=LIMITS.max_body_bytes)(scope, receive, send))
    return sent
