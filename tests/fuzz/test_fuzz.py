"""Fuzzing: what it makes, what it notices, and a short run of it. `make fuzz` runs it for minutes or hours.

The seeds here are such that no worker ends: nothing in this repository leads to a body that harms software of others.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from random import Random

import httpx
import pytest

from laptop.service import Service
from tests.fuzz import report, requests
from tests.fuzz.campaign import Campaign, Found
from tests.fuzz.damage import KINDS, MARK, damaged
from tests.fuzz.elements import flat, read, written
from tests.fuzz.recordings import NAMES, recording
from tests.fuzz.watch import lag_s, log_troubles
from tests.integration.processes import KEY, front_end, wait_for
from tests.preprocess.ogg_pages import checksum

WITHOUT_LOCATION = {"content-type": "application/problem+json"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_taken_apart_is_written_to_the_same_bytes(name: str) -> None:
    data = recording(name)
    elements = read(data)
    assert written(elements) == data
    assert sum(map(len, flat(elements))) >= (1 if name == "au" else 3), "its parts were found"


def test_a_body_follows_from_its_seed_and_every_kind_of_damage_comes() -> None:
    kinds: Counter[str] = Counter()
    changed = 0
    for n in range(300):
        name = NAMES[n % len(NAMES)]
        body, its_kinds = damaged(name, Random(f"5/{n}"))
        assert body == damaged(name, Random(f"5/{n}"))[0]
        changed += body != recording(name)
        kinds.update(its_kinds)
    assert set(kinds) == set(KINDS)
    assert changed > 250


def test_checksums_are_made_again() -> None:
    """A changed page of Ogg gets past the door: its checksum is that of the definition."""
    for n in range(40):
        elements = read(recording("ogg-opus"))
        page = elements[2]
        page.body = Random(n).randbytes(len(page.body))
        data = page.written()
        told = struct.unpack_from("<I", data, 22)[0]
        assert told == checksum(data[:22] + bytes(4) + data[26:])


@pytest.mark.parametrize("make", [requests.form, requests.framing])
def test_requests_follow_from_their_seed(make) -> None:  # type: ignore[no-untyped-def]
    bodies = [make(KEY, n, Random(n)) for n in range(50)]
    assert bodies == [make(KEY, n, Random(n)) for n in range(50)]
    assert len(set(bodies)) == 50


def test_the_log_is_searched_for_what_must_not_be_in_it() -> None:
    fine = '{"level": "WARNING", "logger": "tosia.http", "message": "fine"}'
    assert not log_troubles(fine)
    lines = [
        fine.replace("fine", MARK.decode()),
        "Traceback (most recent call last):",
        fine.replace("WARNING", "ERROR"),
    ]
    assert log_troubles("\n".join(lines)) == {
        "the log holds what a caller sent": 1,
        "a traceback in the log": 1,
        "a line of the log is not of ours": 1,
        "an error in the log: tosia.http": 1,
    }


def test_the_lag_is_the_end_of_its_bucket() -> None:
    name = "tosia_event_loop_lag_seconds_bucket"
    text = "\n".join(f'{name}{{le="{end}"}} {count}' for end, count in (("0.001", 90), ("0.5", 99), ("+Inf", 100)))
    assert (lag_s(text, 0.5), lag_s(text, 0.95), lag_s(text, 1.0)) == (0.001, 0.5, float("inf"))


PROBLEM = {"type": "t", "title": "t", "status": 422, "detail": "d.", "code": "empty_audio", "request_id": "r"}


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (httpx.Response(201, json={}), False),
        (httpx.Response(422, json=PROBLEM, headers=WITHOUT_LOCATION), False),
        (httpx.Response(422, json={**PROBLEM, "code": "another"}, headers=WITHOUT_LOCATION), True),
        (httpx.Response(422, json=PROBLEM), True),
        (httpx.Response(500, json={**PROBLEM, "code": "internal_error"}, headers=WITHOUT_LOCATION), True),
        (httpx.Response(503, json={**PROBLEM, "code": "overloaded"}, headers=WITHOUT_LOCATION), True),
        (httpx.Response(404, text="Not Found"), True),
        (httpx.Response(200, text="Traceback (most recent call last):"), True),
    ],
    ids=str,
)
def test_answers_that_are_not_documented_are_noticed(
    answer: httpx.Response, trouble: bool, service: Service, tmp_path: Path
) -> None:
    with front_end(tmp_path, service.triton_url) as one:
        one.workers = lambda: []  # type: ignore[method-assign] - it does not run
        campaign = Campaign(one, 0, tmp_path / "kept")
        campaign._judged(answer, b"a body")
        assert bool(campaign.found.troubles) == trouble
        assert campaign.found.kept == len(list(tmp_path.glob("kept/*"))) == int(trouble)


def test_the_report_leads_to_no_body(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nan earlier table\n{report.END}\nafter\n")
    report.write(report.page(Found(kept=0), 12.0, 4711), page)
    assert "seed 4711" in page.read_text()
    report.write(report.page(Found(kept=1), 12.0, 4711), page)
    text = page.read_text()
    assert "4711" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "an earlier table" not in text
    assert report.BEGIN in report.PAGE.read_text()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bodies", [250, pytest.param(1500, marks=pytest.mark.system)])
def test_a_short_run_finds_nothing(bodies: int, service: Service, tmp_path: Path) -> None:
    with front_end(tmp_path, service.triton_url) as one:
        one.start()
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        found = Campaign(one, 11, tmp_path / "kept").run(bodies)
    assert found.troubles == {}
    assert (found.restarts, found.kept) == ({}, 0), "another seed: nothing here may lead to a body that ends workers"
    assert found.bodies == bodies
    assert found.calls["diagnosed"] > bodies / 5
    assert found.calls["failed undecodable_audio"] > bodies / 20
