"""Who gets in, and who is refused by which limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.domain.errors import Overloaded
from frontend.inference.admission import Admission
from frontend.middleware.admission_gate import AdmissionGate
from frontend.middleware.unread_body import UnreadBody
from frontend.observability.metrics import Metrics
from runtime.config import Limits, load_limits

LIMITS = replace(load_limits()[1], max_in_flight=4, max_in_flight_bytes=100, max_body_bytes=60, max_wait_s=1.0)


def refusals(metrics: Metrics, limit: str) -> float:
    return metrics.registry.get_sample_value("tosia_refusals_total", {"limit": limit}) or 0.0


def make(
    running: int = 0, seconds_each: float = 0.0, workers: int = 0, limits: Limits = LIMITS
) -> tuple[Admission, Metrics]:
    """workers: 0 so that the wait alone decides."""
    metrics = Metrics()
    return Admission(limits, metrics, [str(n) for n in range(running)], lambda n: n * seconds_each, workers), metrics


def test_as_many_as_may_be_in_work_and_no_more() -> None:
    admission, metrics = make()
    held = [admission.admit(0) for _ in range(4)]
    with pytest.raises(Overloaded), admission.admitted():
        pass
    assert refusals(metrics, "recordings") == 1.0
    admission.release(held[0])
    admission.release(held[0])
    with admission.admitted():
        assert admission.in_work == 4
    assert admission.in_work == 3


def test_calls_that_go_on_after_their_request_count() -> None:
    admission, _ = make(running=4)
    with pytest.raises(Overloaded), admission.admitted():
        pass


def test_bodies_that_would_not_fit_into_memory_are_refused_and_given_back() -> None:
    admission, metrics = make()
    first = admission.admit(60)
    with pytest.raises(Overloaded):
        admission.admit(41)
    second = admission.admit(40)
    assert admission.body_bytes == 100
    assert refusals(metrics, "bytes") == 1.0
    admission.release(first)
    admission.release(second)
    with pytest.raises(ZeroDivisionError), admission.admitted():
        raise ZeroDivisionError
    assert (admission.body_bytes, admission.in_work) == (0, 0)


def test_who_would_wait_too_long_is_refused_but_slow_senders_keep_nobody_waiting() -> None:
    admission, metrics = make(seconds_each=0.4)
    held = [admission.admit(0) for _ in range(3)]
    admission.release(admission.admit(0))  # those three still send, so no worker has any of them
    for item in held:
        item.reading = False
    with pytest.raises(Overloaded):  # 3 times 0.4 s
        admission.admit(0)
    assert refusals(metrics, "wait") == 1.0


@pytest.mark.parametrize(
    ("workers", "taken"),
    [
        (2, 2 * LIMITS.always_per_worker),
        (1000, 32),
    ],  # half of what may be in work: many workers leave the wait its effect
)
def test_a_few_for_each_worker_are_taken_however_slow_the_machine_is(workers: int, taken: int) -> None:
    admission, metrics = make(seconds_each=100.0, workers=workers, limits=replace(LIMITS, max_in_flight=64))
    for _ in range(taken):
        admission.admit(0).reading = False
    with pytest.raises(Overloaded):
        admission.admit(0)
    assert refusals(metrics, "wait") == 1.0


def test_what_has_begun_waits_where_the_workers_know_of_it() -> None:
    admission, _ = make(running=3, seconds_each=0.4)
    for _ in range(3):
        admission.admit(0).reading = False
    admission.admit(0)  # the three are the ones that run


@pytest.mark.parametrize(
    ("headers", "claim"),
    [([(b"content-length", b"7")], 7), ([(b"content-length", b"9999")], 60), ([], 60),
     ([(b"content-length", b"9" * 5000)], 60)],
)  # fmt: skip
def test_what_a_body_may_hold_is_counted_as_its_length_or_else_as_the_most(headers: list[Any], claim: int) -> None:
    admission, _ = make()
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(admission.body_bytes)

    ask(app, admission, headers)
    assert seen == [claim]
    assert admission.in_work == 0


def test_the_place_is_free_with_the_answer_though_the_rest_of_the_body_is_still_awaited() -> None:
    """As for a 401 to a sender that stops in the middle."""
    admission, _ = make()
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(admission.in_work)
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    async def receive_the_rest() -> Message:
        seen.append(admission.in_work)
        return {"type": "http.request", "body": b"the rest"}

    ask(app, admission, [(b"content-length", b"8")], outermost=UnreadBody, receive=receive_the_rest)
    assert seen == [1, 0]


def test_a_request_that_fails_gives_its_place_back() -> None:
    admission, _ = make()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(app, admission, [])
    assert admission.in_work == 0


def test_a_refusal_reads_nothing_and_says_when_to_come_again() -> None:
    admission, _ = make(running=4)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the application was asked")

    for path in ("/v1/diagnoses", "/v1/diagnoses\n"):
        start, body = ask(app, admission, [(b"content-length", b"7")], path)
        assert start["status"] == 503
        assert (b"retry-after", b"2") in start["headers"]
        assert json.loads(body["body"])["code"] == "overloaded"
        assert json.loads(body["body"])["request_id"] == "r"


async def not_asked() -> Message:
    raise AssertionError("the body was read")


def ask(
    app: Any,
    admission: Admission,
    headers: list[Any],
    path: str = "/v1/diagnoses",
    *,
    outermost: Callable[[ASGIApp], ASGIApp] = lambda gate: gate,
    receive: Receive = not_asked,
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    owner = Starlette()
    owner.state.services = SimpleNamespace(admission=admission)
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "app": owner}
    scope["state"] = {"request_id": "r"}
    gated = outermost(AdmissionGate(app, max_body_bytes=LIMITS.max_body_bytes))
    asyncio.run(gated(scope, receive, send))  # type: ignore[arg-type]
    return sent
