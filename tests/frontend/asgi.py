"""Parts of the front end asked in this process: no server, no socket, and a sender that a test writes message by
message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.api.exception_handlers import add_problem_handlers
from frontend.middleware.request_context import RequestContext
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import OFF, Tracing

Endpoint = Callable[[Request], Awaitable[Any]]


def application(
    endpoint: Endpoint, path: str = "/v1/diagnoses", method: str = "POST", tracing: Tracing = OFF
) -> tuple[FastAPI, Metrics]:
    """One route with the front end's own problems and request log around it."""
    app, metrics = FastAPI(), Metrics()
    app.add_api_route(path, endpoint, methods=[method], response_model=None)
    add_problem_handlers(app)
    app.add_middleware(RequestContext, metrics=metrics, tracing=tracing)
    return app, metrics


def ask(app: ASGIApp, method: str = "POST", path: str = "/v1/diagnoses", **more: Any) -> httpx.Response:
    """One request; English, as the tests are written."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://tosia") as client:
            return await client.request(method, path, **{"headers": {"Accept-Language": "en"}, **more})

    return asyncio.run(run())


class Sender:
    """Sends what a test gives it, message by message, and keeps what was answered."""

    def __init__(self, *messages: Message, then: Message | None = None) -> None:
        """then: what comes for ever after; None: nothing, the sender stalls."""
        self._messages = list(messages)
        self._then = then
        self.asked = 0
        self.answered: list[Message] = []

    async def receive(self) -> Message:
        self.asked += 1
        if self._messages:
            return self._messages.pop(0)
        if self._then is None:
            await asyncio.Event().wait()
        assert self._then is not None
        return self._then

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answered[0]["headers"])

    def talk_to(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], headers: dict[str, str]) -> None:
        """One POST."""
        coded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/diagnoses", "headers": coded}
        asyncio.run(app(scope, self.receive, self.send))  # type: ignore[arg-type]


def body(data: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}
