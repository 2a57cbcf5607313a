"""`python -m frontend backfill`: stored calls scored again by another release, killed half way, and run again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from laptop.service import CHECKOUT, Service
from local_triton import TritonServer
from runtime.config import MODEL_REPOSITORY
from runtime.contract import read_contract
from tests.integration.problems import post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for
from tests.services.azure import Account, Azure

CALLS = 12
SERVED = read_contract(MODEL_REPOSITORY).model.version


@pytest.fixture(scope="module")
def account(azure: Azure) -> Account:
    return azure.new_containers()


@pytest.fixture(scope="module")
def one(account: Account, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """A front end with some calls, diagnosed by the committed release."""
    with front_end(tmp_path_factory.mktemp("var"), service.triton_url, stores=account.environment()) as running:
        running.start("--workers", "1")
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        benchmark = (CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()
        for n in range(CALLS):
            assert post(running.api, benchmark + f"{n:04}".encode(), f"call-{n:02}").status_code == 201
        assert post(running.api, benchmark[:300], "broken").status_code == 422
        yield running


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The same network as another release."""
    folder = tmp_path_factory.mktemp("next")
    repository = shutil.copytree(CHECKOUT / "model_repository", folder / "model_repository")
    (old,) = [path for path in (repository / "cough_cnn").iterdir() if path.name.isdigit()]
    old.rename(old.with_name("99"))
    with TritonServer(repository, log=folder / "triton.log") as triton:
        yield triton


def command(account: Account, triton_url: str, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **account.environment(), "API_KEY": KEY, "TRITON_URL": triton_url}
    return subprocess.Popen(
        [sys.executable, "-m", "frontend", "--workers", "1", "backfill", "--since", "2026-01-01", *options],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def versions(one: FrontEnd) -> dict[str, list[str]]:
    """Of the results in each call's history."""
    items = one.api.get("/v1/calls?limit=200").json()["items"]
    return {
        item["call_id"]: [result["diagnosis"]["model"]["version"] for result in item.get("history", [])]
        for item in items
    }


@pytest.mark.system
def test_with_the_release_that_they_have_nothing_is_done(account: Account, one: FrontEnd, service: Service) -> None:
    done = command(account, service.triton_url)
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (
        0,
        f"0 calls scored by cough_cnn {SERVED}, {CALLS} had been before, 0 failed.\n",
    ), err
    assert set(map(tuple, versions(one).values())) == {()}


@pytest.mark.system
def test_some_of_them_by_the_next_release(account: Account, one: FrontEnd, next_release: TritonServer) -> None:
    before = {item["call_id"]: item for item in one.api.get("/v1/calls").json()["items"]}
    done = command(account, next_release.grpc_url, "--limit", "3")
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (0, "3 calls scored by cough_cnn 99, 0 had been before, 0 failed.\n"), err
    assert "3/3" in err  # the progress bar
    scored = [call_id for call_id, found in versions(one).items() if found]
    assert scored == [f"call-{n:02}" for n in range(CALLS - 1, CALLS - 4, -1)]  # the newest
    for call_id in scored:
        record = one.api.get(f"/v1/calls/{call_id}").json()
        first, second = record["history"]
        # What was answered stays, and lies beside the new result.
        assert record["diagnosis"] == first["diagnosis"] == before[call_id]["diagnosis"]
        assert first["at"] == before[call_id]["updated_at"] < second["at"] == record["updated_at"]
        assert second["diagnosis"]["segments"] == first["diagnosis"]["segments"]
        assert second["diagnosis"]["model"]["version"] == "99"


@pytest.mark.system
def test_killed_half_way_it_goes_on_where_it_was(account: Account, one: FrontEnd, next_release: TritonServer) -> None:
    running = command(account, next_release.grpc_url)
    done_before = 3

    def scored() -> int:
        return sum(bool(found) for found in versions(one).values())

    wait_for(lambda: scored() > done_before or running.poll() is not None, "it has begun", 60.0)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    half = scored()
    done = command(account, next_release.grpc_url)
    out, err = done.communicate(timeout=120)
    expected = f"{CALLS - half} calls scored by cough_cnn 99, {half} had been before, 0 failed.\n"
    assert (done.returncode, out) == (0, expected), err
    found = versions(one)
    assert found.pop("broken") == []
    assert set(map(tuple, found.values())) == {(SERVED, "99")}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--since", "yesterday"), "--since is 'yesterday'"),
        (("--limit", "0"), "not a number from 1 on"),
    ],
)
def test_what_it_does_not_understand(account: Account, options: tuple[str, ...], words: str) -> None:
    done = command(account, "127.0.0.1:1", *options)
    _, err = done.communicate(timeout=60)
    assert done.returncode == 2
    assert words in err
    assert "Traceback" not in err


def test_without_triton_it_ends_with_one_line(account: Account) -> None:
    done = command(account, "127.0.0.1:1")
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (1, "")
    assert err.strip().splitlines()[-1].startswith("frontend: Triton has not answered")
    assert "Traceback" not in err
