"""Records: ids, times, and the way to the store and back."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from frontend.domain.errors import InvalidCallId
from frontend.domain.records import (
    Assigned,
    CallRecord,
    Failure,
    State,
    StoredAudio,
    checked_call_id,
    from_now,
    id_sha256,
    is_sort_key,
    new_call_id,
    now,
    record_from_dict,
    record_from_text,
)
from frontend.domain.rollout import Release

AUDIO = StoredAudio("calls/a/ff", "ff", 3, "audio/ogg")


def record(call_id: str = "a", received_at: str = "2026-01-02T03:04:05.000006Z") -> CallRecord:
    return CallRecord(call_id, State.RECEIVED, received_at, received_at, 0, None, AUDIO, None)


def test_new_ids_are_uuid7_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid.UUID(new_call_id()) for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    for item in ids:
        assert (item.version, item.variant) == (7, uuid.RFC_4122)
        assert before <= item.int >> 80 <= after
    assert len(set(ids)) == 1000
    assert all(checked_call_id(str(item)) for item in ids)


def test_new_ids_sort_by_time() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_call_id())
        time.sleep(0.002)
    assert ids == sorted(ids)


@pytest.mark.parametrize("call_id", ["a", "0", "a" * 128, "Az09._=-", "a..b", "CALL=1"])
def test_call_ids_that_are_allowed(call_id: str) -> None:
    assert checked_call_id(call_id) == call_id


@pytest.mark.parametrize(
    "call_id", ["", ".", "..", "-a", "_a", "=a", "a/b", "a\\b", "a b", "a\n", "\na", "é", "１", "a" * 129, "a\0"]
)
def test_call_ids_that_are_not(call_id: str) -> None:
    with pytest.raises(InvalidCallId):
        checked_call_id(call_id)


@pytest.mark.parametrize("failure", [None, Failure("undecodable_audio", retryable=False)])
def test_there_and_back(failure: Failure | None) -> None:
    one = CallRecord("a", State.FAILED, now(), now(), 3, failure, AUDIO, {"status": "ok"})
    assert record_from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_the_name_in_the_store_and_the_lease_are_not_told() -> None:
    assert record().to_answer().keys().isdisjoint({"owner", "due_at"})
    assert record().to_answer()["audio"] == {"sha256": "ff", "bytes": 3, "content_type": "audio/ogg"}


def test_sort_keys_sort_by_time_then_id() -> None:
    keys = [record("b").sort_key, record("a", "2026-01-02T03:04:05.000007Z").sort_key, record("a").sort_key]
    assert sorted(keys) == [keys[2], keys[0], keys[1]]
    assert all(is_sort_key(key) for key in keys)


@pytest.mark.parametrize(
    "text", ["", "|", "2026-01-02T03:04:05.000006Z|", "2026-01-02T03:04:05Z|a", "x|a", record().sort_key + "\n"]
)
def test_other_texts_are_no_sort_keys(text: str) -> None:
    assert not is_sort_key(text)


def test_moments_sort_as_they_come() -> None:
    assert abs(datetime.now(UTC) - datetime.fromisoformat(now())) < timedelta(seconds=5)
    assert from_now(-120.0) < now() < from_now(120.0)
    passed = datetime.fromisoformat(now()) - datetime.fromisoformat(from_now(-120.0))
    assert passed.total_seconds() == pytest.approx(120.0, abs=5.0)  # a busy machine may take a while between two lines


def test_a_record_of_the_first_version_has_no_lease_and_is_due() -> None:
    document = {key: value for key, value in record().to_dict().items() if key not in ("history", "owner", "due_at")}
    old = record_from_dict(document)
    assert (old.history, old.owner, old.due_at) == ([], None, old.updated_at)
    assert record_from_dict({**document, "state": "diagnosed"}).due_at is None


def changed(**fields: object) -> dict[str, object]:
    return {**record().to_dict(), **fields}


NESTED = json.loads("[" * 200 + "]" * 200)
AUDIO_FIELDS = {"name": "calls/a/ff", "sha256": "ff", "bytes": 3, "content_type": "audio/ogg"}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        None,
        7,
        "text",
        changed(state="unknown"),
        changed(audio={}),
        changed(audio=None),
        changed(call_id=7),
        changed(call_id="a/b"),
        changed(received_at="9999-99-99T99:99:99.999999Z"),
        changed(received_at=None),
        changed(updated_at="yesterday"),
        changed(attempts="3"),
        changed(attempts=True),
        changed(attempts=-1),
        changed(failure={"code": 7, "retryable": True}),
        changed(failure={"code": "x", "retryable": "no"}),
        changed(failure=[1]),
        changed(diagnosis=[]),
        changed(diagnosis={}),
        changed(diagnosis={"status": 7}),
        changed(diagnosis={"status": "ok", "nested": NESTED}),
        changed(diagnosis={"status": "ok", "number": float("nan")}),
        changed(diagnosis={"status": "ok", "half": "\ud800"}),
        changed(history={}),
        changed(history=["text"]),
        changed(owner=7),
        changed(due_at=7),
        changed(audio={**AUDIO_FIELDS, "name": "calls/another/ff"}),
        changed(audio={**AUDIO_FIELDS, "name": "calls/a/../../secret"}),
        changed(audio={**AUDIO_FIELDS, "name": "/etc/hostname"}),
        changed(audio={**AUDIO_FIELDS, "bytes": "3"}),
        changed(audio={**AUDIO_FIELDS, "content_type": "audio/ogg\r\nX-Other: 1"}),
    ],
)
def test_what_is_no_record_is_refused(broken: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        record_from_dict(broken)


@pytest.mark.parametrize("text", ["", "{", "\0", b"{}", None, 7, "[" * 100_000, '{"a":' * 100_000, "9" * 9999])
def test_a_text_that_is_no_record_is_refused(text: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        record_from_text(text)


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert record_from_dict(changed(_etag="1", newer=2)) == record()
    assert record_from_text(json.dumps(changed(newer=2))) == record()


def test_digests_of_ids_tell_no_id() -> None:
    assert id_sha256("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_no_caller_gets_what_a_rollout_has_noted() -> None:
    said = {"at": now(), "diagnosis": {"status": "ok"}, "role": "shadow"}
    again = {"at": now(), "diagnosis": {"status": "no_cough"}}
    assigned = Assigned("serving", Release("13", "aa", "bb", "cc"), "canary: not drawn below 0.1")
    noted = replace(record(), history=[said], assigned=assigned)
    assert record_from_dict(noted.to_dict()) == noted
    assert noted.to_answer() == record().to_answer()
    assert replace(noted, history=[again, said]).to_answer()["history"] == [again]


def test_a_record_of_before_rollouts_is_assigned_to_nobody() -> None:
    document = {key: value for key, value in record().to_dict().items() if key != "assigned"}
    assert record_from_dict(document) == record()


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_no_caller_gets_the_trace_of_a_submission() -> None:
    traced = replace(record(), traceparent=TRACEPARENT)
    assert record_from_dict(traced.to_dict()) == traced
    assert traced.to_answer() == record().to_answer()
    with pytest.raises(TypeError):
        record_from_dict({**traced.to_dict(), "traceparent": 1})


def test_a_record_of_before_traces_has_none() -> None:
    document = {key: value for key, value in record().to_dict().items() if key != "traceparent"}
    assert record_from_dict(document) == record()
