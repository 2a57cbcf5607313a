"""The parts of callbacks, each alone."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from frontend.adapters.callbacks import schedule
from frontend.adapters.callbacks.connection import Answer, Connections, is_inside
from frontend.adapters.callbacks.signature import signed_headers
from frontend.configuration.receivers import secret_bytes
from frontend.domain.deadline import Deadline
from frontend.domain.records import Notice, NoticeState, from_now, now
from tests.callbacks.rig import Receiver
from tests.frontend.stores.test_stores import Check, Pair, record, run

__all__ = ["run"]  # the fixture


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The expected one was made by the package standardwebhooks 1.1.0 of PyPI."""
    secret = secret_bytes("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=")
    assert secret is not None
    headers = signed_headers("msg_1", 1795946400, '{"id":"msg_1","text":"ñ"}'.encode(), [secret])
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1795946400",
        "webhook-signature": "v1,m2aBW09oyoO2B8IpQxfI/Ijb0fgKd4Z1ilI9WK9JI2U=",
    }


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "255.255.255.255", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2001:db8::1",
        "::127.0.0.1", "64:ff9b:1::10.0.0.1", "fec0::1", "::ffff:0:127.0.0.1", "192.0.0.8",
    ],
)  # fmt: skip
def test_an_address_inside(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_outside(address: str) -> None:
    assert not is_inside(address)


def test_a_name_that_resolves_to_an_address_inside_is_refused_when_it_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it had resolved to before: each connection looks at its own address."""
    resolved: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host == "receiver.example":
            resolved.append(host)
            return real("127.0.0.1", port, *more, **named)
        return real(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Receiver() as receiver:
        url = f"http://receiver.example:{receiver.port}/"

        async def post(*, allow_inside: bool) -> Answer:
            connections = Connections(allow_inside=allow_inside, timeout_s=10.0)
            try:
                return await connections.post(url, b"{}", {})
            finally:
                await connections.close()

        assert asyncio.run(post(allow_inside=False)) == Answer(None, "address_inside")
        assert receiver.got == []
        assert asyncio.run(post(allow_inside=True)) == Answer(204)
    assert len(resolved) == 2


def test_a_name_server_that_does_not_answer_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the loop's threads, where the stores work, nor its resolver."""
    released, waiting = threading.Event(), threading.Barrier(3)
    real = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        if host == "receiver.example":
            waiting.wait(60.0)
            released.wait(60.0)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def check() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2))
        apart = ThreadPoolExecutor(1)
        connections = Connections(allow_inside=True, timeout_s=60.0)
        posts = [asyncio.create_task(connections.post("https://receiver.example/", b"{}", {})) for _ in range(2)]
        try:
            await loop.run_in_executor(apart, waiting.wait, 60.0)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 30.0) == 1
            assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 30.0)
        finally:
            released.set()
            assert {await post for post in posts} == {Answer(None, "name_not_found")}
            await connections.close()

    asyncio.run(check())


def answers_of(what: int | dict[str, Any], timeout_s: float = 10.0) -> Answer:
    with Receiver(lambda _: dict(what) if isinstance(what, dict) else what) as receiver:

        async def post() -> Answer:
            connections = Connections(allow_inside=True, timeout_s=timeout_s)
            try:
                return await connections.post(receiver.url(), b"{}", {})
            finally:
                await connections.close()

        return asyncio.run(post())


def test_what_a_receiver_answers() -> None:
    assert answers_of(200).taken
    assert answers_of({"status": 429, "Retry-After": "7"}) == Answer(429, retry_after_s=7.0)
    assert answers_of({"status": 503, "Retry-After": "soon"}) == Answer(503)
    asked = answers_of({"status": 503, "Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}).retry_after_s
    assert asked is not None
    assert asked > 1e9
    assert answers_of(0, timeout_s=0.5) == Answer(None, "timeout")
    assert answers_of({"status": 204, "X-Long": "x" * 100_000}) == Answer(None, "no_http")


def test_a_receiver_that_is_not_there() -> None:
    async def post(url: str) -> str:
        connections = Connections(allow_inside=True, timeout_s=10.0)
        try:
            return (await connections.post(url, b"{}", {})).reason
        finally:
            await connections.close()

    assert asyncio.run(post("http://127.0.0.1:1/")) == "not_connected"
    assert asyncio.run(post("https://no-such-name.invalid/")) == "name_not_found"


def test_pauses_grow_for_a_day_and_a_receiver_may_ask_for_longer_ones() -> None:
    pauses = [schedule.pause_s(n) for n in range(1, 12)]
    for planned, pause in zip([*schedule.PAUSES_S, 28_800.0, 28_800.0], pauses, strict=True):
        assert planned <= pause <= planned * (1.0 + schedule.SPREAD)
    assert schedule.pause_s(1, asked_s=60.0) >= 60.0
    assert schedule.pause_s(1, asked_s=1e9) <= schedule.MOST_ASKED_S * (1.0 + schedule.SPREAD)
    assert schedule.pause_s(4, asked_s=1.0) >= schedule.PAUSES_S[3]


def test_the_stores_find_what_is_owed_and_what_was_given_up(run: Callable[[Check], None]) -> None:
    """In both pairs of stores."""

    def owing(call_id: str, to: str, state: NoticeState, due_at: str | None) -> Any:
        notice = Notice(to, state, "msg_1", now(), due_at, 1, "status_503")
        return replace(record(call_id), notice=notice)

    async def check(pair: Pair) -> None:
        def deadline() -> Deadline:
            return Deadline.after(30.0)

        past, future = from_now(-60.0), from_now(60.0)
        for one in (
            owing("late", "a", NoticeState.OWED, from_now(-90.0)),
            owing("due", "a", NoticeState.OWED, past),
            owing("later", "a", NoticeState.OWED, future),
            owing("others", "b", NoticeState.OWED, past),
            owing("sent", "a", NoticeState.SENT, None),
            owing("dead", "a", NoticeState.DEAD, None),
            owing("dead-too", "b", NoticeState.DEAD, None),
            record("none"),
        ):
            await pair.stores.records.create(one, deadline())
        records = pair.stores.records
        found = await records.notices_due("a", now(), 10, deadline())
        assert [call.record.call_id for call in found] == ["late", "due"]
        assert len(await records.notices_due("a", now(), 1, deadline())) == 1
        dead = await records.notices(NoticeState.DEAD, None, 10, deadline())
        assert {call.record.call_id for call in dead} == {"dead", "dead-too"}
        owed = await records.notices(NoticeState.OWED, None, 10, deadline())
        assert {call.record.call_id for call in owed} == {"late", "due", "later", "others"}
        (first,) = await records.notices(NoticeState.DEAD, None, 1, deadline())
        (second,) = await records.notices(NoticeState.DEAD, first.record.sort_key, 10, deadline())
        assert first.record.call_id != second.record.call_id
        sent = replace(found[0].record, notice=replace(found[0].record.notice, state=NoticeState.SENT, due_at=None))
        await records.replace(sent, found[0].etag, deadline())
        found = await records.notices_due("a", now(), 10, deadline())
        assert [call.record.call_id for call in found] == ["due"]
        assert await records.erase("due", without_record=False, deadline=deadline())
        assert await records.notices_due("a", now(), 10, deadline()) == []

    run(check)
