"""`drift` in process: what is counted and what is left out. tests/integration/test_drift.py has it whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frontend.__main__ import parse_arguments
from frontend.cli import drift as command
from frontend.cli.drift import Seen, _count, _table, drift
from frontend.domain.records import CallRecord, State, StoredAudio, now
from runtime.config import MODEL_REPOSITORY
from runtime.contract import ModelContract, read_contract
from runtime.execute import execute
from runtime.line.reference import Reference
from runtime.work_unit import WorkUnit
from tests.conftest import SAMPLES
from tests.frontend.settings import embedded_settings
from tests.runtime.parts import PARAMS

CONTRACT = read_contract(MODEL_REPOSITORY)


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    return execute(WorkUnit(SAMPLES / "benchmark_1" / "raw.ogg", *PARAMS)).to_dict()


@pytest.fixture
def reference() -> Reference:
    assert CONTRACT.reference is not None
    return CONTRACT.reference


def record(call_id: str, answer: dict[str, Any] | None) -> CallRecord:
    audio = StoredAudio(f"calls/{call_id}/ff", "ff", 1, "audio/ogg")
    return CallRecord(call_id, State.DIAGNOSED, now(), now(), 1, None, audio, answer)


def counted(reference: Reference, *records: CallRecord, farthest: int = 2) -> Seen:
    async def calls() -> AsyncIterator[CallRecord]:
        for one in records:
            yield one

    seen = Seen()
    asyncio.run(_count(calls(), CONTRACT, reference, seen, farthest))
    return seen


def test_other_releases_and_broken_records_are_left_out_and_counted(
    answer: dict[str, Any], reference: Reference
) -> None:
    by_another = {**answer, "model": {**answer["model"], "version": "8"}}
    seen = counted(
        reference,
        record("a", answer),
        record("by-another", by_another),
        record("broken", {"status": "ok"}),
        record("of-another-form", {**answer, "segments": None}),
        record("none", None),
    )
    assert (seen.calls, seen.others, seen.unreadable) == (1, 1, 3)
    assert sum(seen.counts["codec"]) == 1


def test_only_so_many_calls_are_kept_and_the_farthest_come_first(answer: dict[str, Any], reference: Reference) -> None:
    odd = {**answer, "audio": {**answer["audio"], "codec": "speex", "bandwidth_hz": 900.0}}
    records = [record(f"usual-{n}", answer) for n in range(20)]
    seen = counted(reference, *records, record("odd", odd), *records)
    assert seen.farthest[0].call_id == "odd"
    assert len(seen.farthest) == 2
    assert seen.farthest[0].kinds == ["new_codec", "narrower_band"]


def test_without_calls_the_table_says_so(reference: Reference) -> None:
    (line,) = _table(CONTRACT, reference, Seen())
    assert line.startswith("0 calls of release")


@pytest.mark.parametrize("known", [False, True])
def test_a_release_without_a_reference_gets_one_sentence(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Triton's answer is put in its place: which releases it serves is not what this is about."""

    async def served(_: object) -> ModelContract:
        return CONTRACT if known else replace(CONTRACT, version="8", reference=None)

    monkeypatch.setattr(command, "_contract", served)
    options = parse_arguments(["drift", "--since", "2026-01-01", "--json"])
    assert asyncio.run(drift(embedded_settings(tmp_path), options)) == 0
    printed = capsys.readouterr().out
    if known:
        assert json.loads(printed)["calls"] == 0
    else:
        assert printed.startswith("Release 8 says nothing of what it was trained on")
