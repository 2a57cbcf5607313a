"""The head of an answer leaves with the first part of its body.

The transport is a stand-in that notes each write: what a socket delivers does not show how many there were.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from frontend.cli.bounded_connection import bounded_connections
from frontend.observability.metrics import Metrics

PARTS = [b"first", b"second", b"third"]


class NotingTransport(asyncio.Transport):
    """Keeps what is written, one entry a write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...


async def in_parts(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    size = str(sum(map(len, PARTS))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
    for part in PARTS:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def without_end(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})


def written(request: bytes, app: Any) -> list[bytes]:
    async def ask() -> list[bytes]:
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, date_header=False)
        config.load()
        state, transport = ServerState(), NotingTransport()
        protocol = bounded_connections(10.0, Metrics())(config, state, {}, asyncio.get_running_loop())
        protocol.connection_made(transport)
        protocol.data_received(request)
        await asyncio.gather(*state.tasks)
        protocol.connection_lost(None)
        return [data for data in transport.writes if data]

    return asyncio.run(ask())


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_the_head_is_written_with_the_first_part(method: bytes) -> None:
    first, *rest = written(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", in_parts)
    assert first == b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\nfirst"
    assert rest == PARTS[1:]


def test_a_head_without_a_body_is_written() -> None:
    assert written(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", in_parts) == [
        b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n"
    ]


def test_100_continue_is_written_at_once() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    first, second, *_ = written(head + b"x", in_parts)
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert second.endswith(b"first")


def test_a_head_whose_body_never_comes_is_written_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    (head,) = written(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", without_end)
    assert head.startswith(b"HTTP/1.1 200 OK")
