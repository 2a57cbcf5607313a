"""A call's record: what is stored, and what every call route answers with."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from frontend.domain.errors import InvalidCallId

_log = logging.getLogger("tosia.stores")

_ADDED = frozenset({"history", "owner", "due_at"})  # since the first version
CALL_ID = r"[A-Za-z0-9][A-Za-z0-9._=-]{0,127}"  # an expression that all of an id matches
_CALL_ID = re.compile(CALL_ID)
_SORT_KEY = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z\|{CALL_ID}", re.ASCII)


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

    attempts: those begun
    diagnosis: `runtime.Diagnosis.to_dict()` or None; what the caller was answered, so it stays
    history: every result, oldest first, each `{"at", "diagnosis"}`; empty while there is only the first one
    owner: the process that has the call in work, or had it last
    due_at: from then on any process may take the call up: the end of the owner's lease, or of the pause after a failed
        attempt; None once the call is finished
    """

    call_id: str
    state: State
    received_at: str
    updated_at: str
    attempts: int
    failure: Failure | None
    audio: StoredAudio
    diagnosis: dict[str, Any] | None
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    owner: str | None = None
    due_at: str | None = None

    @property
    def sort_key(self) -> str:
        """Listings page by it."""
        return f"{self.received_at}|{self.call_id}"

    @property
    def status(self) -> str | None:
        """The diagnosis' status, which listings filter by."""
        return self.diagnosis["status"] if self.diagnosis else None

    def to_dict(self) -> dict[str, Any]:
        """As it is stored: only JSON's own types. Shares the diagnosis and the history with the record."""
        document = {name: getattr(self, name) for name in _FIELDS}
        document["failure"] = dataclasses.asdict(self.failure) if self.failure else None
        document["audio"] = dataclasses.asdict(self.audio)
        return document

    def to_answer(self) -> dict[str, Any]:
        """As callers see it: without the audio's name in the store and who works on it; with its history where it has
        one.
        """
        document = self.to_dict()
        del document["audio"]["name"], document["owner"], document["due_at"]
        if not self.history:
            del document["history"]
        return document


_FIELDS = tuple(field.name for field in dataclasses.fields(CallRecord))


def record_from_dict(document: dict[str, Any]) -> CallRecord:
    """The inverse of `CallRecord.to_dict`; fields that a newer version has added are left out, those that an older one
    lacks have their defaults.

    Raises: KeyError, TypeError, ValueError where it is no record.
    """
    failure, state = document["failure"], State(document["state"])
    return CallRecord(
        **{
            **{name: document[name] for name in _FIELDS if name not in _ADDED},
            "state": state,
            "failure": Failure(**failure) if failure else None,
            "audio": StoredAudio(**document["audio"]),
            "history": document.get("history", []),
            "owner": document.get("owner"),
            "due_at": document.get("due_at", document["updated_at"] if state is State.RECEIVED else None),
        }
    )


def readable_record(document: dict[str, Any]) -> CallRecord | None:
    """None for what can't be read: one broken record must not keep the others waiting."""
    try:
        return record_from_dict(document)
    except (KeyError, TypeError, ValueError):
        _log.error("a stored record can't be read and is left as it is")
        return None


def checked_call_id(text: str) -> str:
    """Raises: InvalidCallId."""
    if not _CALL_ID.fullmatch(text):
        raise InvalidCallId("call_id_form")
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
    return moment(datetime.now(UTC))


def moment(time: datetime) -> str:
    """A time as records write it, so that moments sort as text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_now(seconds: float) -> str:
    """The moment so many seconds from now; negative: before."""
    return moment(datetime.now(UTC) + timedelta(seconds=seconds))


def id_sha256(call_id: str) -> str:
    """What tombstones and logs call a call by: it tells whether an id is meant that one knows, and not which."""
    return hashlib.sha256(call_id.encode()).hexdigest()
