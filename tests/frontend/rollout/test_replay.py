"""A replay's report from stored records; a record that is none costs the report nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from frontend.cli.replay import REPLAY, _report
from frontend.domain.records import CallRecord, State, StoredAudio, now
from frontend.domain.rollout import Release
from tests.frontend.rollout.test_compare import diagnosis
from tests.frontend.settings import embedded_settings

SERVING, CANDIDATE = Release("12", "aa", "pp", "tt"), Release("13", "bb", "pp", "tt")


def made_by(release: Release) -> dict[str, Any]:
    model = {"version": release.version, "sha256": release.sha256}
    return {**diagnosis(), "model": model, "preprocess_sha256": release.preprocess_sha256}


def replayed(call_id: str, answer: dict[str, Any]) -> CallRecord:
    said = {"at": now(), "diagnosis": made_by(CANDIDATE), "role": REPLAY, "candidate": asdict(CANDIDATE)}
    audio = StoredAudio(f"calls/{call_id}/ff", "ff", 1, "audio/ogg")
    return CallRecord(call_id, State.DIAGNOSED, now(), now(), 1, None, audio, answer, [said])


class Stored:
    """As much of `Rescoring` as the report reads."""

    async def diagnosed_since(self, since: str) -> AsyncIterator[CallRecord]:
        yield replayed("a", made_by(SERVING))
        yield replayed("by-another", made_by(Release("11", "cc", "pp", "tt")))
        yield replayed("broken", {"status": "ok"})  # a row that a disk or another program has changed
        yield replayed("of-another-form", {**made_by(SERVING), "segments": None})


def test_a_broken_record_is_counted_and_left_out(tmp_path: Any) -> None:
    found = asyncio.run(_report(Stored(), "", CANDIDATE, SERVING, embedded_settings(tmp_path)))
    assert (found["calls"], found["incomparable"], found["answered_by_another_release"]) == (2, 2, 1)
