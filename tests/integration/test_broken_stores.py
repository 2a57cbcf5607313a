"""Stored records that are no records, and a damaged SQLite file, as callers and operators meet them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from laptop.service import CHECKOUT, Service
from tests.frontend.stores.test_damaged import PAGE, damage, roots
from tests.integration.problems import assert_problem, post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for

BROKEN = 20  # more than the reconciler of one worker asks for at once


def metric(one: FrontEnd, sample: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{sample} ")]
    return float(line.rpartition(" ")[2])


def spoil(one: FrontEnd, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(one.var / "calls.sqlite")) as store, store:
        store.execute(statement, values)


def test_broken_records_stop_no_other_call(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with front_end(tmp_path, service.triton_url) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        for call_id in ("waits", "altered", "spoilt"):
            assert post(one.api, benchmark, call_id).status_code == 201
        with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as store:
            (text,) = store.execute("SELECT document FROM calls WHERE id = 'altered'").fetchone()
            (left,) = store.execute("SELECT document FROM calls WHERE id = 'waits'").fetchone()
        altered = {**json.loads(text), "diagnosis": {"status": "ok"}}  # JSON, and of the right kind, but not whole
        spoil(one, "UPDATE calls SET document = ? WHERE id = 'altered'", json.dumps(altered))
        spoil(one, "UPDATE calls SET document = '{' WHERE id = 'spoilt'")
        for n in range(BROKEN):
            row = (f"broken-{n}", f"2026-01-02T03:04:05.000000Z|broken-{n}", "received", None, 1, "{", "2026-01-02")
            spoil(
                one,
                "INSERT INTO calls (id, sort_key, state, status, version, document, due_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *row,
            )
        # A call that is due after all of them is finished.
        waiting = {**json.loads(left), "state": "received", "diagnosis": None}
        spoil(
            one,
            "UPDATE calls SET state = 'received', due_at = '2026-01-03', document = ?, version = version + 1 "
            "WHERE id = 'waits'",
            json.dumps(waiting),
        )
        wait_for(lambda: one.state("waits") == "diagnosed", "the reconciler goes on past the broken records")
        assert [item["call_id"] for item in one.api.get("/v1/calls").json()["items"]] == ["waits"]
        for call_id in ("altered", "spoilt", "broken-0"):
            answer = one.api.get(f"/v1/calls/{call_id}")
            assert_problem(answer, 503, "store_unavailable")
            assert "can't be read" in answer.json()["detail"]
            assert_problem(one.api.get(f"/v1/calls/{call_id}/figure.png"), 503, "store_unavailable")
        assert_problem(one.api.get("/v1/calls/altered/audio.wav"), 503, "store_unavailable")
        assert one.api.get("/v1/calls/altered/audio").content == benchmark
        assert_problem(post(one.api, benchmark, "spoilt"), 503, "store_unavailable")
        assert_problem(post(one.api, benchmark, "altered"), 503, "store_unavailable")
        ready = one.api.get("/readyz")
        assert (ready.status_code, ready.json()["stores"], ready.json()["causes"]) == (
            *(200, "ok"),
            ["records_unreadable"],
        )
        assert metric(one, "tosia_unreadable_records") == BROKEN + 2
        assert metric(one, 'tosia_store_trouble{cause="records_unreadable"}') == 1.0
        done = backfill(one)
        assert done.returncode == 1
        assert "Stored records that can't be read: 2." in done.stdout  # of the diagnosed ones
        assert "Traceback" not in done.stderr
        for call_id in ("altered", "spoilt", *(f"broken-{n}" for n in range(BROKEN))):
            assert one.api.delete(f"/v1/calls/{call_id}").status_code == 204
        assert one.api.get("/readyz").json()["causes"] == []
        assert [path.name for path in (tmp_path / "audio" / "calls").iterdir()] == ["waits"]
        log = (tmp_path / "frontend.log").read_text()
    assert log.count("a stored record can't be read") == BROKEN + 2
    assert '"trace"' not in log
    assert "broken-" not in log


def backfill(one: FrontEnd) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frontend", "--workers", "1", "backfill", "--since", "2026-01-01"]
    environment = {**os.environ, **one.environment, "API_KEY": KEY, "TRITON_URL": one.triton_url}
    return subprocess.run(command, check=False, cwd=CHECKOUT, env=environment, capture_output=True, text=True)


def test_a_damaged_file_takes_no_call_and_says_so(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with front_end(tmp_path, service.triton_url, settings="service: {sweep_every_s: 0.1}") as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        assert post(one.api, benchmark, "kept").status_code == 201
        assert one.stop() == 0  # its log is in the database now
        damage(tmp_path / "calls.sqlite", (roots(tmp_path / "calls.sqlite")["calls_due"] - 1) * PAGE)
        one.start("--workers", "1")
        check_damaged(one, benchmark)
        log = (tmp_path / "frontend.log").read_text()
    assert log.count("the record store's file is damaged") == 1
    assert log.count("the record store is away") <= 1
    assert '"trace"' not in log


def check_damaged(one: FrontEnd, benchmark: bytes) -> None:
    wait_for(lambda: "record_store_damaged" in one.api.get("/readyz").text, "the front end says so")
    assert_problem(one.api.get("/readyz"), 503, "not_ready")
    assert one.api.get("/v1/calls/kept").json()["state"] == "diagnosed"
    assert one.api.get("/v1/calls/kept/audio").content == benchmark
    assert [item["call_id"] for item in one.api.get("/v1/calls").json()["items"]] == ["kept"]
    answer = post(one.api, benchmark, "new")
    assert_problem(answer, 503, "store_unavailable")
    assert "damaged" in answer.json()["detail"]
    assert_problem(post(one.api, benchmark), 503, "store_unavailable")  # without an id, so nothing is read before
    assert [path.name for path in (one.var / "audio" / "calls").iterdir()] == ["kept"]
    assert_problem(one.api.delete("/v1/calls/kept"), 503, "store_unavailable")
    assert metric(one, 'tosia_store_trouble{cause="record_store_damaged"}') == 1.0
    assert metric(one, 'tosia_degraded{dependency="stores"}') == 1.0


@pytest.mark.system
def test_a_file_that_is_damaged_while_it_is_served(service: Service, tmp_path: Path, benchmark: bytes) -> None:
    with front_end(tmp_path, service.triton_url, settings="service: {sweep_every_s: 0.1}") as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        assert post(one.api, benchmark, "kept").status_code == 201
        with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(tmp_path / "calls.sqlite", (roots(tmp_path / "calls.sqlite")["calls_due"] - 1) * PAGE)
        check_damaged(one, benchmark)
