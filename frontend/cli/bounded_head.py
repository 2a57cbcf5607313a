"""uvicorn's HTTP/1.1 over httptools, with a limit for the length of a request's head; httptools has no limit.

Values of headers are passed on without blanks around them.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024  # the limit of uvicorn's pure Python parser


class BoundedHead(HttpToolsProtocol):
    """Answers a head or trailers beyond the limit with 400, and closes the connection."""

    _head_bytes = 0  # of the complete lines of one message
    _unseen_bytes = 0  # of an incomplete line; the parser reports a line only at its end

    def data_received(self, data: bytes) -> None:
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self._unseen_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unseen_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("The request's head is too long.")  # the parser stops, and uvicorn answers 400
        # llhttp leaves blanks behind a value, which are none of it (RFC 9110, section 5.5).
        super().on_header(name, value.strip(b" \t"))

    def on_body(self, body: bytes) -> None:
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = self._unseen_bytes = 0
        super().on_message_complete()
