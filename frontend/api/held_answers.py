"""Answers that take memory until they are sent: counted by the admission, and sent in pieces.

uvicorn takes a body of any size and keeps what the reader has not taken; between two pieces it waits for the reader.
`frontend/cli/bounded_connection.py` ends the connection of a reader who is too slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from frontend.calls.stored_audio import PIECE_BYTES, PiecewiseAudio
from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.inference.admission import Ticket
from frontend.services import Services

PART_BYTES = 32 * 1024  # of one message to uvicorn
# Records of calls are smaller; to count them would cost more than they do.
UNCOUNTED_BYTES = 64 * 1024
STREAM_BYTES = PIECE_BYTES + 128 * 1024  # a piece from the store, and what uvicorn and the kernel hold


class HeldAnswer(Response):
    """An answer whose body is in memory. Raises Overloaded where it does not fit, before anything is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= UNCOUNTED_BYTES:
            await super().__call__(scope, receive, send)
            return
        with _held(scope, len(self.body)) as ticket:
            await _until_ended(ticket, scope, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in _in_parts(self.body):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class HeldJson(HeldAnswer, JSONResponse):
    """A JSON document that may be large."""


class StreamedAudio(StreamingResponse):
    """A call's stored audio, verified before anything is sent. Raises: Overloaded, CallNotFound, StoreUnavailable."""

    def __init__(
        self,
        audio: PiecewiseAudio,
        span: tuple[int, int],
        deadline: Deadline,
        piece_s: float,
        verified: Callable[[], None],
        status: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        """span: the first byte and the one after the last; deadline: of the verification, after which `verified` is
        called; piece_s: the store's time for each piece
        """
        self._audio, self._span, self._deadline, self._piece_s = audio, span, deadline, piece_s
        self._verified = verified
        length = {"Content-Length": str(span[1] - span[0])}
        super().__init__(self._parts(), status, {**headers, **length}, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with _held(scope, STREAM_BYTES) as ticket:
            await self._audio.verify(self._deadline)
            self._verified()
            if scope["method"] == "HEAD":
                await Response(status_code=self.status_code, headers=self.headers)(scope, receive, send)
                return
            try:
                await _until_ended(ticket, scope, super().__call__(scope, receive, send))
            except StoreUnavailable:
                _end_connection(scope, "store")  # a body that is too short must not look complete

    async def _parts(self) -> AsyncIterator[bytes]:
        async for piece in self._audio.span(*self._span, self._piece_s):
            for part in _in_parts(piece):
                yield part


@contextmanager
def _held(scope: Scope, answer_bytes: int) -> Iterator[Ticket]:
    services: Services = scope["app"].state.services
    ticket = services.admission.hold_answer(answer_bytes, scope["state"].get("key_name"))
    try:
        yield ticket
    finally:
        services.admission.release(ticket)


async def _until_ended(ticket: Ticket, scope: Scope, sending: Coroutine[Any, Any, None]) -> None:
    """Send the answer; end its connection where another key needs the memory."""
    try:
        async with asyncio.timeout(None) as ticket.waiting:
            await sending
    except TimeoutError:
        _end_connection(scope, "share")
    finally:
        ticket.waiting = None


def _end_connection(scope: Scope, cause: str) -> None:
    end = scope["state"].get("end_connection")  # of `BoundedConnection`
    if end is not None:
        end(cause)


def _in_parts(data: bytes | memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        # A copy: a view in uvicorn's buffer would keep all of it until the reader has taken the last bytes.
        yield bytes(data[start : start + PART_BYTES])
