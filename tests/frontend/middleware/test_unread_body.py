"""An answer given before the body was read still reaches its sender, and what still comes is thrown away, within
bounds.
"""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from frontend.middleware import unread_body
from frontend.middleware.unread_body import KEEP_ALIVE_BYTES, MAX_BYTES, UnreadBody
from tests.frontend.asgi import Sender, body

LARGE = {"Content-Length": "1000000"}


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """From the head alone."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """All of the body first."""
    while (await receive()).get("more_body", False):
        pass
    await refusing(scope, receive, send)


async def beginning(scope: Scope, receive: Receive, send: Send) -> None:
    """One message of the body, then the answer."""
    await receive()
    await refusing(scope, receive, send)


def bodies(sender: Sender) -> list[Message]:
    return [item for item in sender.answered if item["type"] == "http.response.body"]


def test_the_answer_goes_out_first_and_the_rest_is_read_to_its_end() -> None:
    sender = Sender(body(b"a" * 9), body(b"b" * 9), body(b"", more=False))
    sender.talk_to(UnreadBody(refusing), LARGE)
    assert sender.asked == 3
    assert bodies(sender) == [
        {"type": "http.response.body", "body": b"no", "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]
    assert sender.headers[b"connection"] == b"close"


@pytest.mark.parametrize("length", ["1", str(KEEP_ALIVE_BYTES)])
def test_the_connection_of_a_small_body_is_kept(length: str) -> None:
    sender = Sender(body(b"a", more=False))
    sender.talk_to(UnreadBody(refusing), {"Content-Length": length})
    assert (sender.asked, b"connection" in sender.headers) == (1, False)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": str(KEEP_ALIVE_BYTES + 1)}, {"Content-Length": "9" * 5000}, {"Transfer-Encoding": "chunked"}],
    ids=["larger", "endless", "chunked"],
)
def test_the_connection_of_any_other_body_is_closed(headers: dict[str, str]) -> None:
    sender = Sender(body(b"a", more=False))
    sender.talk_to(UnreadBody(refusing), headers)
    assert sender.headers[b"connection"] == b"close"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}])
def test_a_request_without_a_body_is_left_alone(headers: dict[str, str]) -> None:
    sender = Sender()
    sender.talk_to(UnreadBody(refusing), headers)
    assert (sender.asked, len(bodies(sender)), b"connection" in sender.headers) == (0, 1, False)


def test_a_body_that_was_read_is_not_asked_for_again() -> None:
    sender = Sender(body(b"a"), body(b"b", more=False))
    sender.talk_to(UnreadBody(reading), LARGE)
    assert (sender.asked, len(bodies(sender)), b"connection" in sender.headers) == (2, 1, False)


def test_who_asks_for_leave_to_send_and_does_not_get_it_sends_nothing() -> None:
    sender = Sender()
    sender.talk_to(UnreadBody(refusing), {**LARGE, "Expect": "100-continue"})
    assert sender.asked == 0
    assert sender.headers[b"connection"] == b"close"


def test_who_got_leave_to_send_is_read_to_the_end() -> None:
    sender = Sender(body(b"a"), body(b"b"), body(b"c", more=False))
    sender.talk_to(UnreadBody(beginning), {**LARGE, "Expect": "100-continue"})
    assert sender.asked == 3


def test_a_sender_that_hangs_up_ends_it() -> None:
    sender = Sender(body(b"a"), then={"type": "http.disconnect"})
    sender.talk_to(UnreadBody(refusing), LARGE)
    assert sender.asked == 2
    assert bodies(sender)[-1] == {"type": "http.response.body", "body": b""}


def test_a_sender_without_end_is_read_to_the_bound() -> None:
    piece = 1 << 20
    sender = Sender(then=body(bytes(piece)))
    sender.talk_to(UnreadBody(refusing), LARGE)
    assert sender.asked == MAX_BYTES // piece


def test_a_sender_that_stalls_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_body, "MAX_S", 0.01)
    sender = Sender(body(b"a"))
    sender.talk_to(UnreadBody(refusing), LARGE)
    assert bodies(sender)[-1] == {"type": "http.response.body", "body": b""}
