"""Read the multipart form of an upload within its limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from python_multipart.multipart import parse_options_header

from frontend.api.audio_form import AudioForm, FormError, Recording, from_first_part, no_first_part
from frontend.api.wrapped_audio import coding_of, transfer_coding_of
from frontend.calls.audio_digest import sha256_of
from frontend.domain.errors import BodyTimeout, BodyTooLarge, InvalidRequest, MissingAudio, Overloaded
from frontend.domain.records import checked_call_id, new_call_id
from frontend.inference.admission import Admission, Ticket
from frontend.openapi.schemas import MAX_FORM_FIELDS
from runtime.config import Limits
from runtime.errors import UnsupportedMedia
from runtime.prepare import AudioFile, headerless, sniff

SLOWEST_BYTES_PER_S = 4096  # a 2G telephone; voice notes need about half of it
# The content types that browsers may receive with the audio: never HTML or a script, whatever type the sender gave.
_SAFE_TYPE = re.compile(r"(audio|video)/[a-z0-9/.+-]+")
_FORM_OVERHEAD_BYTES = 16 * 1024  # boundaries, part headers and call_id, beside the audio


@dataclass(frozen=True, slots=True)
class Upload:
    """A parsed upload.

    call_id: checked, or made here where none was sent (new_id); content_type: safe to send back to browsers
    """

    call_id: str
    new_id: bool
    audio: AudioFile
    content_type: str


async def read_upload(request: Request, limits: Limits, admission: Admission, ticket: Ticket) -> Upload:
    """Read the form's `audio`, `call_id` and `format`. The sender may be slower than 4 KiB/s for `request_deadline_s`.

    ticket: the request's place, which grows with the body

    Raises: UnsupportedMedia, BodyTooLarge (before the body is read, where the header declares a length), BodyTimeout,
    MissingAudio, EmptyAudio, InvalidRequest, InvalidCallId, Overloaded (the bodies in work fill the
    memory, or another key needs the place).
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMedia("not_multipart")
    codings = {coding.strip().lower() for coding in ",".join(request.headers.getlist("content-encoding")).split(",")}
    # RFC 9110, section 8.4. Voice notes don't shrink, and a small body may unpack to a huge one.
    if codings - {"", "identity"}:
        raise UnsupportedMedia("body_encoded")
    max_body_bytes = limits.max_body_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_body_bytes + _FORM_OVERHEAD_BYTES:
        raise _too_large(max_body_bytes)
    _, parameters = parse_options_header(request.headers["content-type"])
    body = _limited(request.stream(), limits, admission, ticket, parameters.get(b"boundary", b""))
    try:
        reading = AudioForm(parameters, MAX_FORM_FIELDS, _FORM_OVERHEAD_BYTES)
        async for chunk in body:
            reading.add(chunk)
        form = reading.end()
    except FormError as error:
        raise InvalidRequest("form_unreadable", reason=error.reason) from error
    except UnsupportedMedia:  # a ValueError, too
        raise
    except ValueError as error:  # some codecs of a charset raise a parent class of UnicodeDecodeError
        raise InvalidRequest("form_not_utf8") from error
    audio = form.get("audio")
    if not isinstance(audio, Recording):
        raise MissingAudio("no_audio_field")
    call_id = form.get("call_id")
    if call_id is not None and not isinstance(call_id, str):
        raise InvalidRequest("call_id_is_file")
    checked = checked_call_id(call_id) if call_id is not None else new_call_id()
    word = form.get("format") or None
    if word is not None and not isinstance(word, str):
        raise InvalidRequest("format_is_file")
    data = audio.content()
    if len(data) > max_body_bytes:
        raise _too_large(max_body_bytes)
    try:
        container = headerless(word) if word is not None and data else sniff(data)
    except UnsupportedMedia as error:
        raise (_not_audio(audio, data) if word is None else None) or error from None
    file = AudioFile(data, await sha256_of(data), container)
    kind = audio.header(b"content-type").partition(";")[0].strip().lower()
    return Upload(checked, call_id is None, file, kind if _SAFE_TYPE.fullmatch(kind) else "application/octet-stream")


async def _limited(
    stream: AsyncGenerator[bytes, None], limits: Limits, admission: Admission, ticket: Ticket, boundary: bytes
) -> AsyncGenerator[bytes, None]:
    """Pass the stream on from the form's first part.

    Raises an error where a body without a length exceeds the limit, is sent too slowly, or stops: otherwise a few
    stalled senders could use up all places for requests. What has arrived counts as memory in use, however much the
    sender has declared.
    """
    total, idle_s = 0, limits.request_deadline_s
    begun, head = False, b""
    opening = b"--" + boundary + b"\r\n"
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        try:
            # What came fast buys no pause: 20 MiB of it would buy 85 minutes, in which they are held.
            due = min(loop.time(), started + total / SLOWEST_BYTES_PER_S) + idle_s
            async with asyncio.timeout_at(due) as ticket.waiting:
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise (Overloaded("overloaded") if ticket.ended else BodyTimeout("body_too_slow")) from error
        finally:
            ticket.waiting = None
        if ticket.ended:  # as the chunk came
            raise Overloaded("overloaded")
        if chunk is None:
            if not begun and not opening.startswith(head):
                raise no_first_part(head)
            return
        total += len(chunk)
        if total > limits.max_body_bytes + _FORM_OVERHEAD_BYTES:
            raise _too_large(limits.max_body_bytes)
        if total > ticket.body_bytes:
            admission.grow(ticket, total)
        if not begun:
            head += chunk
            chunk = head if head.startswith(opening) else from_first_part(head, boundary)
            begun = chunk != b""
        yield chunk


def _not_audio(audio: Recording, data: bytes) -> Exception | None:
    """Return what is wrong with bytes in no known format, if it is known."""
    coding = coding_of(data) or transfer_coding_of(audio.header(b"content-transfer-encoding"))
    if coding is not None:
        return UnsupportedMedia("audio_encoded", coding=coding)
    is_text = audio.filename is None and len(data) < _FORM_OVERHEAD_BYTES and b"\0" not in data
    return MissingAudio("no_audio_field") if is_text else None  # such as the file's name in the place of the file


def _too_large(max_body_bytes: int) -> BodyTooLarge:
    return BodyTooLarge("recording_too_large", most=max_body_bytes / 2**20)
