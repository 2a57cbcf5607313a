"""What a message of the intake queue says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from frontend.adapters.intake.events import (
    Landed,
    NoCall,
    Passed,
    Poisoned,
    UnreadableMessage,
    message_of,
    message_of_unreadable,
    read_message,
    read_poison,
)
from tests.intake.rig import cloud_event, encoded, event_grid

SCHEMAS = pytest.mark.parametrize("schema", [event_grid, cloud_event])


@SCHEMAS
@pytest.mark.parametrize(
    ("blob", "call_id"),
    [("a.wav", "a"), ("a.b.wav", "a.b"), ("calls/a/recording.wav", "a"), (f"calls/a.b/{'0' * 63}", "a.b")],
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_blob_that_landed(schema: Any, blob: str, call_id: str, plain: bool) -> None:
    event = schema("calls", blob)
    text = json.dumps(event) if plain else encoded(event)
    assert read_message(text, "calls") == Landed(blob, call_id)
    assert read_message(encoded([event]), "calls") == Landed(blob, call_id)


@SCHEMAS
@pytest.mark.parametrize(
    ("container", "blob", "more", "why"),
    [
        ("calls", "a.wav", {"kind": "Microsoft.Storage.BlobDeleted"}, "other_event"),
        ("others", "a.wav", {}, "other_container"),
        ("calls", "a.wav", {"api": "CreateFile"}, "not_whole_yet"),
        ("calls", "a.wav", {"api": "SftpCreate"}, "not_whole_yet"),
        ("calls", "releases/12/model.onnx", {}, "other_folder"),
        ("calls", "inbox/a.wav", {}, "other_folder"),
        ("calls", f"calls/a/{'0' * 64}", {}, "own_write"),
    ],
)
def test_what_needs_no_work(schema: Any, container: str, blob: str, more: dict[str, str], why: str) -> None:
    assert read_message(encoded(schema(container, blob, **more)), "calls") == Passed(why)


@pytest.mark.parametrize("blob", ["-a.wav", "a", "calls/a", "calls/a/b/c", "ä.wav", f"{'a' * 129}.wav"])
def test_a_name_without_an_id(blob: str) -> None:
    with pytest.raises(NoCall) as raised:
        read_message(encoded(event_grid("calls", blob)), "calls")
    assert raised.value.blob == blob


@pytest.mark.parametrize(
    "text",
    [
        "", "no event", "AAAA", "{", "[]", "[1]", "1", "{}", base64.b64encode(b"\xff\xfe").decode(),
        encoded({"eventType": "Microsoft.Storage.BlobCreated", "subject": "/", "data": {}}),
        encoded({"eventType": "Microsoft.Storage.BlobCreated", "subject": 1, "data": {}}),
        encoded({**event_grid("calls", "a.wav"), "data": None}),
        encoded([event_grid("calls", "a.wav")] * 2),
        encoded({"tosia_intake": 1, "blob": "a.wav", "failures": True, "reason": ""}),
        encoded({"tosia_intake": 1}),
    ],
)  # fmt: skip
def test_what_is_no_event(text: str) -> None:
    with pytest.raises(UnreadableMessage):
        read_message(text, "calls")


def test_a_failure_is_kept_in_the_message_and_nothing_else_of_the_event() -> None:
    found = read_message(encoded(event_grid("calls", "a.wav")), "calls")
    assert isinstance(found, Landed)
    once = message_of(found.failed("audio_missing"))
    assert json.loads(base64.b64decode(once)) == {
        "tosia_intake": 1, "blob": "a.wav", "failures": 1, "reason": "audio_missing",
    }  # fmt: skip
    assert read_message(once, "calls") == Landed("a.wav", "a", 1, "audio_missing")
    assert read_poison(once) == Poisoned("a.wav", "", 1, "audio_missing")


def test_the_poison_queue_is_read_whatever_lies_there() -> None:
    assert read_poison(message_of_unreadable("x")) == Poisoned("", "x", 1, "no_storage_event")
    assert read_poison("by hand") == Poisoned("", "by hand", 0, "not_of_ours")
    assert len(message_of_unreadable("€" * 100_000)) < 64 * 1024  # the most that a queue takes


@pytest.mark.parametrize("character", ["a", "\x7f", "é", "語", "\U0001f600"])
def test_whatever_is_given_up_fits_into_the_poison_queue(character: str) -> None:
    """A message of 64 KiB at most; one that could not be sent there would come back for ever."""
    assert len(message_of_unreadable(character * 65536)) <= 65536
    with pytest.raises(UnreadableMessage):  # longer than a blob's name can be
        read_message(encoded(event_grid("calls", f"-{character * 1024}")), "calls")
    with pytest.raises(NoCall) as raised:
        read_message(encoded(event_grid("calls", f"-{character * 1023}")), "calls")
    assert len(message_of(Landed(raised.value.blob, "").failed("name_is_no_call"))) <= 65536


def test_a_name_that_can_not_be_sent_is_no_event() -> None:
    with pytest.raises(UnreadableMessage):
        read_message(encoded(event_grid("calls", "calls/a/\ud800")), "calls")
