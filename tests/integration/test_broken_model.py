"""A model that Triton calls ready, but that can't score: its process was killed, or its scores are no probabilities."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import pytest
from onnx import TensorProto, helper

from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.integration.problems import post
from tests.integration.processes import FrontEnd, descendants, front_end, wait_for

REPOSITORY = CHECKOUT / "model_repository"
UNUSABLE = "tosia_unusable_scores_total"


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[TritonServer]:
    """Not started yet."""
    server = TritonServer(REPOSITORY, log=tmp_path / "triton.log")
    yield server
    server.stop()


@pytest.fixture
def running(triton: TritonServer, tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path, triton.grpc_url) as one:
        one.launch("--workers", "1")
        yield one


def inference(one: FrontEnd) -> object:
    answer = one.api.get("/readyz")
    assert answer.status_code == 200, answer.text
    return answer.json()["inference"]


def unusable(one: FrontEnd) -> float:
    text = httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False).text
    found = re.search(rf"^{UNUSABLE} (\S+)", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def ready(triton: TritonServer) -> int:
    return httpx.get(f"http://{triton.http_url}/v2/models/cough_cnn/ready", trust_env=False).status_code


def kill_stub(triton: TritonServer) -> None:
    """The process of the Python backend that runs the model."""
    assert triton._warden is not None
    stubs = [
        pid
        for pid in descendants(triton._warden.pid)
        if b"/triton_python_backend_stub\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert stubs
    for pid in stubs:
        os.kill(pid, signal.SIGKILL)


def test_a_model_whose_process_has_died_is_noticed_and_its_calls_are_finished(
    triton: TritonServer, running: FrontEnd, benchmark: bytes
) -> None:
    triton.start()
    wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
    assert post(running.api, benchmark).status_code == 201
    kill_stub(triton)
    assert post(running.api, benchmark, "meanwhile").status_code == 202
    wait_for(lambda: inference(running) == "degraded", "it is noticed")
    assert ready(triton) == 200  # what Triton itself says
    triton.stop()
    triton.start()
    wait_for(lambda: inference(running) == "ok", "a new model is noticed")
    wait_for(lambda: running.state("meanwhile") == "diagnosed", "the call is finished")
    assert unusable(running) == 0


def save_nan_model(repository: Path) -> None:
    """The contract of the release, but every score is NaN: 0 divided by 0."""
    shutil.copytree(REPOSITORY / "cough_cnn", repository / "cough_cnn")
    (model,) = (repository / "cough_cnn").glob("*/model.onnx")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["spectrogram"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Sub", ["mean", "mean"], ["zero"]),
            helper.make_node("Div", ["zero", "zero"], ["nan"]),
            helper.make_node("Reshape", ["nan", "column"], ["cough_probability"]),
            helper.make_node("Concat", ["cough_probability", "cough_probability"], ["class_probabilities"], axis=1),
        ],
        "nan",
        [helper.make_tensor_value_info("spectrogram", TensorProto.UINT8, ["batch", 64, 96])],
        [
            helper.make_tensor_value_info("cough_probability", TensorProto.FLOAT, ["batch", 1]),
            helper.make_tensor_value_info("class_probabilities", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), model)


def test_scores_that_are_no_numbers_lose_no_call_and_are_told_once(
    triton: TritonServer, running: FrontEnd, benchmark: bytes, tmp_path: Path
) -> None:
    save_nan_model(tmp_path / "nan")
    ports = {"http_port": triton.http_port, "grpc_port": triton.grpc_port, "metrics_port": triton.metrics_port}
    with TritonServer(tmp_path / "nan", log=tmp_path / "nan.log", **ports) as broken:
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        for call_id in ("one", "other"):
            assert post(running.api, benchmark, call_id).status_code == 202
        wait_for(lambda: inference(running) == "degraded", "it is noticed")
        assert ready(broken) == 200
        assert unusable(running) >= 2
        assert [running.state(call_id) for call_id in ("one", "other")] == ["received"] * 2
    triton.start()
    for call_id in ("one", "other"):
        wait_for(lambda: running.state(call_id) == "diagnosed", "the call is finished")  # noqa: B023 - at once
    told = [json.loads(line)["message"] for line in (tmp_path / "frontend.log").read_text().splitlines()]
    assert len([message for message in told if "scores of the model can't be used" in message]) == 1
