"""uvicorn's HTTP/1.1 over httptools, with an end to how long a request's head may be: httptools itself has none."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024  # as uvicorn's pure Python parser has it


class BoundedHead(HttpToolsProtocol):
    """A head that goes on beyond the bound is answered 400, and its connection ends."""

    _in_head = False
    _head_bytes = 0
    _unfinished_bytes = 0

    def data_received(self, data: bytes) -> None:
        began_before = self._in_head
        super().data_received(data)
        if began_before and self._in_head and not self.transport.is_closing():
            self._unfinished_bytes += len(data)  # of lines that go on and on, which `on_header` sees only at their end
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The request's head is too long.")

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._unfinished_bytes = True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("The request's head is too long.")  # the parser ends, and uvicorn answers 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
