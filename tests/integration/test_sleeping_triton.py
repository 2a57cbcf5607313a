"""Where Triton may be scaled to zero the release's manifest vouches for it, until it is seen."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from local_triton.ports import free_ports
from tests.integration.problems import assert_problem, post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for
from tests.laptop.checkouts import copy_checkout

REPOSITORY = CHECKOUT / "model_repository"


def metric(one: FrontEnd, name: str) -> float:
    text = one.api.get(f"http://127.0.0.1:{one.metrics_port}/metrics").text
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")))


@pytest.mark.system
def test_calls_are_taken_in_while_triton_sleeps_and_diagnosed_by_what_it_then_serves(
    tmp_path: Path, benchmark: bytes
) -> None:
    (port,) = free_ports(1)
    with front_end(tmp_path, f"127.0.0.1:{port}") as one:
        one.environment["TRITON_MAY_SLEEP"] = "1"
        one.start()
        assert one.api.get("/readyz").json()["inference"] == "degraded"
        answer = post(one.api, benchmark, "first")
        assert (answer.status_code, answer.json()["state"]) == (202, "received")
        assert one.api.get("/v1/model").json()["labels"] == ["negative", "positive"]
        wait_for(lambda: metric(one, "tosia_calls_due") == 1, "the call is counted, which is what wakes Triton")
        started = time.time()
        assert metric(one, "tosia_first_score_timestamp_seconds") == 0
        with TritonServer(REPOSITORY, log=tmp_path / "triton.log", grpc_port=port):
            wait_for(lambda: one.state("first") == "diagnosed", "the call is diagnosed")
            wait_for(lambda: metric(one, "tosia_calls_due") == 0, "no call waits")
            woken = metric(one, "tosia_first_score_timestamp_seconds")
            assert started <= woken <= time.time()
            assert post(one.api, benchmark, "more").status_code == 201
            assert metric(one, "tosia_first_score_timestamp_seconds") == woken  # of the first one only
        wait_for(lambda: one.api.get("/readyz").json()["inference"] == "degraded", "Triton is seen to sleep again")
        assert post(one.api, benchmark, "second").status_code == 202
        with TritonServer(REPOSITORY, log=tmp_path / "triton.log", grpc_port=port):
            wait_for(lambda: one.state("second") == "diagnosed", "the second call is diagnosed")
            assert metric(one, "tosia_first_score_timestamp_seconds") > woken


@pytest.mark.system
def test_another_model_is_refused_at_the_first_connection_and_nothing_is_scored_by_it(
    tmp_path: Path, benchmark: bytes
) -> None:
    (port,) = free_ports(1)
    other = tmp_path / "other"
    shutil.copytree(REPOSITORY, other)
    config = other / "cough_cnn" / "config.pbtxt"
    text = config.read_text()
    assert text.count('"[\\"negative\\", \\"positive\\"]"') == 1
    config.write_text(text.replace('"[\\"negative\\", \\"positive\\"]"', '"[\\"positive\\", \\"negative\\"]"'))
    with front_end(tmp_path, f"127.0.0.1:{port}") as one:
        one.environment["TRITON_MAY_SLEEP"] = "1"
        one.start()
        assert post(one.api, benchmark, "first").status_code == 202
        with TritonServer(other, log=tmp_path / "triton.log", grpc_port=port):
            wait_for(lambda: one.get("/readyz") == 503, "the other model is seen")
            assert "labels" in one.api.get("/readyz").json()["detail"]
            assert_problem(post(one.api, benchmark, "second"), 503, "not_ready")
            assert one.state("first") == "received"
        with TritonServer(REPOSITORY, log=tmp_path / "triton.log", grpc_port=port):
            wait_for(lambda: one.state("first") == "diagnosed", "the right model diagnoses what had waited")


def test_a_release_that_was_altered_ends_the_start(tmp_path: Path) -> None:
    copy_checkout(tmp_path, "model_repository")
    shutil.copytree(REPOSITORY, tmp_path / "model_repository")
    with (tmp_path / "model_repository" / "cough_cnn" / "config.pbtxt").open("a") as config:
        config.write("\n")
    environment = {
        "PATH": "/usr/bin:/bin",
        "API_KEY": KEY,
        "TRITON_URL": "127.0.0.1:1",
        "TRITON_MAY_SLEEP": "1",
        "TOSIA_STORES": "embedded",
        "TOSIA_VAR": str(tmp_path / "var"),
    }
    run = subprocess.run(
        [sys.executable, "-m", "frontend"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "model_repository/cough_cnn/config.pbtxt is not the file that manifest.json names" in run.stderr
