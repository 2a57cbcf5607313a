"""What the callbacks' tests need: a receiver on loopback that does as it is told, and a front end that sends to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0


def secret(text: str) -> str:
    """A secret made from a text."""
    return "whsec_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


SECRET = secret("the one in use")


@dataclass(frozen=True)
class Got:
    """A message as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def is_signed_with(self, text: str) -> bool:
        key = base64.b64decode(text.removeprefix("whsec_"))
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        made = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return made in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """As a context manager: a real HTTP server; `answer` says what it does with the nth message."""

    answer: Callable[[int], int | dict[str, Any]] = lambda _: 204
    tls: ssl.SSLContext | None = None
    got: list[Got] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)  # for those that answer with 0: not before this

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/finished") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def ids(self) -> list[str]:
        """The calls in the messages, in their order."""
        return [got.event["subject"] for got in self.got]

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append(Got({name.lower(): value for name, value in self.headers.items()}, body))
                what = outer.answer(len(outer.got))
                if what == 0:
                    outer.hold.wait(PATIENCE_S)
                    what = 204
                headers = what if isinstance(what, dict) else {"status": what}
                self.send_response(int(headers.pop("status")))
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()

            def do_GET(self) -> None:
                outer.got.append(Got({}, b"{}"))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


def callbacks_to(*urls: str, secrets: list[str] | None = None, names: list[str] | None = None) -> dict[str, str]:
    """An environment in which each URL gets a key of its own, and loopback is allowed."""
    given = {
        name: {"url": url, "secrets": secrets or [SECRET], "language": "en"}
        for name, url in zip(names or ["default", "second"], urls, strict=False)
    }
    return {
        "CALLBACKS": json.dumps(given),
        "CALLBACKS_ALLOW_PRIVATE": "1",
        "TOSIA_CALLBACKS__POLL_S": "0.2",
    }


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s until {what}"
        time.sleep(0.05)
