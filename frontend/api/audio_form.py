"""The form around the audio: RFC 7578 for its parts, RFC 2046 for what stands around them."""

from __future__ import annotations

import re

from python_multipart.multipart import parse_options_header
from starlette.formparsers import MultiPartParser

from frontend.api.wrapped_audio import packing_of
from frontend.domain.errors import InvalidRequest
from runtime.errors import UnsupportedMedia

_MOST_PREAMBLE_BYTES = 16 * 1024  # mail programs write a line


class AudioFormParser(MultiPartParser):
    """Takes the part `audio` as a file also without `filename`, which a sender may leave out (RFC 7578, section 4.2).

    `filename*` is none: the section forbids it. The limit for text fields stays that of all other parts without a
    `filename`. The file is kept in memory instead of a temporary file: the body is bounded and needed in memory anyway.
    """

    spool_max_size = 1 << 30

    def on_headers_finished(self) -> None:
        """Make the part a file or a field. Raises: InvalidRequest; starlette's MultiPartException."""
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        unnamed = options.get(b"name") == b"audio" and b"filename" not in options
        if self._current_files and (unnamed or b"filename" in options):
            raise InvalidRequest("one_file_only")
        if unnamed:
            part.content_disposition = (part.content_disposition or b"") + b'; filename=""'
        super().on_headers_finished()
        if unnamed and part.file is not None:
            part.file.filename = None


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
