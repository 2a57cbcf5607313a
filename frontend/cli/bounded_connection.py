"""uvicorn's HTTP/1.1 over httptools, with bounds for what one connection may take: httptools and uvicorn have none for
the length of a head, the time until it is complete, the requests in a pipeline, and the time of a reader.

Values of headers are passed on without blanks around them.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from frontend.api.upload import SLOWEST_BYTES_PER_S
from frontend.observability.metrics import Metrics

MAX_HEAD_BYTES = 64 * 1024  # the limit of uvicorn's pure Python parser
# From the connection, or the first byte after an answer. A proxy sends a head at once; who needs longer tries again.
HEAD_S = 10.0
MAX_PIPELINED = 32  # requests that wait for the answer before theirs; a piece of 256 KiB can hold 14,000 of them
WRITE_BUFFER_BYTES = 32 * 1024  # of answers, beyond the kernel's own; above it the answer waits
# The kernel's buffer grows to several MB by itself. It counts as memory of the container, and it hides for minutes that
# a reader has stopped. Answers are small, and the ingress is near: this is enough for 100 MB/s at 1 ms.
SEND_BUFFER_BYTES = 64 * 1024


class _WholeAnswers:
    """The transport of one answer. It keeps the head until there is a first part of the body, and sends both at once:
    one system call, and one wake-up of the reader, instead of two.
    """

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport, self._cycle = transport, cycle
        self._head: bytes | None = None
        self._has_head = False

    def write(self, data: bytes) -> None:
        """Send, or keep the head. `100 Continue` is written before the answer starts."""
        if self._cycle.response_started and not self._has_head:
            self._head, self._has_head = data, True
            return
        if self._head is not None:
            data, self._head = self._head + data, None
        self._transport.write(data)

    def flush(self) -> None:
        """Send a head that no body follows, as to HEAD."""
        if self._head is not None:
            self.write(b"")

    def close(self) -> None:
        """Close the connection when everything is sent."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()


class BoundedConnection(HttpToolsProtocol):
    """Answers a head or trailers beyond the limit with 400, and closes the connection; ends it where a time is over.

    Two attributes are set for all connections of a server, by `bounded_connections`.
    """

    idle_s: float
    metrics: Metrics

    _head_bytes = 0  # of the complete lines of one message
    _in_head = False
    _unseen_bytes = 0  # of an incomplete line; the parser reports a line only at its end
    _answering: RequestResponseCycle | None = None  # uvicorn's own `cycle` is the last one of the pipeline
    _head_due: asyncio.TimerHandle | None = None
    _read_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_due, self._read_due):
            if timer is not None:
                timer.cancel()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unseen_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The request's head is too long.")
        elif self.cycle is None or self.cycle.response_complete:
            self._await_head()  # uvicorn's time for idle connections ends with the first byte

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unseen_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("The request's head is too long.")  # the parser stops, and uvicorn answers 400
        # llhttp leaves blanks behind a value, which are none of it (RFC 9110, section 5.5).
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.end("pipeline")
            raise ValueError("There are too many requests in the pipeline.")  # the parser stops

    def on_body(self, body: bytes) -> None:
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = self._unseen_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_due is not None:
            self._read_due.cancel()
            self._read_due = None

    def on_response_complete(self) -> None:
        if self._answering is not None:
            cast(_WholeAnswers, self._answering.transport).flush()
        super().on_response_complete()
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._await_reader()  # a transport closes only when its buffer is empty
        elif self._in_head:
            self._await_head()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self.end("reader")
        else:
            super().timeout_keep_alive_handler()

    def end(self, cause: str) -> None:
        """End the connection at once, with what it has not sent. cause: of `Metrics.connections_ended`"""
        self.metrics.connections_ended.labels(cause).inc()
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.scope["state"]["ended"] = cause  # for the request's line
            cycle.disconnected = True  # uvicorn takes what is still sent, and drops it
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        cycle.scope["state"]["end_connection"] = self.end
        cycle.transport = cast(asyncio.Transport, _WholeAnswers(self.transport, cycle))
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_S, self.end, "head")

    def _await_reader(self) -> None:
        """Give the reader the time for full buffers at 4 KiB/s, and a pause as long as senders may make.

        The kernel asks for more only when a third of its buffer is free, and a reader's kernel tells in steps, too.
        """
        if self._read_due is None:
            buffered = 2 * WRITE_BUFFER_BYTES + SEND_BUFFER_BYTES
            patience_s = self.idle_s + buffered / SLOWEST_BYTES_PER_S
            self._read_due = self.loop.call_later(patience_s, self.end, "reader")


def bounded_connections(idle_s: float, metrics: Metrics) -> type[BoundedConnection]:
    """Return the protocol of one server. idle_s: how long a reader may take nothing"""
    return type("BoundedConnections", (BoundedConnection,), {"idle_s": idle_s, "metrics": metrics})
