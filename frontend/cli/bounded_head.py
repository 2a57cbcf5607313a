"""uvicorn's HTTP/1.1 over httptools, with an end to how long a request's head may be: httptools itself has none."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024  # as uvicorn's pure Python parser has it


class BoundedHead(HttpToolsProtocol):
    """A head, or trailers, that go on beyond the bound are answered 400, and the connection ends."""

    _head_bytes = 0  # of the lines that ended, of one message
    _unseen_bytes = 0  # of a line that goes on and on, which the parser keeps to itself until it ends

    def data_received(self, data: bytes) -> None:
        self._unseen_bytes += len(data)
        super().data_received(data)
        if self._unseen_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")

    def on_message_begin(self) -> None:
        self._head_bytes = self._unseen_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._unseen_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("The request's head is too long.")  # the parser ends, and uvicorn answers 400
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unseen_bytes = 0
        super().on_message_complete()
