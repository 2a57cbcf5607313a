"""Who gets in, and who is refused by which limit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.api.upload import read_upload
from frontend.configuration.known_keys import key_digests
from frontend.configuration.settings import ApiKey
from frontend.domain.errors import BodyTimeout, Overloaded
from frontend.inference.admission import STEP_BYTES, Admission
from frontend.middleware.admission_gate import AdmissionGate
from frontend.middleware.unread_body import UnreadBody
from frontend.observability.metrics import Metrics
from runtime.config import Limits, load_limits

KEY_DIGESTS = key_digests((ApiKey("one", SecretStr("first")), ApiKey("other", SecretStr("second"))))
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


LARGE = replace(LIMITS, max_in_flight=64, max_body_bytes=8 * STEP_BYTES, max_in_flight_bytes=16 * STEP_BYTES)


@pytest.mark.parametrize(
    ("headers", "held"),
    [([(b"content-length", b"7")], 7), ([(b"content-length", str(LARGE.max_body_bytes).encode())], STEP_BYTES),
     ([], STEP_BYTES), ([(b"content-length", b"9" * 5000)], STEP_BYTES)],
)  # fmt: skip
def test_a_body_holds_its_length_or_one_step_before_it_is_read(headers: list[Any], held: int) -> None:
    admission, _ = make(limits=LARGE)
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(admission.body_bytes)

    ask(app, admission, headers)
    assert seen == [held]
    assert (admission.in_work, admission.body_bytes) == (0, 0)


def test_a_length_that_does_not_fit_is_refused_from_its_head_though_a_step_would_fit() -> None:
    admission, metrics = make(limits=LARGE)
    admission.grow(admission.admit(None), LARGE.max_body_bytes)
    admission.grow(admission.admit(None), 5 * STEP_BYTES)  # three steps are left
    with pytest.raises(Overloaded):
        admission.admit(4 * STEP_BYTES)
    admission.admit(3 * STEP_BYTES)
    admission.admit(None)
    assert refusals(metrics, "bytes") == 1.0


def test_a_body_grows_by_steps_up_to_the_memory_and_the_largest_body() -> None:
    admission, metrics = make(limits=LARGE)
    first, second = admission.admit(LARGE.max_body_bytes), admission.admit(None)
    admission.grow(first, STEP_BYTES + 1)
    assert (first.body_bytes, admission.body_bytes) == (2 * STEP_BYTES, 3 * STEP_BYTES)
    admission.grow(first, LARGE.max_body_bytes + 1)  # the form around the audio does not count
    assert first.body_bytes == LARGE.max_body_bytes
    admission.grow(second, 8 * STEP_BYTES)
    with pytest.raises(Overloaded):
        admission.admit(None)
    third = admission.admit(0)
    with pytest.raises(Overloaded):
        admission.grow(third, 1)
    assert (third.body_bytes, admission.body_bytes) == (0, LARGE.max_in_flight_bytes)
    assert refusals(metrics, "bytes") == 2.0
    for ticket in (first, second, third):
        admission.release(ticket)
    assert admission.body_bytes == 0


FORM = (b"content-type", b"multipart/form-data; boundary=b")
BEGINNING = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'


@pytest.mark.parametrize("length", [[], [(b"content-length", str(LARGE.max_body_bytes).encode())]], ids=str)
@pytest.mark.parametrize("gone", [False, True])
def test_forty_senders_that_trickle_hold_what_they_sent_and_give_it_back(
    monkeypatch: pytest.MonkeyPatch, length: list[Any], gone: bool
) -> None:
    """With whole reservations three of them would have filled the memory. gone: they hang up; else they stall."""
    monkeypatch.setattr("frontend.api.upload.SLOWEST_BYTES_PER_S", 1e9)  # a step buys no time
    limits = replace(LARGE, request_deadline_s=60.0 if gone else 4.0, max_in_flight_bytes=80 * STEP_BYTES)
    admission, _ = make(limits=limits)
    most = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_upload(Request(scope, receive), limits, admission, scope["state"]["ticket"])

    def sender() -> Receive:
        messages = [BEGINNING, bytes(STEP_BYTES)]

        async def receive() -> Message:
            nonlocal most
            most = max(most, admission.body_bytes)
            await asyncio.sleep(0)
            if messages:
                return {"type": "http.request", "body": messages.pop(0), "more_body": True}
            if gone:
                return {"type": "http.disconnect"}
            return await asyncio.Event().wait()  # type: ignore[return-value]

        return receive

    async def run() -> list[Any]:
        senders = [gated(app, admission, [FORM, *length], receive=sender()) for _ in range(40)]
        return await asyncio.gather(*senders, return_exceptions=True)

    ended = asyncio.run(run())
    assert {type(error) for error in ended} == {ClientDisconnect if gone else BodyTimeout}
    assert most == 40 * 2 * STEP_BYTES
    assert (admission.body_bytes, admission.in_work) == (0, 0)


def test_a_sender_who_is_cancelled_gives_back_what_it_held() -> None:
    admission, _ = make(limits=LARGE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        admission.grow(scope["state"]["ticket"], 3 * STEP_BYTES)
        await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(gated(app, admission, []))
        await asyncio.sleep(0)
        assert admission.body_bytes == 3 * STEP_BYTES
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert (admission.body_bytes, admission.in_work) == (0, 0)


def test_bodies_beyond_the_memory_are_refused_while_they_are_read_and_the_others_are_read_to_their_end() -> None:
    admission, metrics = make(limits=LARGE)
    whole = BEGINNING + b"OggS" + bytes(7 * STEP_BYTES) + b"\r\n--b--\r\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_upload(Request(scope, receive), LARGE, admission, scope["state"]["ticket"])
        await asyncio.sleep(0.2)  # the recording is in work, and its bytes in memory

    def sender() -> Receive:
        pieces = [whole[start : start + 65536] for start in range(0, len(whole), 65536)]

        async def receive() -> Message:
            await asyncio.sleep(0)
            assert admission.body_bytes <= LARGE.max_in_flight_bytes
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        return receive

    async def run() -> list[Any]:
        senders = [gated(app, admission, [FORM], receive=sender()) for _ in range(5)]
        return await asyncio.gather(*senders, return_exceptions=True)

    ended = asyncio.run(run())
    assert [type(error) for error in ended if error].count(Overloaded) == 3  # 16 steps hold two of 8
    assert ended.count(None) == 2
    assert refusals(metrics, "bytes") == 3.0
    assert admission.body_bytes == 0


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

    asyncio.run(gated(app, admission, headers, path, outermost=outermost, receive=receive, send=send))
    return sent


async def not_answered(message: Message) -> None:
    raise AssertionError("there was an answer")


async def gated(
    app: Any,
    admission: Admission,
    headers: list[Any],
    path: str = "/v1/diagnoses",
    *,
    outermost: Callable[[ASGIApp], ASGIApp] = lambda gate: gate,
    receive: Receive = not_asked,
    send: Send = not_answered,
) -> None:
    owner = Starlette()
    owner.state.services = SimpleNamespace(admission=admission)
    owner.state.key_digests = KEY_DIGESTS
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "app": owner}
    scope["state"] = {"request_id": "r"}
    await outermost(AdmissionGate(app, max_body_bytes=LARGE.max_body_bytes))(scope, receive, send)


EIGHT = replace(LARGE, max_in_flight=8, max_key_share=0.5)
FIRST, SECOND = (b"x-api-key", b"first"), (b"x-api-key", b"second")


async def stalled(scope: Scope, receive: Receive, send: Send) -> None:
    """The route, with a sender who has sent the beginning of a form."""
    admission = scope["app"].state.services.admission
    await read_upload(Request(scope, receive), admission._limits, admission, scope["state"]["ticket"])


async def begin(admission: Admission, count: int, key: tuple[bytes, bytes]) -> list[asyncio.Task[None]]:
    """Start so many senders who stall with one step each; return when all are waited for."""

    def sender() -> Receive:
        messages = [BEGINNING]

        async def receive() -> Message:
            if messages:
                return {"type": "http.request", "body": messages.pop(), "more_body": True}
            return await asyncio.Event().wait()  # type: ignore[return-value]

        return receive

    async def ignored(message: Message) -> None:
        pass

    tasks = [
        asyncio.create_task(gated(stalled, admission, [FORM, key], receive=sender(), send=ignored))
        for _ in range(count)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def ended(tasks: list[asyncio.Task[None]]) -> list[type[BaseException] | None]:
    """How each ended; those that still wait are cancelled."""
    for _ in range(20):
        await asyncio.sleep(0)
    for task in tasks:
        if not task.done():
            task.cancel()
    return [type(item) for item in await asyncio.gather(*tasks, return_exceptions=True)]


def test_a_key_alone_may_hold_every_place_and_gives_way_to_another_key_down_to_its_share() -> None:
    admission, metrics = make(limits=EIGHT)

    async def run() -> None:
        first = await begin(admission, 8, FIRST)
        assert admission.in_work == 8
        second = await begin(admission, 6, SECOND)
        # Four are the second key's share; the two beyond it are refused, as the ninth of the first key would be.
        assert (admission.in_work, refusals(metrics, "share"), refusals(metrics, "recordings")) == (8, 4.0, 2.0)
        assert [task.done() for task in first] == [True] * 4 + [False] * 4  # the oldest have ended
        assert await ended(first) == [Overloaded] * 4 + [asyncio.CancelledError] * 4
        await ended(second)

    asyncio.run(run())
    assert (admission.in_work, admission.body_bytes) == (0, 0)


@pytest.mark.parametrize("key", [(b"x-api-key", b"neither"), (b"accept", b"*/*")], ids=["unknown", "none"])
def test_who_has_no_key_takes_the_place_of_nobody(key: tuple[bytes, bytes]) -> None:
    admission, metrics = make(limits=EIGHT)

    async def run() -> None:
        first = await begin(admission, 8, FIRST)
        await begin(admission, 1, key)
        assert refusals(metrics, "recordings") == 1.0
        assert await ended(first) == [asyncio.CancelledError] * 8

    asyncio.run(run())


def test_recordings_in_work_are_not_ended_for_another_key() -> None:
    admission, _ = make(limits=EIGHT)
    for _ in range(8):
        admission.admit(0, "one").reading = False
    with pytest.raises(Overloaded):
        admission.admit(0, "other")
    assert admission.in_work == 8


def test_calls_that_go_on_after_their_request_make_no_place_so_no_body_is_ended() -> None:
    admission, metrics = make(running=8, limits=EIGHT)

    async def run() -> None:
        admission._running = []  # type: ignore[assignment]
        first = await begin(admission, 4, FIRST)
        admission._running = [str(n) for n in range(8)]
        with pytest.raises(Overloaded):
            admission.admit(0, "other")
        assert await ended(first) == [asyncio.CancelledError] * 4

    asyncio.run(run())
    assert refusals(metrics, "share") == 0.0


def test_memory_is_given_up_like_places_and_none_in_vain() -> None:
    """16 steps: the first key's bodies hold 8 of them, and another 8 are in work."""
    admission, metrics = make(limits=LARGE)
    admission.grow(admission.admit(0, "one"), 8 * STEP_BYTES)

    async def run() -> None:
        first = await begin(admission, 8, FIRST)
        assert admission.body_bytes == LARGE.max_in_flight_bytes
        growing = admission.admit(3 * STEP_BYTES, "other")
        admission.grow(growing, 3 * STEP_BYTES)
        assert refusals(metrics, "share") == 3.0
        with pytest.raises(Overloaded):  # the first key is at 13, and could give way to its share; this is beyond ours
            admission.hold_answer(6 * STEP_BYTES, "other")
        assert await ended(first) == [Overloaded] * 3 + [asyncio.CancelledError] * 5

    asyncio.run(run())


def test_a_key_with_nothing_in_work_does_not_wait_for_the_recordings_of_others() -> None:
    admission, _ = make(seconds_each=0.4)
    for _ in range(3):
        admission.admit(0, "one").reading = False
    admission.admit(0, "other").reading = False
    for key_name in ("one", "other", None):
        with pytest.raises(Overloaded):
            admission.admit(0, key_name)


def test_answers_take_memory_but_no_place() -> None:
    admission, metrics = make(limits=LARGE)
    held = [admission.hold_answer(4 * STEP_BYTES, "one") for _ in range(4)]
    assert (admission.in_work, admission.body_bytes) == (0, LARGE.max_in_flight_bytes)
    with pytest.raises(Overloaded):
        admission.hold_answer(1, "one")
    assert refusals(metrics, "bytes") == 1.0
    admission.release(held[0])
    admission.release(held[0])
    assert admission.body_bytes == 12 * STEP_BYTES
