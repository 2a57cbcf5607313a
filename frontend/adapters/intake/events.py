"""Messages of the intake queue: Event Grid's storage events, and ours about a blob that is tried again.

Event Grid writes one event a message, as base64 of JSON, in one of two schemas: its own
(https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage) or CloudEvents 1.0. What we write holds the
blob's name and nothing else of the event.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from frontend.calls.stored_audio import OUR_NAME
from frontend.domain.records import CALL_ID

_CREATED = "Microsoft.Storage.BlobCreated"
_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
# A blob that is created empty and filled later; another event says that it is whole (Data Lake Storage, SFTP).
_NOT_WHOLE_YET = frozenset({"CreateFile", "SftpCreate"})
_OF_CALL = re.compile(rf"calls/({CALL_ID})/[^/]+")
_OF_TELEPHONE = re.compile(rf"({CALL_ID})\.[^./]+")
OURS = "tosia_intake"
_OURS_VERSION = 1
MAX_UNREADABLE_CHARACTERS = 4096
MAX_NAME_CHARACTERS = 1024  # that a blob can have


class UnreadableMessage(Exception):
    """A message that is no storage event."""


class NoCall(Exception):
    """An event of a blob whose name holds no call's id."""

    def __init__(self, blob: str) -> None:
        super().__init__()
        self.blob = blob


@dataclass(frozen=True, slots=True)
class Landed:
    """A blob that has landed.

    call_id: the call's; failures: how often it could not be diagnosed; reason: the last
    receives: of the message, until it was given back last in an orderly way
    """

    blob: str
    call_id: str
    failures: int = 0
    reason: str = ""
    receives: int = 0

    def failed(self, reason: str) -> Landed:
        """Return the same after one more failure."""
        return replace(self, failures=self.failures + 1, reason=reason)


@dataclass(frozen=True, slots=True)
class Passed:
    """An event that needs no work: of another kind, another container, another place, or of our own write."""

    why: str


def read_message(text: str, container: str) -> Landed | Passed:
    """Return what a message says. text: as it lies in the queue; container: that of the calls' audio.

    Raises: UnreadableMessage, NoCall.
    """
    document = _document(text)
    if OURS in document:
        blob, failures, reason = (document.get(name) for name in ("blob", "failures", "reason"))
        receives = document.get("receives", 0)
        if not isinstance(blob, str) or type(failures) is not int or not isinstance(reason, str):
            raise UnreadableMessage
        if type(receives) is not int:
            raise UnreadableMessage
        found = _landed(blob)
        if isinstance(found, Passed):
            return found
        return replace(found, failures=failures, reason=reason, receives=receives)
    kind = document.get("type") if "specversion" in document else document.get("eventType")
    subject, data = document.get("subject"), document.get("data")
    if not isinstance(kind, str) or not isinstance(subject, str):
        raise UnreadableMessage
    if kind != _CREATED:
        return Passed("other_event")
    place = _SUBJECT.fullmatch(subject)
    if place is None or not isinstance(data, dict):
        raise UnreadableMessage
    if place[1] != container:
        return Passed("other_container")
    if data.get("api") in _NOT_WHOLE_YET:
        return Passed("not_whole_yet")
    return _landed(place[2])


def _document(text: str) -> dict[str, Any]:
    """Return the message's JSON object: base64, as Event Grid writes it, or plain, as a person does."""
    raw = text.strip()
    try:
        content = raw.encode() if raw.startswith(("{", "[")) else base64.b64decode(raw, validate=True)
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableMessage from error
    if isinstance(document, list) and len(document) == 1:  # a batch of one, as webhooks get it
        document = document[0]
    if not isinstance(document, dict):
        raise UnreadableMessage
    return document


def _is_text(text: str) -> bool:
    """Whether it can be sent: JSON can hold half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _landed(blob: str) -> Landed | Passed:
    """`calls/a/x` and `a.wav` are audio of the call `a`.

    What REST writes is left to REST, also while it has no record yet: its key and its format are known there alone.
    """
    if len(blob) > MAX_NAME_CHARACTERS or not _is_text(blob):
        raise UnreadableMessage  # no blob can have this name
    if OUR_NAME.fullmatch(blob):
        return Passed("own_write")
    found = _OF_CALL.fullmatch(blob) or _OF_TELEPHONE.fullmatch(blob)
    if found:
        return Landed(blob, found[1])
    if "/" in blob and not blob.startswith("calls/"):
        return Passed("other_folder")  # such as a release
    raise NoCall(blob)


def message_of(landed: Landed, receives: int = 0) -> str:
    """Return the message about a blob that is tried again, or that was given up. receives: of the message until now"""
    counted = {"receives": receives} if receives else {}
    return _encoded({"blob": landed.blob, "failures": landed.failures, "reason": landed.reason, **counted})


def message_of_unreadable(text: str) -> str:
    """Return the poison message about one that could not be read. Its text is kept, since nobody else has it."""
    return _encoded({"unreadable": text[:MAX_UNREADABLE_CHARACTERS], "failures": 1, "reason": "no_storage_event"})


def _encoded(content: dict[str, Any]) -> str:
    """Without escapes, which could make a message larger than a queue takes (64 KiB)."""
    text = json.dumps({OURS: _OURS_VERSION, **content}, ensure_ascii=False)
    return base64.b64encode(text.encode(errors="replace")).decode()


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A message of the poison queue. blob: its name; empty where the message could not be read

    unreadable: the text of such a message, else empty
    """

    blob: str
    unreadable: str
    failures: int
    reason: str


def read_poison(text: str) -> Poisoned:
    """Return what a poison message says; one that is not of ours counts as unreadable."""
    try:
        document = _document(text)
    except UnreadableMessage:
        document = {}
    blob, unreadable = document.get("blob", ""), document.get("unreadable", "")
    failures, reason = document.get("failures"), document.get("reason")
    ours = OURS in document and isinstance(blob, str) and isinstance(unreadable, str)
    if not ours or type(failures) is not int or not isinstance(reason, str):
        return Poisoned("", text, 0, "not_of_ours")
    return Poisoned(blob, unreadable, failures, reason)
