"""The real Triton takes the arguments of the Deployment, and keeps closed what they close."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from k8s.tools.validate.agreement import TRITON_FLAGS
from k8s.tools.validate.series import TRITON_METRICS
from laptop.service import CHECKOUT
from local_triton import TritonServer
from runtime.contract import read_contract
from runtime.onnx_classifier import OnnxClassifier
from runtime.triton_classifier import TritonClassifier
from tests.k8s.rendering import one

POD_UID = "5f4dcc3b-5aa7-65d6-1d83-27deb882cf99"
REPOSITORY = CHECKOUT / "model_repository"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """With the arguments of the Deployment that a laptop can take: all but where the repository lies."""
    (container,) = one("overlays/azure", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    arguments = [arg.replace("$(POD_UID)", POD_UID) for arg in container["args"]]
    own = ("--model-repository", "--model-control-mode", "--disable-auto-complete-config", "--exit-timeout-secs")
    rest = [argument for argument in arguments if argument.partition("=")[0] not in own]
    assert len(rest) == 5
    log = tmp_path_factory.mktemp("log") / "triton.log"
    with TritonServer(REPOSITORY, log=log, extra_args=rest) as server:
        yield server


def test_it_scores_as_the_plain_model_does_and_statistics_are_open(triton: TritonServer) -> None:
    contract = read_contract(REPOSITORY)
    shape = contract.image
    classifier, in_process = TritonClassifier(triton.grpc_url), OnnxClassifier(REPOSITORY)
    try:
        assert classifier.contract() == contract
        for n in (1, 3, contract.max_batch_size + 7):  # more than one batch, so that the last is filled up, too
            spectrograms = np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)
            found, expected = classifier.classify(spectrograms), in_process.classify(spectrograms)
            assert np.abs(found.cough - expected.cough).max() < 1e-4
            assert np.abs(found.classes - expected.classes).max() < 1e-4
    finally:
        classifier.close()
    with InferenceServerClient(triton.grpc_url) as client:  # what perf_analyzer asks
        assert client.get_inference_statistics("cough_cnn").model_stats[0].inference_count >= 3


@pytest.mark.parametrize(
    "action",
    [
        lambda client, headers: client.get_model_repository_index(headers=headers),
        lambda client, headers: client.get_system_shared_memory_status(headers=headers),
        lambda client, headers: client.register_system_shared_memory("a", "/a", 8, headers=headers),
        lambda client, headers: client.get_cuda_shared_memory_status(headers=headers),
        lambda client, headers: client.load_model("cough_cnn", headers=headers),
        lambda client, headers: client.update_log_settings({"log_verbose_level": 9}, headers=headers),
    ],
)
def test_control_and_shared_memory_are_closed_to_others(triton: TritonServer, action: Any) -> None:
    with InferenceServerClient(triton.grpc_url) as client:
        for headers in (None, {"triton-grpc-protocol-tosia": "guess"}):
            with pytest.raises(InferenceServerException, match="This protocol is restricted"):
                action(client, headers)


def test_who_reads_the_pods_uid_may_ask_for_the_index(triton: TritonServer) -> None:
    with InferenceServerClient(triton.grpc_url) as client:
        index = client.get_model_repository_index(headers={"triton-grpc-protocol-tosia": POD_UID})
    assert [model.name for model in index.models] == ["cough_cnn"]


@pytest.mark.parametrize(
    "path", ["/v2/repository/index", "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status"]
)
def test_the_http_port_is_closed_alike(triton: TritonServer, path: str) -> None:
    method = "POST" if "index" in path else "GET"
    answer = httpx.request(method, f"http://{triton.http_url}{path}", trust_env=False)
    assert answer.status_code in (400, 403), answer.text
    assert httpx.get(f"http://{triton.http_url}/v2/health/ready", trust_env=False).status_code == 200


def test_a_server_without_the_model_is_not_ready_by_the_probe(triton: TritonServer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with TritonServer(tmp_path / "empty", log=tmp_path / "triton.log") as empty:
        for server, status in ((triton, 200), (empty, 400)):
            url = f"http://{server.http_url}/v2"
            assert httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
            assert httpx.get(f"{url}/models/cough_cnn/ready", trust_env=False).status_code == status


def started(server: TritonServer, folder: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The Deployment's startupProbe, asking the server here. environment: of the pod, beside PATH"""
    (container,) = one(f"overlays/{folder}", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    python, option, script, expected = container["startupProbe"]["exec"]["command"]
    assert (python, option, script.count('"127.0.0.1", 8000')) == ("python3", "-c", 1)
    script = script.replace("8000", server.http_url.rpartition(":")[2])
    command = [sys.executable, option, script, expected]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath, **environment})


