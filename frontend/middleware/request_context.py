"""Gives every request an id, a trace context, one log line, and one count; and every answer its headers.

Logs contain route templates only, never ids of calls.
"""

from __future__ import annotations

import logging
import re
import time

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.domain.records import id_sha256
from frontend.middleware.security_headers import SECURITY_HEADERS
from frontend.observability.json_logs import REQUEST_ID
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import CALL, Tracing, exemplar, mark_failed
from runtime.random_bytes import random_bytes

_log = logging.getLogger("tosia.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# All other methods share one label: callers must not be able to create labels of a metric.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class RequestContext:
    """ASGI middleware. A caller's own X-Request-ID is kept if it is harmless; the log contains its digest."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        theirs = _REQUEST_ID.fullmatch(given) is not None
        request_id = given if theirs else random_bytes(16).hex()
        # A caller's own request id may be the call's id, which must not appear in a log.
        logged = f"sha256:{id_sha256(given)[:16]}" if theirs else request_id
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(logged)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        # Probes and the console's files would only hide the calls.
        traced = scope["path"].startswith("/v1/")
        with self._tracing.request(method, headers.getlist("traceparent"), traced=traced) as span:
            await self._answer(scope, receive, send, request_id, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str, span: Span) -> None:
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *SECURITY_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            refused = scope["state"].get("refused")  # refused before routing
            route = refused or getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(seconds, exemplar())
            if span.is_recording():
                _describe(span, scope, method, route, status)
            key_name = scope["state"].get("key_name", "-")
            fields = {
                "method": method,
                "route": route,
                "status": status,
                "duration_s": round(seconds, 4),
                "key": key_name,
            }
            if ended := scope["state"].get("ended"):
                fields["ended"] = ended
            # At overload the metric carries this; thousands of lines a second would slow down admitted requests.
            level = logging.DEBUG if refused else logging.INFO
            if _log.isEnabledFor(level):
                _log.log(level, "%s %s %d", method, route, status, extra={"fields": fields})


def _describe(span: Span, scope: Scope, method: str, route: str, status: int) -> None:
    """Name a request's span by its route, as the metrics do; its path may hold a call's id."""
    if route != "unmatched":
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:  # a refusal of what a caller sent is no error of the server
        mark_failed(span, str(status))
    call_id = scope["state"].get("call_id") or scope.get("path_params", {}).get("call_id")
    if isinstance(call_id, str):
        span.set_attribute(CALL, id_sha256(call_id))
