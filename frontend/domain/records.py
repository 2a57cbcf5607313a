"""A call's record: it is stored, and every call route answers with it."""

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

_ADDED = frozenset({"history", "owner", "due_at", "in_doubt"})  # fields added after the first version
CALL_ID = r"[A-Za-z0-9][A-Za-z0-9._=-]{0,127}"  # matches a whole id
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
    """The received audio; name: in the audio store."""

    name: str
    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; times are RFC 3339 in UTC with microseconds, so that they sort as text.

    attempts: the number of attempts begun
    diagnosis: `runtime.Diagnosis.to_dict()` or None; the caller has received it, so it never changes
    history: every result, oldest first, each `{"at", "diagnosis"}`; empty while there is only the first one
    owner: the process that works on the call, or the last one that did
    due_at: from this time on any process may claim the call: the end of the owner's lease, or of the pause after a
        failed attempt; None once the call is finished
    in_doubt: the owner prepares the recording after another process had begun that and died
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
    in_doubt: bool = False

    @property
    def sort_key(self) -> str:
        """Return the key that orders listings and their pages."""
        return f"{self.received_at}|{self.call_id}"

    @property
    def status(self) -> str | None:
        """Return the diagnosis' status; listings filter by it."""
        return self.diagnosis["status"] if self.diagnosis else None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as stored: only JSON's own types. It shares diagnosis and history with the record."""
        document = {name: getattr(self, name) for name in _FIELDS}
        document["failure"] = dataclasses.asdict(self.failure) if self.failure else None
        document["audio"] = dataclasses.asdict(self.audio)
        return document

    def to_answer(self) -> dict[str, Any]:
        """Return the record for callers: without the audio's name in the store and the owner; with the history if there
        is one.
        """
        document = self.to_dict()
        del document["audio"]["name"], document["owner"], document["due_at"], document["in_doubt"]
        if not self.history:
            del document["history"]
        return document


_FIELDS = tuple(field.name for field in dataclasses.fields(CallRecord))


def record_from_dict(document: dict[str, Any]) -> CallRecord:
    """Invert `CallRecord.to_dict`. Fields added by a newer version are left out; fields missing in an older version get
    their defaults.

    Raises: KeyError, TypeError, ValueError where the document is no record.
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
            "in_doubt": document.get("in_doubt", False),
            "due_at": document.get("due_at", document["updated_at"] if state is State.RECEIVED else None),
        }
    )


def readable_record(document: dict[str, Any]) -> CallRecord | None:
    """Return the record, or None where it can't be read: one broken record must not delay the others."""
    try:
        return record_from_dict(document)
    except (KeyError, TypeError, ValueError):
        _log.error("a stored record can't be read and is left as it is")
        return None


def checked_call_id(text: str) -> str:
    """Return a valid call id unchanged. Raises: InvalidCallId."""
    if not _CALL_ID.fullmatch(text):
        raise InvalidCallId("call_id_form")
    return text


def is_sort_key(text: str) -> bool:
    """Whether a text could be a `CallRecord.sort_key`."""
    return _SORT_KEY.fullmatch(text) is not None


def new_call_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits; ids sort by time."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def now() -> str:
    """Return the present moment in the format of records."""
    return moment(datetime.now(UTC))


def moment(time: datetime) -> str:
    """Format a time as in records; such times sort as text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_now(seconds: float) -> str:
    """Return the moment `seconds` from now; a negative number gives a moment in the past."""
    return moment(datetime.now(UTC) + timedelta(seconds=seconds))


def id_sha256(call_id: str) -> str:
    """Return a call's name in tombstones and logs: a known id can be compared with it, but it does not show the id."""
    return hashlib.sha256(call_id.encode()).hexdigest()
