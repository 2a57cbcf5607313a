"""The front end on Azure's services: Azurite, the Cosmos server and the real Triton, over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from frontend.cli.check import check
from frontend.domain.records import id_sha256
from laptop.service import CHECKOUT, Service
from tests.integration.problems import assert_problem, post, tone, wav
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for
from tests.services.azure import Account, Azure
from tests.services.http_proxy import Answer, HttpProxy, Refuse, Slow


@pytest.fixture(scope="module")
def account(azure: Azure) -> Account:
    return azure.new_containers()


@pytest.fixture(scope="module")
def blob(azure: Azure) -> Iterator[HttpProxy]:
    """Between the replicas and Azurite; a test that makes it misbehave mends it."""
    with HttpProxy(azure.azurite.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cosmos(azure: Azure) -> Iterator[HttpProxy]:
    with HttpProxy(azure.cosmos.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def replicas(
    azure: Azure,
    account: Account,
    blob: HttpProxy,
    cosmos: HttpProxy,
    service: Service,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FrontEnd, FrontEnd]]:
    """Two front ends on one pair of stores, ready."""
    environment = account.behind(azure.azurite, blob.port, cosmos.port).environment()
    folders = [tmp_path_factory.mktemp("replica") for _ in range(2)]
    with (
        front_end(folders[0], service.triton_url, stores=environment) as one,
        front_end(folders[1], service.triton_url, stores=environment) as other,
    ):
        for replica in (one, other):
            replica.start("--workers", "1")
        for replica in (one, other):
            wait_for(lambda replica=replica: replica.get("/readyz") == 200, "the replica is ready")
        yield one, other


@pytest.fixture
def one(replicas: tuple[FrontEnd, FrontEnd]) -> FrontEnd:
    return replicas[0]


def item_of(azure: Azure, account: Account, call_id: str) -> dict[str, object]:
    (item,) = [item for item in azure.items(account) if item["id"] == call_id]
    return item


def test_a_call_lies_where_the_design_says(azure: Azure, account: Account, one: FrontEnd, benchmark: bytes) -> None:
    answer = post(one.api, benchmark, "life")
    assert (answer.status_code, answer.json()["state"]) == (201, "diagnosed")
    sha256 = hashlib.sha256(benchmark).hexdigest()
    assert account.blobs()[f"calls/life/{sha256}"] == benchmark
    item = item_of(azure, account, "life")
    received = answer.json()["received_at"]
    assert (item["call_id"], item["state"], item["status"]) == ("life", "diagnosed", "ok")
    assert (item["sort_key"], item["due_at"]) == (f"{received}|life", None)
    assert 30 * 86_400 - 120 < int(str(item["ttl"])) <= 30 * 86_400  # limits.retention_days
    assert one.api.get("/v1/calls/life/audio").content == benchmark
    assert one.api.get("/v1/calls/life/figure.png").content.startswith(b"\x89PNG")


def test_the_same_call_again_and_another_recording(account: Account, one: FrontEnd, benchmark: bytes) -> None:
    first = post(one.api, benchmark, "again")
    second = post(one.api, benchmark, "again")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert_problem(post(one.api, wav(tone(1.0)), "again"), 409, "call_conflict")
    assert [data for name, data in account.blobs().items() if name.startswith("calls/again/")] == [benchmark]


def test_the_same_call_at_the_same_time_on_two_replicas(
    azure: Azure, account: Account, replicas: tuple[FrontEnd, FrontEnd], benchmark: bytes
) -> None:
    for n in range(3):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda m, n=n: post(replicas[m % 2].api, benchmark, f"twice-{n}"), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        records = [answer.json() for answer in answers]
        assert all(record == records[0] for record in records)
        assert azure.cosmos.results_written(account.container)[f"twice-{n}"] == 1
        assert sum(name.startswith(f"calls/twice-{n}/") for name in account.blobs()) == 1


def test_other_audio_at_the_same_time_is_a_conflict(replicas: tuple[FrontEnd, FrontEnd], benchmark: bytes) -> None:
    other = wav(tone(1.0))
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda pair: post(pair[0].api, pair[1], "rivals"), zip(replicas, (benchmark, other), strict=True))
        )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    winner = (benchmark, other)[[answer.status_code for answer in answers].index(201)]
    assert replicas[0].api.get("/v1/calls/rivals/audio").content == winner


def test_audio_that_the_telephone_system_has_put_there(account: Account, one: FrontEnd, benchmark: bytes) -> None:
    account.put("phone-1.ogg", benchmark)
    account.put("phone-10.ogg", benchmark)
    assert_problem(one.api.post("/v1/calls/phone/diagnosis"), 404, "call_not_found")
    answers = [one.api.post("/v1/calls/phone-1/diagnosis") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert one.api.get("/v1/calls/phone-1/audio").content == benchmark
    assert one.api.delete("/v1/calls/phone-1").status_code == 204
    assert "phone-1.ogg" not in account.blobs()
    assert "phone-10.ogg" in account.blobs()


def test_pages_and_filters(azure: Azure, service: Service, tmp_path: Path, benchmark: bytes) -> None:
    """On containers of their own, so that nothing else is listed."""
    account = azure.new_containers()
    with front_end(tmp_path, service.triton_url, stores=account.environment()) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        for n in range(5):
            assert post(one.api, benchmark if n % 2 else wav(tone(1.0) * 0), f"page-{n}").status_code == 201
        seen, after = [], ""
        while after is not None:
            page = one.api.get("/v1/calls", params={"limit": 2, "after": after}).json()
            seen += [item["call_id"] for item in page["items"]]
            after = page["next"]
        assert seen == [f"page-{n}" for n in (4, 3, 2, 1, 0)]
        filtered = one.api.get("/v1/calls", params={"status": "ok", "state": "diagnosed"}).json()
        assert [item["call_id"] for item in filtered["items"]] == ["page-3", "page-1"]
        assert one.api.get("/v1/calls", params={"state": "failed"}).json() == {"items": [], "next": None}


def test_an_erased_call_leaves_a_tombstone_and_nothing_else(
    azure: Azure, account: Account, replicas: tuple[FrontEnd, FrontEnd], benchmark: bytes
) -> None:
    one, other = replicas
    assert post(one.api, benchmark, "gone").status_code == 201
    assert [replica.api.delete("/v1/calls/gone").status_code for replica in (one, other, one)] == [204] * 3
    for replica in replicas:
        assert_problem(replica.api.get("/v1/calls/gone"), 410, "call_erased")
        assert_problem(post(replica.api, benchmark, "gone"), 410, "call_erased")  # a late retry
        assert_problem(replica.api.post("/v1/calls/gone/diagnosis"), 410, "call_erased")
    assert not any("gone" in name for name in account.blobs())
    (tombstone,) = [item for item in azure.items(account) if item["id"] == "~" + id_sha256("gone")]
    assert tombstone["ttl"] == 30 * 86_400
    assert not any("gone" in str(item) for item in azure.items(account))
    assert_problem(one.api.delete("/v1/calls/never-there"), 404, "call_not_found")


def assert_refused(answer: httpx.Response, retry_after: str | None = None) -> None:
    assert_problem(answer, 503, "store_unavailable")
    assert "location" not in answer.headers  # nothing was stored, or nobody knows
    if retry_after is not None:
        assert answer.headers["retry-after"] == retry_after


def stores_of(one: FrontEnd) -> str:
    return str(one.api.get("/readyz").json()["stores"])


def test_cosmos_away(account: Account, cosmos: HttpProxy, one: FrontEnd, benchmark: bytes) -> None:
    assert post(one.api, benchmark, "before").status_code == 201
    cosmos.rule = lambda _: Refuse()
    try:
        assert_refused(post(one.api, benchmark, "cosmos-away"))
        for path in ("/v1/calls/before", "/v1/calls", "/v1/calls/before/audio"):
            assert_refused(one.api.get(path))
        assert_refused(one.api.delete("/v1/calls/before"))
        assert stores_of(one) == "degraded"
        assert one.get("/healthz") == 200
    finally:
        cosmos.rule = lambda _: None
    wait_for(lambda: stores_of(one) == "ok", "the stores are back")
    assert one.api.get("/v1/calls/before").status_code == 200
    assert post(one.api, benchmark, "cosmos-away").status_code == 201


def test_cosmos_throttles_without_end(cosmos: HttpProxy, one: FrontEnd, benchmark: bytes) -> None:
    cosmos.rule = lambda _: Answer(503, {"Retry-After": "17"})
    try:
        assert_refused(post(one.api, benchmark, "throttled"), retry_after="17")
    finally:
        cosmos.rule = lambda _: None
    assert post(one.api, benchmark, "throttled").status_code == 201


def test_blob_storage_away(account: Account, blob: HttpProxy, one: FrontEnd, benchmark: bytes) -> None:
    blob.rule = lambda _: Refuse()
    try:
        assert_refused(post(one.api, benchmark, "blob-away"))
        assert stores_of(one) == "degraded"
    finally:
        blob.rule = lambda _: None
    assert_problem(one.api.get("/v1/calls/blob-away"), 404, "call_not_found")  # no record without audio
    assert post(one.api, benchmark, "blob-away").status_code == 201


@pytest.mark.system
def test_cosmos_goes_after_the_record_was_created(
    azure: Azure, account: Account, cosmos: HttpProxy, replicas: tuple[FrontEnd, FrontEnd], benchmark: bytes
) -> None:
    """The call is stored, so it is answered 202 and finished when its lease has run out."""
    cosmos.rule = lambda seen: Refuse() if seen.method == "PUT" else None
    try:
        answer = post(replicas[0].api, benchmark, "half-way")
        assert answer.status_code == 202
        assert answer.headers["location"] == "/v1/calls/half-way"
    finally:
        cosmos.rule = lambda _: None
    wait_for(lambda: replicas[1].state("half-way") == "diagnosed", "another replica or the same finishes it")
    assert azure.cosmos.results_written(account.container)["half-way"] == 1


@pytest.mark.system
def test_a_slow_blob_service_does_not_hold_a_request_beyond_its_deadline(
    blob: HttpProxy, one: FrontEnd, benchmark: bytes
) -> None:
    blob.rule = lambda seen: Slow(12.0) if seen.method == "PUT" else None
    try:
        assert_refused(post(one.api, benchmark, "slow-blob"))  # within the client's 20 s
    finally:
        blob.rule = lambda _: None
    assert post(one.api, benchmark, "slow-blob").status_code == 201


def test_logs_hold_no_secret_no_audio_and_no_call(
    account: Account, replicas: tuple[FrontEnd, FrontEnd], benchmark: bytes
) -> None:
    """After all that this module has done, outages included."""
    one = replicas[0]
    call_id = "a-telephone-number"
    post(one.api, benchmark, call_id, headers={"X-Request-ID": call_id})
    for path in ("", "/audio", "/figure.png", "/segments/0.png"):
        assert one.api.get(f"/v1/calls/{call_id}{path}").status_code == 200
    assert one.api.delete(f"/v1/calls/{call_id}").status_code == 204
    assert one.api.get(f"/v1/calls/{call_id}?key={KEY}").status_code == 410
    logs = "\n".join((replica.var / "frontend.log").read_text() for replica in replicas)
    digest = id_sha256(call_id)
    for action in ("read audio", "read figure", "read segment", "erase"):
        assert re.search(
            rf'"tosia.audit", "message": "{action} key=default call={digest} at=\d{{4}}-\d\d-\d\dT[\d:.]+Z"', logs
        )
    assert "GET /v1/calls/{call_id}/audio 200" in logs
    key = re.search("AccountKey=([^;]+)", account.blob_connection)
    assert key is not None
    ids = {name.split("/")[1] for name in account.blobs() if name.startswith("calls/")} | {call_id, "gone", "phone-1"}
    assert len(ids) > 8
    secrets = [KEY, key[1], account.cosmos_key, "AccountKey", "OggS", "Traceback", account.container]
    common = {"before", "again", "life"}  # words that stand in log lines anyway
    for secret in (*secrets, *(ids - common)):
        assert secret not in logs


CONNECTIONS = ("inference", "audio", "records")


def rows_of(table: str) -> dict[str, str]:
    """By part, each on one line."""
    return {row.split()[0]: row for row in re.sub(r"\n +", " ", table).splitlines()[1:]}


@pytest.fixture
def environment(account: Account, service: Service) -> dict[str, str]:
    return {"API_KEY": KEY, "TRITON_URL": service.triton_url, **account.environment()}


def test_check_tells_what_can_be_reached_and_as_whom(account: Account, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "frontend", "--check"]
    done = subprocess.run(
        command, check=False, cwd=CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = rows_of(done.stdout)
    assert rows.keys() == {"keys", "stores", "workers", "limits", "inference", "audio", "records"}
    assert all(row.split()[1] == ("reached" if part in CONNECTIONS else "ok") for part, row in rows.items())
    assert rows["inference"].endswith("not validated")
    assert rows["stores"].endswith("azure; models that are not validated are served, too")
    assert "connection string" in rows["audio"]
    assert account.container in rows["audio"]
    assert f"{account.database}/{account.container}" in rows["records"]
    assert account.cosmos_key not in done.stdout
    assert "AccountKey" not in done.stdout


@pytest.mark.parametrize(
    ("changes", "part", "words"),
    [
        ({"COSMO_KEY": "d3Jvbmc="}, "records", "refuses this service's identity or key"),
        ({"COSMO_CONTAINER": "missing"}, "records", "can't be used"),
        ({"COSMO_ENDPOINT": "http://127.0.0.1:1/"}, "records", "can't be reached"),
        ({"BLOB_CONTAINER": "missing"}, "audio", "can't be used"),
        ({"TRITON_URL": "127.0.0.1:1"}, "inference", "can't answer"),
        ({"ALLOW_UNVALIDATED": ""}, "inference", "not validated: serve a validated one"),
    ],
)
def test_check_tells_what_can_not_be_used(
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    part: str,
    words: str,
) -> None:
    assert asyncio.run(check({**environment, **changes}, {"service.workers": 2})) == 1
    rows = rows_of(capsys.readouterr().out)
    assert words in rows[part]
    assert {name: rows[name].split()[1] for name in CONNECTIONS} == {
        name: "failed" if name == part else "reached" for name in CONNECTIONS
    }


def test_check_of_the_embedded_stores(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"API_KEY": KEY, "TRITON_URL": service.triton_url, "TOSIA_STORES": "embedded"}
    assert asyncio.run(check({**environment, "TOSIA_VAR": str(tmp_path)}, {"service.workers": 2})) == 0
    assert capsys.readouterr().out.count("reached") == 3


@pytest.mark.system
def test_an_unvalidated_model_is_not_served_from_azure_unless_it_is_allowed(
    account: Account, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    environment = {**account.environment(), "ALLOW_UNVALIDATED": ""}
    with front_end(tmp_path, service.triton_url, stores=environment) as one:
        one.start("--workers", "1")
        assert_problem(one.api.get("/readyz"), 503, "not_ready")
        assert "ALLOW_UNVALIDATED=1" in one.api.get("/readyz").json()["detail"]
        assert_problem(post(one.api, benchmark, "unvalidated"), 503, "not_ready")
    assert not any("unvalidated" in name for name in account.blobs())
