"""The form around the audio: RFC 7578 for its parts, RFC 2046 for what stands around them."""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from frontend.api.wrapped_audio import packing_of
from frontend.domain.errors import InvalidRequest
from runtime.errors import UnsupportedMedia

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PREAMBLE_BYTES = 16 * 1024  # mail programs write a line
_INVALID = "Invalid multipart data"


class FormError(Exception):
    """The form can't be read. reason: for its sender"""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Recording:
    """The part with a file. filename: None where the sender left it out; headers: of the part, names in lower case"""

    def __init__(self, filename: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        self.filename = filename
        self._headers = headers
        self._content = io.BytesIO()

    def add(self, data: bytes) -> None:
        """Add the next bytes."""
        self._content.write(data)

    def header(self, name: bytes) -> str:
        """Return the first header of that name; empty where there is none."""
        return next((value.decode("latin-1") for found, value in self._headers if found == name), "")

    def content(self) -> bytes:
        """Return all bytes; `BytesIO` does not copy them."""
        return self._content.getvalue()


class AudioForm:
    """Reads a form as it comes, with one file at most, which is kept in memory: the body is bounded and needed there.

    Takes the part `audio` as a file also without `filename`, which a sender may leave out (RFC 7578, section 4.2).
    `filename*` is none: the section forbids it. starlette's parser takes twice the CPU time around the same
    python-multipart: a temporary file, a class for each part and for the form, and headers that are read twice.
    """

    def __init__(self, parameters: dict[bytes, bytes], max_fields: int, max_field_bytes: int) -> None:
        """parameters: of the body's Content-Type; max_fields: parts that are no file. Raises: FormError."""
        if b"boundary" not in parameters:
            raise FormError("Missing boundary in multipart")
        try:
            self._charset = codecs.lookup(parameters.get(b"charset", b"utf-8").decode("latin-1")).name
        except LookupError:
            self._charset = "latin-1"
        self._max_fields, self._max_field_bytes = max_fields, max_field_bytes
        self._items: dict[str, str | Recording] = {}
        self._has_file, self._fields = False, 0
        self._header_name = self._header_value = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._name = ""
        self._file: Recording | None = None
        self._field = bytearray()
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_to_name,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
        }
        try:
            self._parser = MultipartParser(parameters[b"boundary"], callbacks)
        except FormParserError as error:
            raise FormError(_INVALID) from error

    def add(self, chunk: bytes) -> None:
        """Read the next bytes of the body. Raises: FormError, InvalidRequest."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise FormError(_INVALID) from error

    def end(self) -> dict[str, str | Recording]:
        """Return the parts by name, of equal names the last. Raises: FormError."""
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise FormError(_INVALID) from error
        return self._items

    def _begin_part(self) -> None:
        self._headers, self._file, self._field = [], None, bytearray()

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers.append((self._header_name.lower(), self._header_value))
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        """Make the part a file or a field. Raises: InvalidRequest, FormError."""
        disposition = next((value for name, value in reversed(self._headers) if name == b"content-disposition"), b"")
        _, options = parse_options_header(disposition)
        unnamed = options.get(b"name") == b"audio" and b"filename" not in options
        if self._has_file and (unnamed or b"filename" in options):
            raise InvalidRequest("one_file_only")
        if unnamed:
            _, options = parse_options_header(disposition + b'; filename=""')
        if b"name" not in options:
            raise FormError('The Content-Disposition header field "name" must be provided')
        self._name = self._text(options[b"name"])
        if b"filename" in options:
            self._has_file = True
            self._file = Recording(None if unnamed else self._text(options[b"filename"]), self._headers)
            return
        self._fields += 1
        if self._fields > self._max_fields:
            raise FormError(f"Too many fields. Maximum number of fields is {self._max_fields}")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.add(data[start:end])
            return
        if len(self._field) + end - start > self._max_field_bytes:
            raise FormError(f"Part exceeded maximum size of {self._max_field_bytes // 1024}KB")
        self._field += data[start:end]

    def _end_part(self) -> None:
        self._items[self._name] = self._text(self._field) if self._file is None else self._file

    def _text(self, data: bytes | bytearray) -> str:
        try:
            return data.decode(self._charset)
        except (UnicodeDecodeError, LookupError):
            return data.decode("latin-1")


def from_first_part(head: bytes, boundary: bytes) -> bytes:
    """Return a body's beginning without a preamble and without blanks behind the first boundary.

    RFC 2046, section 5.1.1. python-multipart takes blanks behind the later boundaries, and an epilogue. Empty: the
    first boundary is still to come. Raises: InvalidRequest, UnsupportedMedia.
    """
    found = re.search(rb"(?:\A|\n)(--" + re.escape(boundary) + rb")(?:--|[ \t]*(\r?\n))", head)
    if (found.start() if found else len(head) - len(boundary)) > _MOST_PREAMBLE_BYTES:
        raise no_first_part(head)
    if found is None:
        return b""
    if found[2] is None:  # the last boundary: there is no part
        return head[found.start(1) :]
    if found[2] == b"\n":
        raise InvalidRequest("form_line_ends")
    return found[1] + b"\r\n" + head[found.end() :]


def no_first_part(head: bytes) -> InvalidRequest | UnsupportedMedia:
    """Return the error for a body without its boundary: one that was packed as a whole, or another."""
    return UnsupportedMedia("body_encoded") if packing_of(head) else InvalidRequest("form_without_boundary")
