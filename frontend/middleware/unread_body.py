"""Delivers answers that are sent before the request's body is read, such as 401 or 413.

If a connection with unread bytes is closed, the kernel resets it, and the sender then often loses the answer. So the
answer is sent at once, and the rest of the body is read and dropped, within bounds, before the connection ends
(RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 64 * 1024 * 1024
MAX_S = 5.0
KEEP_ALIVE_BYTES = 64 * 1024  # a body up to this size is read to its end and its connection kept; others are closed


class UnreadBody:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            await self._app(scope, receive, send)
            return
        # A sender with `Expect` (RFC 9110, section 10.1.1) waits for our permission, which we give when we begin to
        # read; otherwise it sends no body.
        unread, coming, held = True, "expect" not in headers, False

        async def receive_and_note() -> Message:
            nonlocal unread, coming
            coming = True
            message = await receive()
            unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_and_hold(message: Message) -> None:
            """Send at once, but leave the answer open while the body is unread."""
            nonlocal held
            if unread and message["type"] == "http.response.start" and not _is_small(headers):
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            if unread and message["type"] == "http.response.body" and not message.get("more_body", False):
                message, held = {**message, "more_body": True}, True
            await send(message)

        # When this returns the request has left its place, its log line and its count: reading the rest delays none.
        await self._app(scope, receive_and_note, send_and_hold)
        if held:
            if coming:
                await _drain(receive)
            await send({"type": "http.response.body", "body": b""})


def _is_small(headers: Headers) -> bool:
    declared = headers.get("content-length", "")
    return declared.isdecimal() and len(declared) < 10 and int(declared) <= KEEP_ALIVE_BYTES


async def _drain(receive: Receive) -> None:
    read = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MAX_S):
            while read < MAX_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
