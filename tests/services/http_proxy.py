"""An HTTP proxy on loopback that can misbehave by script: it stands for what the real servers on this machine don't do
(throttling, outages, cut and slow connections). What it does not answer itself is answered by the real server behind
it."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """Instead of the server's."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(frozen=True)
class Misreport:
    """The request is forwarded, and the server's answer replaced by this one."""

    answer: Answer


@dataclass(frozen=True)
class Slow:
    """The request is forwarded so much later."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """The request is forwarded, and the connection reset in the middle of the answer's body."""


@dataclass(frozen=True)
class Lose:
    """The request is forwarded, and the connection reset before the answer."""


@dataclass(frozen=True)
class Refuse:
    """The connection is reset without forwarding anything."""


Fault = Answer | Misreport | Slow | Cut | Lose | Refuse
Rule = Callable[[Seen], Fault | None]


class HttpProxy:
    """As a context manager. `rule` decides about each request; None: it is forwarded. `seen`: all that came.

    tls: to speak https with the client. rewrite: what is forwarded instead.
    """

    def __init__(
        self,
        upstream_port: int,
        rule: Rule = lambda _: None,
        tls: ssl.SSLContext | None = None,
        rewrite: Callable[[Seen], Seen] = lambda seen: seen,
    ) -> None:
        self.rule = rule
        self.seen: list[Seen] = []
        self.faults = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Silent."""

            def _relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                seen = Seen(
                    self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body
                )
                proxy.seen.append(seen)
                fault = proxy.rule(seen)
                proxy.faults += fault is not None
                if isinstance(fault, Refuse):
                    self._reset()
                    return
                if isinstance(fault, Answer):
                    self._send(fault.status, [*fault.headers.items()], fault.body)
                    return
                if isinstance(fault, Slow):
                    time.sleep(fault.seconds)
                upstream = http.client.HTTPConnection("127.0.0.1", upstream_port, timeout=60.0)
                try:
                    forwarded = rewrite(seen)
                    upstream.putrequest(self.command, forwarded.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in forwarded.headers.items():
                        if name not in _HOP_BY_HOP:
                            upstream.putheader(name, value)
                    if body or self.headers.get("content-length"):
                        upstream.putheader("Content-Length", str(len(body)))
                    upstream.endheaders(body)
                    answer = upstream.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    self._reset()
                    return
                finally:
                    upstream.close()
                if isinstance(fault, Lose):
                    self._reset()
                    return
                if isinstance(fault, Misreport):
                    self._send(fault.answer.status, [*fault.answer.headers.items()], fault.answer.body)
                    return
                headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
                length = answer.getheader("content-length")  # of HEAD, whose answer has no body
                self._send(answer.status, headers, content, length, isinstance(fault, Cut))

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _relay  # noqa: N815 - the base class's names

            def _send(
                self,
                status: int,
                headers: list[tuple[str, str]],
                body: bytes,
                length: str | None = None,
                cut: bool = False,
            ) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if self.command == "HEAD":
                    self.send_header("Content-Length", length or "0")
                    self.end_headers()
                    return
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if cut else body)
                self.wfile.flush()
                if cut:
                    time.sleep(0.05)  # so that the first half arrives
                    self._reset()

            def _reset(self) -> None:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hung up is none of ours."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def first(count: int, fault: Fault, which: Callable[[Seen], bool] = lambda _: True) -> Rule:
    """A rule: the fault for the first so many requests that are meant, then nothing."""
    left = [count]
    lock = threading.Lock()

    def rule(seen: Seen) -> Fault | None:
        with lock:
            if not which(seen) or left[0] <= 0:
                return None
            left[0] -= 1
            return fault

    return rule
