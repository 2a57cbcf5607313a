"""`python -m frontend drift` on calls of two keys, in either kind of store, beside the metrics of the same calls."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from laptop.service import CHECKOUT, Service
from preprocess.decode import decode
from runtime.config import MODEL_REPOSITORY, load_limits
from runtime.contract import read_contract
from runtime.line.drift import FEWEST
from runtime.line.quantities import QUANTITIES
from tests.integration.problems import post, tone, wav
from tests.integration.processes import FrontEnd, front_end, wait_for
from tests.services.azure import Azure

pytestmark = pytest.mark.system  # minutes in all: two pairs of stores, with a front end each

CLINIC, HOTLINE = "a-key-of-a-clinic", "a-key-of-a-hotline"
KEYS = f"clinic:{CLINIC},hotline:{HOTLINE}"
USUAL, ODD = 6, FEWEST + 2
RELEASE = read_contract(MODEL_REPOSITORY).model.version


@pytest.fixture(scope="module", params=["embedded", "azure"])
def one(
    request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrontEnd]:
    """A front end with calls of a clinic as it was trained on, and of a hotline with a codec that it was not."""
    stores = None
    if request.param == "azure":
        azure: Azure = request.getfixturevalue("azure")
        stores = azure.new_containers().environment()
    with front_end(tmp_path_factory.mktemp("var"), service.triton_url, stores=stores) as running:
        running.environment["API_KEY"] = KEYS
        running.start("--workers", "1")
        running.api.headers["X-API-Key"] = CLINIC
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        benchmark = (CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()
        for n in range(USUAL):
            assert post(running.api, benchmark + f"{n:04}".encode(), f"clinic-{n}").status_code == 201
        assert post(running.api, wav(tone(0.5)), "tone").status_code == 201
        assert post(running.api, benchmark[:300], "broken").status_code == 422
        running.api.headers["X-API-Key"] = HOTLINE
        recording = decode(benchmark, load_limits()[1].decode)
        eight_bits = wav(recording.samples[0], recording.sample_rate_hz, "PCM_U8")
        for n in range(ODD):
            assert post(running.api, eight_bits + b"\0" * n, f"hotline-{n}").status_code == 201
        yield running


def drift(one: FrontEnd, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frontend", "drift", *options]
    environment = {**os.environ, "TRITON_URL": one.triton_url, **one.environment}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def found(one: FrontEnd, *options: str) -> dict[str, Any]:
    done = drift(one, "--since", "2026-01-01", "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def alarms(document: dict[str, Any]) -> list[str]:
    return [row["kind"] for row in document["drift"] if row["alarms"]]


def test_it_names_the_drift_and_the_key_that_brings_it(one: FrontEnd) -> None:
    clinic, hotline = found(one, "--key", "clinic"), found(one, "--key", "hotline")
    assert (clinic["release"], clinic["calls"], hotline["calls"]) == (RELEASE, USUAL + 1, ODD)
    assert alarms(clinic) == []
    assert "new_codec" in alarms(hotline)
    (row,) = [row for row in hotline["drift"] if row["kind"] == "new_codec"]
    assert (row["found"], row["n"], row["share"]) == (ODD, ODD, 1.0)
    assert 0.5 < row["low"] < row["high"] == 1.0


def test_the_farthest_calls_are_named_by_their_ids_and_by_what_is_odd(one: FrontEnd) -> None:
    document = found(one, "--farthest", "3")
    assert len(document["farthest"]) == 3
    for call in document["farthest"]:
        assert call.keys() == {"call_id", "surprise", "most", "kinds"}
        assert call["call_id"] in {"tone", *(f"hotline-{n}" for n in range(ODD))}


def test_metrics_and_records_count_the_same(one: FrontEnd) -> None:
    text = httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False).text
    counted: dict[tuple[str, str], dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == "tosia_line_recordings" else ():
            if sample.name.endswith("_total"):
                labels = sample.labels
                assert labels["release"] == RELEASE
                counted.setdefault((labels["key"], labels["quantity"]), {})[labels["bin"]] = sample.value
    assert {key for key, _ in counted} == {"clinic", "hotline", "other"}
    for key in ("clinic", "hotline"):
        quantities = found(one, "--key", key)["quantities"]
        for quantity in QUANTITIES:
            expected = dict(zip(quantity.bins, quantities[quantity.name]["calls"], strict=True))
            assert counted[key, quantity.name] == expected


def test_the_table_is_for_people(one: FrontEnd) -> None:
    done = drift(one, "--since", "2026-01-01")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{USUAL + 1 + ODD} calls of release {RELEASE}; 0 answered by another release")
    (row,) = [line for line in lines if line.startswith("new codec ")]
    assert row.endswith("drift")
    (row,) = [line for line in lines if line.startswith("narrower band ")]
    assert row.endswith("as trained")
    assert any(re.match(r"bandwidth_hz \[Hz\]: .*distance 0\.\d{3} \[", line) for line in lines)
    assert max(map(len, lines)) <= 120


def test_until_and_since_bound_the_calls(one: FrontEnd) -> None:
    times = [one.api.get(f"/v1/calls/{call_id}").json()["received_at"] for call_id in ("clinic-2", "clinic-4")]
    assert found(one, "--until", times[0], "--key", "clinic")["calls"] == 2
    done = drift(one, "--since", times[0], "--until", times[1], "--json")
    assert json.loads(done.stdout)["calls"] == 2
    assert found(one, "--until", "2026-01-02")["calls"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "frontend: --since is 'yesterday': give a date"),
        (("--since", "2026-01-01", "--until", "soon"), "frontend: --until is 'soon': give a date"),
        (("--since", "2026-01-01", "--key", "nobody"), "frontend: --key is 'nobody': give the name of a key (clinic,"),
    ],
)
def test_bad_input_gets_one_sentence(one: FrontEnd, options: tuple[str, ...], said: str) -> None:
    done = drift(one, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_no_caller_gets_the_name_of_the_key(one: FrontEnd) -> None:
    answer = one.api.get("/v1/calls/hotline-0")
    assert "hotline" not in answer.text.replace("hotline-0", "")
