"""A call's record: what is stored, and what every call route answers with."""

from __future__ import annotations

import dataclasses
import os
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from frontend.errors import InvalidCallId

_CALL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,127}")
_SORT_KEY = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z\|{_CALL_ID.pattern}", re.ASCII)


class State(StrEnum):
    """`received`: audio and record are stored; `diagnosed`; `failed`: `failure` says why and whether retrying helps."""

    RECEIVED = "received"
    DIAGNOSED = "diagnosed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call could not be diagnosed; code: one of the REST codes or `inference_unavailable`."""

    code: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """What was received; name: in the audio store."""

    name: str
    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; times are RFC 3339 in UTC with microseconds, so that they sort as text.

    diagnosis: `runtime.Diagnosis.to_dict()` or None
    """

    call_id: str
    state: State
    received_at: str
    updated_at: str
    attempts: int
    failure: Failure | None
    audio: StoredAudio
    diagnosis: dict[str, Any] | None

    @property
    def sort_key(self) -> str:
        """Listings page by it."""
        return f"{self.received_at}|{self.call_id}"

    def to_dict(self) -> dict[str, Any]:
        """As it is stored: only JSON's own types."""
        return dataclasses.asdict(self)

    def to_answer(self) -> dict[str, Any]:
        """As callers see it: without the audio's name in the store."""
        document = self.to_dict()
        del document["audio"]["name"]
        return document


def record_from_dict(document: dict[str, Any]) -> CallRecord:
    """The inverse of `CallRecord.to_dict`; fields that a newer version has added are left out.

    Raises: KeyError, TypeError, ValueError where it is no record.
    """
    failure = document["failure"]
    return CallRecord(
        **{
            **{field.name: document[field.name] for field in dataclasses.fields(CallRecord)},
            "state": State(document["state"]),
            "failure": Failure(**failure) if failure else None,
            "audio": StoredAudio(**document["audio"]),
        }
    )


def checked_call_id(text: str) -> str:
    """Raises: InvalidCallId."""
    if not _CALL_ID.fullmatch(text):
        raise InvalidCallId(
            "call_id must be 1 to 128 letters, digits, or . _ = - and start with a letter or digit: choose another."
        )
    return text


def is_sort_key(text: str) -> bool:
    """Whether a text could be a `CallRecord.sort_key`."""
    return _SORT_KEY.fullmatch(text) is not None


def new_call_id() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits, so that ids sort by time."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def now() -> str:
    """This moment, as records write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_since(moment: str) -> float:
    """Seconds from a record's moment to now."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
