"""Answers are counted until they are sent, and end where another key needs their memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from frontend.api.held_answers import PART_BYTES, UNCOUNTED_BYTES, HeldAnswer, HeldJson
from frontend.domain.errors import Overloaded
from frontend.inference.admission import Admission
from frontend.observability.metrics import Metrics
from runtime.config import load_limits

MIB = 2**20
LIMITS = replace(load_limits()[1], max_body_bytes=MIB, max_in_flight_bytes=4 * MIB, max_key_share=0.5)


class Connection:
    """A reader who takes so many messages; then it stalls."""

    def __init__(self, admission: Admission, key_name: str, takes: int = 10_000) -> None:
        app = Starlette()
        app.state.services = SimpleNamespace(admission=admission)
        self.ended: list[str] = []
        state = {"key_name": key_name, "end_connection": self.ended.append}
        self.scope: dict[str, Any] = {"type": "http", "method": "GET", "app": app, "state": state}
        self._takes = takes
        self.messages: list[Message] = []
        self.most = 0
        self._admission = admission

    async def answer(self, size: int) -> None:
        await HeldAnswer(bytes(size))(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        raise AssertionError("nothing is read")

    async def _send(self, message: Message) -> None:
        if len(self.messages) == self._takes:
            await asyncio.Event().wait()
        self.messages.append(message)
        self.most = max(self.most, self._admission.body_bytes)


def make() -> tuple[Admission, Metrics]:
    metrics = Metrics()
    return Admission(LIMITS, metrics, [], lambda n: 0.0, 1), metrics


@pytest.mark.parametrize(
    ("size", "messages", "counted"),
    [(UNCOUNTED_BYTES, 2, 0), (UNCOUNTED_BYTES + 1, 5, UNCOUNTED_BYTES + 1), (MIB, MIB // PART_BYTES + 2, MIB)],
)
def test_a_large_answer_is_sent_in_parts_and_counted_meanwhile(size: int, messages: int, counted: int) -> None:
    admission, _ = make()
    reader = Connection(admission, "one")
    asyncio.run(reader.answer(size))
    assert (len(reader.messages), reader.most, admission.body_bytes) == (messages, counted, 0)
    assert b"".join(message.get("body", b"") for message in reader.messages) == bytes(size)
    assert max(len(message.get("body", b"")) for message in reader.messages) <= max(PART_BYTES, UNCOUNTED_BYTES)
    assert [message.get("more_body", False) for message in reader.messages[1:]][-1] is False


def test_one_that_does_not_fit_is_refused_before_it_begins() -> None:
    admission, _ = make()
    reader = Connection(admission, "one")
    with pytest.raises(Overloaded):
        asyncio.run(reader.answer(4 * MIB + 1))
    assert reader.messages == []


def test_a_json_document_is_rendered_as_always() -> None:
    assert HeldJson({"a": ["ñ", None]}).body == '{"a":["ñ",null]}'.encode()


def test_stalled_answers_of_one_key_are_ended_for_another_key() -> None:
    admission, metrics = make()
    stalled = [Connection(admission, "one", takes=3) for _ in range(4)]
    other = Connection(admission, "other")

    async def run() -> None:
        async with asyncio.timeout(30):
            tasks = [asyncio.create_task(reader.answer(MIB)) for reader in stalled]
            await asyncio.sleep(0)
            assert admission.body_bytes == 4 * MIB
            await other.answer(MIB)
            await tasks[0]
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert [reader.ended for reader in stalled] == [["share"], [], [], []]
    assert other.messages[-1] == {"type": "http.response.body", "body": b""}
    assert admission.body_bytes == 0
    assert metrics.registry.get_sample_value("tosia_refusals_total", {"limit": "share"}) == 1.0