def test_a_release_without_the_configuration_for_gpus_never_starts(triton: TritonServer, tmp_path: Path) -> None:
    """Triton serves its config.pbtxt without a word. It is not told the name here: local_triton refuses the two."""
    run = started(triton, "azure")
    assert (run.returncode, run.stderr) == (0, "")
    assert "does not serve what --model-config-name says" in started(triton, "cpu").stderr
    shutil.copytree(REPOSITORY, tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "cough_cnn" / "configs")
    with TritonServer(tmp_path / "old", log=tmp_path / "triton.log") as old:
        assert httpx.get(f"http://{old.http_url}/v2/models/cough_cnn/ready", trust_env=False).status_code == 200
        run = started(old, "azure")
        assert (run.returncode, run.stdout) == (1, "")
        assert "the release has no such configuration, so it took config.pbtxt" in run.stderr
        assert started(old, "cpu").returncode == 0


@pytest.mark.parametrize(
    ("gpu", "tensorrt", "refusal"),
    [
        ("NVIDIA A100 80GB PCIe", "10.13.3.9", None),
        ("Tesla T4", "10.13.3.9", "built for gpu 'NVIDIAA10080GBPCIe', and here is 'Tesla T4'"),
        ("NVIDIA A100 80GB PCIe", "11.1.0.2", "built for tensorrt '10.13.3.9', and here is '11.1.0.2'"),
        ("NVIDIA A100 80GB PCIe", "", "and here is ''"),
    ],
)
def test_a_plan_starts_only_where_it_was_built(gpu: str, tensorrt: str, refusal: str | None, tmp_path: Path) -> None:
    """An ONNX file stands for the plan, which no Triton here can load; nvidia-smi is a stand-in, too."""
    plan = shutil.copytree(REPOSITORY, tmp_path / "plan") / "cough_cnn"
    (version,) = (item for item in plan.iterdir() if item.name.isdecimal())
    shutil.copy(version / "model.onnx", version / "model.plan")
    text = (plan / "config.pbtxt").read_text().replace('"model.onnx"', '"model.plan"')
    for key, value in (("gpu", "NVIDIA A100 80GB PCIe"), ("tensorrt", "10.13.3.9")):
        text += f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'
    (plan / "config.pbtxt").write_text(text)
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{gpu}'\necho '{gpu}'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    with TritonServer(tmp_path / "plan", log=tmp_path / "triton.log") as server:
        run = started(server, "azure", PATH=f"{tmp_path}:{os.defpath}", TRT_VERSION=tensorrt)
    if refusal is None:
        assert (run.returncode, run.stderr) == (0, "")
    else:
        assert run.returncode == 1
        assert refusal in run.stderr


def test_a_server_without_the_model_or_without_an_answer_has_not_started(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with TritonServer(tmp_path / "empty", log=tmp_path / "triton.log") as empty:
        assert started(empty, "azure").stderr == "The model is not loaded yet.\n"
    assert started(empty, "azure").stderr == "Triton does not answer yet.\n"


def test_the_metrics_that_rules_ask_for_are_there(triton: TritonServer) -> None:
    text = httpx.get(f"http://127.0.0.1:{triton.metrics_port}/metrics", trust_env=False).text
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    missing = TRITON_METRICS - there - {"nv_model_load_duration_secs"}  # newer than 24.10
    assert all(name.startswith("nv_gpu_") for name in missing), missing  # those need a GPU


def test_the_flags_are_the_servers_own() -> None:
    """24.10 here; 26.11 keeps them (docs/decisions/0014-kubernetes.md)."""
    site = next((CHECKOUT / ".venv-triton" / "lib").glob("python3*")) / "site-packages"
    server = site / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    run = subprocess.run(
        [server, "--help"],
        env={"LD_LIBRARY_PATH": str(site / "nvidia_pytriton.libs"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = run.stdout + run.stderr
    assert [flag for flag in sorted(TRITON_FLAGS) if f"{flag} " not in said and f"{flag}\n" not in said] == []
