"""A call's record: it is stored, and every call route answers with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from frontend.domain.errors import InvalidCallId
from frontend.domain.rollout import Release
from runtime.diagnosis import fields_of
from runtime.random_bytes import random_bytes

# Fields added after the first version.
_ADDED = frozenset({"history", "owner", "due_at", "in_doubt", "assigned", "key", "traceparent", "notice"})
CALL_ID = r"[A-Za-z0-9][A-Za-z0-9._=-]{0,127}"  # matches a whole id
_CALL_ID = re.compile(CALL_ID)
_MAX_DEPTH = 32  # of a document; ours have less than ten levels, and an encoder fails at about a thousand
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
    """The received audio.

    name: in the audio store; format: of a recording without a header, as somebody has said; None: the file says it
    """

    name: str
    sha256: str
    bytes: int
    content_type: str
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """Which release answers a call while a rollout is on; once it is stored it stays, whatever the share is later.

    to: `candidate` or `serving`; candidate: the one of the rollout; why: in words
    """

    to: str
    candidate: Release
    why: str


class NoticeState(StrEnum):
    """`nothing_yet`: the call has no result; `owed`; `sent`; `dead`: given up."""

    NOTHING_YET = "nothing_yet"
    OWED = "owed"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Notice:
    """What the receiver of a key is told of a call's result.

    to: the key's name; event_id: of the message, the same in each try; since: when it was owed first
    due_at: from this time on any process may try; None unless it is owed
    tries: those that have ended; reason: in one word, why the last one failed
    """

    to: str
    state: NoticeState
    event_id: str = ""
    since: str = ""
    due_at: str | None = None
    tries: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; times are RFC 3339 in UTC with microseconds, so that they sort as text.

    attempts: the number of attempts begun
    diagnosis: `runtime.Diagnosis.to_dict()` or None; the caller has received it, so it never changes
    history: every result, oldest first, each `{"at", "diagnosis"}`; empty while there is only the first one. Those with
        a `role` as well are of a rollout: no caller gets them
    owner: the process that works on the call, or the last one that did
    due_at: from this time on any process may claim the call: the end of the owner's lease, or of the pause after a
        failed attempt; None once the call is finished
    in_doubt: the owner prepares the recording after another process had begun that and died
    assigned: None where no rollout was on when the call came
    key: the name of the API key that brought it, None in older records; no caller gets it
    traceparent: the span of the request that submitted the call (W3C trace context); None where it was not sampled
    notice: None where nobody is told of the result
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
    assigned: Assigned | None = None
    key: str | None = None
    traceparent: str | None = None
    notice: Notice | None = None

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
        document = fields_of(self)
        document["failure"] = fields_of(self.failure) if self.failure else None
        document["audio"] = fields_of(self.audio)
        document["assigned"] = dataclasses.asdict(self.assigned) if self.assigned else None
        document["notice"] = fields_of(self.notice) if self.notice else None
        return document

    def to_answer(self) -> dict[str, Any]:
        """Return the record for callers: without the audio's name in the store, the owner and the trace; with the
        history if there is one; with nothing that a candidate said beside the answer.
        """
        document = self.to_dict()
        for ours in ("owner", "due_at", "in_doubt", "assigned", "key", "traceparent", "notice"):
            del document[ours]
        del document["audio"]["name"]
        if self.audio.format is None:
            del document["audio"]["format"]
        document["history"] = [entry for entry in self.history if "role" not in entry]
        if not document["history"]:
            del document["history"]
        return document


_FIELDS = tuple(field.name for field in dataclasses.fields(CallRecord))


def record_from_dict(document: Any) -> CallRecord:
    """Invert `CallRecord.to_dict`. Fields added by a newer version are left out; fields missing in an older version get
    their defaults.

    Raises: KeyError, TypeError, ValueError where the document is no record, or none that can be answered and stored
        again.
    """
    failure, state, assigned = document["failure"], State(document["state"]), document.get("assigned")
    notice = document.get("notice")
    record = CallRecord(
        **{
            **{name: document[name] for name in _FIELDS if name not in _ADDED},
            "state": state,
            "failure": Failure(**failure) if failure else None,
            "audio": StoredAudio(**document["audio"]),
            "history": document.get("history", []),
            "owner": document.get("owner"),
            "in_doubt": document.get("in_doubt", False),
            "key": document.get("key"),
            "assigned": Assigned(**{**assigned, "candidate": Release(**assigned["candidate"])}) if assigned else None,
            "traceparent": document.get("traceparent"),
            "notice": Notice(**{**notice, "state": NoticeState(notice["state"])}) if notice else None,
            "due_at": document.get("due_at", document["updated_at"] if state is State.RECEIVED else None),
        }
    )
    _check(record)
    return record


def record_from_text(text: object) -> CallRecord:
    """Return the record in a stored JSON text. Raises: KeyError, TypeError, ValueError as `record_from_dict`."""
    if not isinstance(text, str):
        raise TypeError("a stored record is no text")  # json.loads also takes bytes
    try:
        return record_from_dict(json.loads(text))
    except RecursionError as error:
        raise ValueError("a stored record is nested too deeply") from error


def _check(record: CallRecord) -> None:
    """Check what a dataclass does not: a disk or another program may have changed a stored record.

    Raises: TypeError, ValueError.
    """
    audio, failure, diagnosis = record.audio, record.failure, record.diagnosis
    texts = [record.call_id, record.received_at, record.updated_at, audio.name, audio.sha256, audio.content_type]
    texts += [text for text in (record.owner, record.due_at, record.key, record.traceparent) if text is not None]
    texts += [failure.code] if failure else []
    texts += [audio.format] if audio.format is not None else []
    if assigned := record.assigned:
        texts += [assigned.to, assigned.why, *dataclasses.astuple(assigned.candidate)]
    if notice := record.notice:
        texts += [notice.to, notice.event_id, notice.since, notice.reason, notice.due_at or ""]
    texts += [diagnosis["status"]] if diagnosis is not None else []
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a field of a stored record is no text")
    numbers = (record.attempts, audio.bytes, notice.tries if notice else 0)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise TypeError("a field of a stored record is no count")
    if type(record.in_doubt) is not bool:
        raise TypeError("a field of a stored record is not true or false")
    if not isinstance(diagnosis, dict | None) or (failure and not isinstance(failure.retryable, bool)):
        raise TypeError("a stored diagnosis or failure has another form")
    if not isinstance(record.history, list) or not all(isinstance(entry, dict) for entry in record.history):
        raise TypeError("a stored history is no list of results")
    if not is_sort_key(record.sort_key):
        raise ValueError("a stored record has no valid id or time")
    datetime.fromisoformat(record.received_at)
    datetime.fromisoformat(record.updated_at)
    if notice and notice.state is not NoticeState.NOTHING_YET:
        datetime.fromisoformat(notice.since)
    # A name selects a file, and a content type is sent as a header.
    folder, _, rest = audio.name.rpartition("/")
    of_call = folder == f"calls/{record.call_id}" or (not folder and rest.startswith(f"{record.call_id}."))
    if not of_call or not rest or rest == ".." or "\0" in rest:
        raise ValueError("a stored record names audio that is not its own")
    if not (audio.content_type.isascii() and audio.content_type.isprintable()):
        raise ValueError("a stored content type is none")
    _check_depth([diagnosis, record.history])
    # Raises ValueError for what no answer can contain: NaN, and half a surrogate pair.
    json.dumps([diagnosis, record.history, audio.sha256], ensure_ascii=False, allow_nan=False).encode()


def _check_depth(value: list[Any]) -> None:
    """Raises: ValueError. Level by level, so that it can't fail by the depth itself."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        items = [item for inner in level for item in (inner.values() if isinstance(inner, dict) else inner)]
        level = [item for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError("a stored record is nested too deeply")


def is_drawable(diagnosis: dict[str, Any]) -> bool:
    """Whether a stored diagnosis has what figures and playback are made from."""
    segments, audio = diagnosis.get("segments"), diagnosis.get("audio")
    if not isinstance(segments, list) or not isinstance(audio, dict) or "channel" not in audio:
        return False
    return all(
        isinstance(segment, dict)
        and isinstance(segment.get("is_cough"), bool)
        and all(isinstance(segment.get(name), int | float) for name in ("start_s", "end_s", "cough_probability"))
        for segment in segments
    )


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
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(random_bytes(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def now() -> str:
    """Return the present moment in the format of records."""
    return moment(datetime.now(UTC))


def moment(time: datetime) -> str:
    """Format a time as in records; such times sort as text."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_now(seconds: float) -> str:
    """Return the moment `seconds` from now; a negative number gives a moment in the past."""
    return moment(datetime.now(UTC) + timedelta(seconds=seconds))


def seconds_since(text: str) -> float:
    """Return the seconds from a moment as in records until now."""
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


def id_sha256(call_id: str) -> str:
    """Return a call's name in tombstones and logs: a known id can be compared with it, but it does not show the id."""
    return hashlib.sha256(call_id.encode()).hexdigest()
