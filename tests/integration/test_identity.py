"""Workload identity: no key anywhere, tokens that expire.

Entra is a stand-in (tests/services/entra.py); the credential is the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from laptop.service import CHECKOUT, Service
from tests.integration.problems import post
from tests.integration.processes import KEY, front_end, wait_for
from tests.services.azure import Account, Azure
from tests.services.entra import TOKEN_S, Entra


@pytest.fixture(scope="module")
def account(azure: Azure) -> Account:
    return azure.new_containers()


@pytest.fixture(scope="module")
def entra(azure: Azure, account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with Entra(azure, account, tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.mark.system
def test_calls_go_on_while_tokens_expire(
    entra: Entra, account: Account, service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    with front_end(tmp_path, service.triton_url, stores=entra.environment()) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        for n in range(3):
            assert post(one.api, benchmark, f"by-identity-{n}").status_code == 201
            time.sleep(TOKEN_S)
        assert one.api.get("/v1/calls/by-identity-0/audio").content == benchmark
        assert one.api.delete("/v1/calls/by-identity-0").status_code == 204
        log = (tmp_path / "frontend.log").read_text()
    assert entra.issued >= 6  # for each service again and again
    assert "token-" not in log
    assert {name.split("/")[1] for name in account.blobs()} == {"by-identity-1", "by-identity-2"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_before_its_end_is_replaced(
    azure: Azure, service: Service, tmp_path: Path, benchmark: bytes, status: int
) -> None:
    """It was revoked, or clocks differ: by its own account it lives for an hour, and every cache keeps it."""
    account = azure.new_containers()
    with (
        Entra(azure, account, tmp_path, told_s=3600) as entra,
        front_end(tmp_path, service.triton_url, stores=entra.environment()) as one,
    ):
        entra.denial = replace(entra.denial, status=status)
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        for n in range(2):
            assert post(one.api, benchmark, f"before-{n}").status_code == 201
        before = entra.issued
        entra.revoke()
        assert post(one.api, benchmark, "after").status_code == 201
        assert one.api.delete("/v1/calls/before-0").status_code == 204
        assert entra.issued == before + 2  # one for each service, and no more
        entra.refuses = True
        wait_for(lambda: one.get("/readyz") == 503, "the front end says that its identity is refused")
        problem = one.api.get("/readyz").json()
        assert problem["code"] == "not_ready"
        assert "(record_store_refuses_us, audio_store_refuses_us)" in problem["detail"]
        asked, issued = entra.denied, entra.issued
        for _ in range(20):
            assert one.get("/v1/calls") == 503
        assert entra.denied >= asked + 20
        assert entra.issued <= issued + 4  # not one for each request
        entra.refuses = False
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready again")
        assert one.api.get("/readyz").json()["causes"] == []
        log = (tmp_path / "frontend.log").read_text()
    assert log.count("the record store refuses our identity or key") == 1
    assert "token-" not in log


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frontend", "--check"]
    return subprocess.run(
        command, check=False, cwd=CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_check_names_the_identity(entra: Entra, service: Service) -> None:
    environment = {"API_KEY": KEY, "TRITON_URL": service.triton_url, **entra.environment()}
    done = check(environment)
    assert (done.returncode, done.stderr) == (0, "")
    table = " ".join(done.stdout.split())  # whatever was wrapped
    assert table.count("with the workload identity of this process") == 2
    assert done.stdout.count(environment["AZURE_CLIENT_ID"]) == 2
    assert "token-" not in done.stdout


def test_an_identity_that_is_refused(entra: Entra, service: Service) -> None:
    environment = {"API_KEY": KEY, "TRITON_URL": service.triton_url, **entra.environment()}
    done = check({**environment, "AZURE_CLIENT_ID": "33333333-3333-3333-3333-333333333333"})
    assert done.returncode == 1
    assert " ".join(done.stdout.split()).count("refuses this service's identity or key") == 2
    assert "Traceback" not in done.stderr
