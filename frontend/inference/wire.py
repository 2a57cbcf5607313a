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
from pydantic import TypeAdapter, ValidationError

from frontend.domain.errors import AUDIO_ERRORS_BY_CODE
from runtime.config import Parameters
from runtime.errors import AudioError
from runtime.prepare import Prepared

MESSAGE = struct.Struct("<BIQ")
MOST_FACTS_BYTES = 4 * 1024 * 1024  # of 120 s with a candidate in each tenth of a second: 0.3 MB


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


# `Prepared` but for its array.
_FACTS: TypeAdapter[Any] = TypeAdapter(
    dataclasses.make_dataclass(
        "PreparedFacts",
        [(name, hint) for name, hint in get_type_hints(Prepared).items() if name != "spectrograms"],
        frozen=True,
    )
)
_REFUSAL: TypeAdapter[tuple[str, str, dict[str, str | int | float]]] = TypeAdapter(
    tuple[str, str, dict[str, str | int | float]]
)


def of_prepared(prepared: Prepared) -> tuple[bytes, bytes]:
    """Return an answer's two parts."""
    facts = {field.name: getattr(prepared, field.name) for field in dataclasses.fields(prepared)}
    spectrograms = facts.pop("spectrograms")
    return json.dumps(facts, default=dataclasses.asdict).encode(), spectrograms.tobytes()


def to_prepared(answer: Answer, parameters: Parameters) -> Prepared:
    """Read what `of_prepared` wrote. Raises: BadAnswer."""
    _, mel_spec, _ = parameters
    try:
        facts = _FACTS.validate_json(answer.facts)
        n = sum(len(channel.segments_s) for channel in facts.channels)
        spectrograms = np.frombuffer(answer.data, np.uint8).reshape(n, mel_spec.n_mels, mel_spec.n_frames)
    except ValueError as error:  # pydantic's error is one
        raise BadAnswer from error
    return Prepared(**vars(facts), spectrograms=spectrograms)


def of_refusal(error: AudioError) -> bytes:
    """Return the facts of an error of the recording."""
    return json.dumps((error.code, error.key, error.values)).encode()


def to_refusal(answer: Answer) -> AudioError:
    """Read what `of_refusal` wrote. Raises: BadAnswer."""
    try:
        code, key, values = _REFUSAL.validate_json(answer.facts)
        return AUDIO_ERRORS_BY_CODE[code](key, **values)
    except (ValidationError, KeyError) as error:
        raise BadAnswer from error
