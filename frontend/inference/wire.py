"""Between the front end and a worker: one socket each, one message a task, one an answer.

What goes to a worker is ours, so Python's own format will do. What comes back has been near bytes of others, so it is
only ever read as JSON of known types and as raw bytes: nothing in it is executed.

A message is a head (MESSAGE: kind, bytes of the first part, bytes of the second) and two parts. A task is its function
with arguments, then the recording. An answer is facts as JSON, then spectrograms, samples, a sound or a picture.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
from enum import IntEnum
from typing import Any, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter

from frontend.domain.errors import AUDIO_ERRORS_BY_CODE
from runtime.config import Parameters
from runtime.errors import AudioError
from runtime.messages.catalogue import say
from runtime.messages.languages import Language
from runtime.prepare import STAGES, Prepared

MESSAGE = struct.Struct("<BIQ")
MOST_FACTS_BYTES = 4 * 1024 * 1024  # of 120 s with a candidate in each tenth of a second: 0.3 MB


def most_data_bytes(max_duration_s: float) -> int:
    """Return how long the second part of an answer may be; max_duration_s: of a recording.

    A second has at most 68 kB of spectrograms (two channels, a candidate in each 0.18 s), 32 kB of samples or sound. A
    figure has a few MB.
    """
    return 16 * 1024 * 1024 + int(max_duration_s * 128 * 1024)


class Kind(IntEnum):
    """What an answer is.

    READY, UNFILTERED: before the first task; the second where the kernel filters no system calls
    DONE: the task's answer
    REFUSED: an error of the recording
    SHORT: the memory that a worker may take did not suffice; the worker ends
    DEFECT: an error of ours; the facts say where
    """

    READY = 0
    UNFILTERED = 1
    DONE = 2
    REFUSED = 3
    SHORT = 4
    DEFECT = 5


class BadAnswer(Exception):
    """A worker sent what no worker of ours sends."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A worker's answer to one task."""

    kind: Kind
    facts: bytes = b""
    data: bytes = b""


def send(connection: socket.socket, kind: int, first: bytes, second: bytes | memoryview) -> None:
    """Send one message, from the worker's side."""
    connection.sendall(MESSAGE.pack(kind, len(first), len(second)) + first)
    connection.sendall(second)


def receive(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Receive a task on the worker's side; None where the front end has ended."""
    head = _read(connection, MESSAGE.size)
    if head is None:
        return None
    _, first, second = MESSAGE.unpack(head)
    task = _read(connection, first)
    data = _read(connection, second)
    return None if task is None or data is None else (task, data)


def _read(connection: socket.socket, size: int) -> bytes | None:
    parts, left = [], size
    while left:
        part = connection.recv(min(left, 1 << 20))
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


# `Prepared` but for its array. A number that is none, or a text without end, would make a record that nobody can read.
_FACTS: TypeAdapter[Any] = TypeAdapter(
    dataclasses.make_dataclass(
        "PreparedFacts",
        [(name, hint) for name, hint in get_type_hints(Prepared).items() if name != "spectrograms"],
        frozen=True,
        namespace={"__pydantic_config__": ConfigDict(allow_inf_nan=False, str_max_length=200)},
    )
)
_REFUSAL: TypeAdapter[tuple[str, str, dict[str, str | int | float]]] = TypeAdapter(
    tuple[str, str, dict[str, str | int | float]]
)


def of_prepared(prepared: Prepared) -> tuple[bytes, bytes]:
    """Return an answer's two parts."""
    facts = _fields(prepared)
    spectrograms = facts.pop("spectrograms")
    return json.dumps(facts, default=_fields).encode(), spectrograms.tobytes()


def _fields(item: Any) -> dict[str, Any]:
    """Return a dataclass's fields as they are; `dataclasses.asdict` would copy all that is in them."""
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}


def to_prepared(answer: Answer, audio_sha256: str, preprocess_sha256: str, parameters: Parameters) -> Prepared:
    """Read what `of_prepared` wrote of the recording and the parameters with these digests. Raises: BadAnswer."""
    _, mel_spec, _ = parameters
    try:
        facts = _FACTS.validate_json(answer.facts)
        n = sum(len(channel.segments_s) for channel in facts.channels)
        spectrograms = np.frombuffer(answer.data, np.uint8).reshape(n, mel_spec.n_mels, mel_spec.n_frames)
    except ValueError as error:  # pydantic's error is one
        raise BadAnswer from error
    if (facts.audio_sha256, facts.preprocess_sha256) != (audio_sha256, preprocess_sha256):
        raise BadAnswer
    # They become labels of a metric, and the estimate by which recordings are refused.
    if not facts.timings_ms.keys() <= STAGES or any(value < 0.0 for value in facts.timings_ms.values()):
        raise BadAnswer
    return Prepared(**vars(facts), spectrograms=spectrograms)


def of_refusal(error: AudioError) -> bytes:
    """Return the facts of an error of the recording."""
    return json.dumps((error.code, error.key, error.values)).encode()


def to_refusal(answer: Answer) -> AudioError:
    """Read what `of_refusal` wrote. Raises: BadAnswer."""
    try:
        code, key, values = _REFUSAL.validate_json(answer.facts)
        error = AUDIO_ERRORS_BY_CODE[code](key, **values)
        say("detail", key, Language.ENGLISH, values)  # it is one of our sentences, and has all that belongs in it
    except (ValueError, KeyError, TypeError) as broken:
        raise BadAnswer from broken
    return error
