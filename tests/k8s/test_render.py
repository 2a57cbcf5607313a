"""What `kubectl apply -k` would send: it renders, fits Kubernetes' own schemas, and agrees with what export writes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bench.perf_analyzer import CONCURRENCIES, SPECTROGRAMS
from export.release import HALF_FILE
from export.triton_config import ENGINE_CACHE, PROVIDER_CONFIG, profile_shapes
from laptop.service import CHECKOUT
from runtime.config import load_limits
from runtime.contract import MODEL_NAME
from tests.export.parts import FACTS

K8S = CHECKOUT / "k8s"
FOLDERS = sorted(one.parent.relative_to(K8S).as_posix() for one in K8S.rglob("kustomization.yaml"))
KUBERNETES = "1.33"  # restartable init containers are stable from there on
TRITON = "nvcr.io/nvidia/tritonserver:26.08-py3"


def rendered(folder: str) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl renders the manifests")
    run = subprocess.run(
        ["kubectl", "kustomize", str(K8S / folder)], capture_output=True, text=True, check=False, cwd=Path("/")
    )
    assert run.returncode == 0, run.stderr
    return list(yaml.safe_load_all(run.stdout))


def one(folder: str, kind: str) -> dict[str, Any]:
    (found,) = [document for document in rendered(folder) if document["kind"] == kind]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_fits_the_schemas(folder: str) -> None:
    documents = rendered(folder)
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_default_is_plain_cuda() -> None:
    (container,) = one("base/triton", "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == TRITON
    assert not any("model-config-name" in argument for argument in container["args"])


def test_the_provider_overlay_reads_its_config_and_keeps_its_engines() -> None:
    spec = one("overlays/tensorrt-provider", "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert f"--model-config-name={PROVIDER_CONFIG}" in container["args"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claim = one("overlays/tensorrt-provider", "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes[mounts[ENGINE_CACHE]]["persistentVolumeClaim"]["claimName"] == claim


def test_another_release_rolls_the_pods() -> None:
    name = one("base/triton", "ConfigMap")["metadata"]["name"]
    assert name.startswith("triton-")  # a digest of what it holds
    (container,) = one("base/triton", "Deployment")["spec"]["template"]["spec"]["containers"]
    used = {
        variable["valueFrom"]["configMapKeyRef"]["name"] for variable in container["env"] if "valueFrom" in variable
    }
    assert used == {name}


@pytest.mark.parametrize("knows_the_flag", [True, False])  # TensorRT 10, TensorRT 11
def test_the_jobs_script_builds_with_either_tensorrt(tmp_path: Path, knows_the_flag: bool) -> None:
    """Stand-ins for trtexec, whose help is longer than a pipe takes at once, and nvidia-smi record what they are given."""
    spec = one("tensorrt-plan", "Job")["spec"]["template"]["spec"]
    (script,) = next(step for step in spec["initContainers"] if step["name"] == "build")["args"]
    flag = "--stronglyTyped" if knows_the_flag else "--other"
    (tmp_path / "trtexec").write_text(
        f'#!/bin/bash\nif [ "$1" = --help ]; then echo "  {flag}"; seq 100000; else echo "$@" > "$(dirname "$0")/given"; fi\n'
    )
    (tmp_path / "nvidia-smi").write_text('#!/bin/bash\necho "NVIDIA A10-24Q"\necho "NVIDIA A10-24Q"\n')
    for program in ("trtexec", "nvidia-smi"):
        (tmp_path / program).chmod(0o755)
    script = script.replace("/usr/src/tensorrt/bin", str(tmp_path)).replace("/plan/", f"{tmp_path}/")
    path = f"{tmp_path}:/usr/bin:/bin"
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, env={"PATH": path}, capture_output=True)
    given = (tmp_path / "given").read_text().split()
    assert ("--stronglyTyped" in given) is knows_the_flag
    assert f"--saveEngine={tmp_path}/model.plan" in given
    assert (tmp_path / "gpu").read_text() == "NVIDIA A10-24Q\n"


def test_the_job_builds_in_the_image_that_serves_with_the_profile_of_export() -> None:
    spec = one("tensorrt-plan", "Job")["spec"]["template"]["spec"]
    steps = {step["name"]: step for step in (*spec["initContainers"], *spec["containers"])}
    assert spec["serviceAccountName"] != one("base/triton", "ServiceAccount")["metadata"]["name"]
    assert list(steps) == ["fetch", "build", "trial", "triton", "finish"]
    assert steps["build"]["image"] == steps["triton"]["image"] == TRITON
    script = steps["build"]["args"][0]
    for end, shape in profile_shapes(FACTS).items():
        assert f"--{end}Shapes=spectrogram:{shape}" in script
    assert f"/plan/source/cough_cnn/{HALF_FILE}" in script
    assert steps["triton"]["restartPolicy"] == "Always"  # a sidecar: it serves while the last container judges
    assert "--model-repository=/plan/trial" in steps["triton"]["args"]
    for name in ("fetch", "trial", "finish"):
        assert steps[name]["command"][:3] == ["python", "-m", "export.plan"]
    assert steps["fetch"]["command"][4:] == ["$(SOURCE)", "/plan/source"]
    assert [name for name, step in steps.items() if "nvidia.com/gpu" in step["resources"]["limits"]] == [
        "build",
        "triton",
    ]


def test_the_benchmark_asks_the_triton_that_is_deployed() -> None:
    spec = one("perf-analyzer", "Job")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == f"{TRITON}-sdk"
    service = one("base/triton", "Service")
    (port,) = [port["port"] for port in service["spec"]["ports"] if port["name"] == "grpc"]
    (script,) = container["args"]
    assert f"-m {MODEL_NAME} -i grpc -u {service['metadata']['name']}:{port} " in script
    assert f"for clients in {' '.join(map(str, CONCURRENCIES))}; do" in script


def test_the_benchmark_may_do_nothing_else() -> None:
    job = one("perf-analyzer", "Job")["spec"]
    assert job["template"]["metadata"]["labels"]["tosia/bench"] == "true"
    assert job["backoffLimit"] == 0
    assert job["activeDeadlineSeconds"] > 0
    spec = job["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_benchmark_sends_the_spectrograms_that_the_one_on_a_laptop_sends() -> None:
    config = one("perf-analyzer", "ConfigMap")
    spec = one("perf-analyzer", "Job")["spec"]["template"]["spec"]
    assert config["data"] == {SPECTROGRAMS.name: SPECTROGRAMS.read_text()}
    # `kubectl apply` keeps all of it in an annotation once more, whose limit is lower than the ConfigMap's own.
    assert len(json.dumps(config)) < 256 * 1024
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes[mounts["/spectrograms"]]["configMap"]["name"] == config["metadata"]["name"]
    assert f"--input-data /spectrograms/{SPECTROGRAMS.name}" in spec["containers"][0]["args"][0]


def test_the_benchmark_prints_a_line_for_each_number_of_clients(tmp_path: Path) -> None:
    """A stand-in for perf_analyzer writes the file that `-f` names; one that fails ends the Job."""
    (script,) = one("perf-analyzer", "Job")["spec"]["template"]["spec"]["containers"][0]["args"]
    tool = tmp_path / "perf_analyzer"
    tool.write_text(
        "#!/bin/bash\nwhile [ $# -gt 1 ]; do [ $1 = --concurrency-range ] && n=$2; [ $1 = -f ] && file=$2; shift; done\n"
        '[ "$n" = "$FAIL" ] && exit 99\nprintf "Concurrency,Inferences/Second\\n$n,5\\n" > "$file"\n'
    )
    tool.chmod(0o755)
    counters = tmp_path / "curl"
    counters.write_text(
        "#!/bin/bash\necho '# HELP nv_inference_count'\n"
        'for one in count exec_count request_success; do echo "nv_inference_$one{model=\\"cough_cnn\\"} 7"; done\n'
    )
    counters.chmod(0o755)
    command = ["bash", "-euo", "pipefail", "-c", script.replace("cd /tmp", f"cd {tmp_path}")]
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAIL": "none"}
    run = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert lines[-1 - len(CONCURRENCIES) :] == ["Concurrency,Inferences/Second", *(f"{n},5" for n in CONCURRENCIES)]
    for name in ("count", "exec_count"):  # before the first, and after each
        assert lines.count(f'nv_inference_{name}{{model="cough_cnn"}} 7') == 1 + len(CONCURRENCIES)
    assert not any("request_success" in line for line in lines)
    assert subprocess.run(command, check=False, env={**environ, "FAIL": "8"}, capture_output=True).returncode == 99


def test_the_lifecycle_policy_forgets_calls_when_the_front_end_does() -> None:
    """And nothing else in the container: releases lie beside them."""
    policy = json.loads((K8S / "retention" / "blob-lifecycle.json").read_text())
    (rule,) = policy["rules"]
    assert rule["enabled"]
    assert rule["definition"]["filters"] == {"blobTypes": ["blockBlob"], "prefixMatch": ["CONTAINER/calls/"]}
    days = load_limits()[1].retention_days
    actions = rule["definition"]["actions"]
    assert set(actions) == {"baseBlob", "snapshot", "version"}
    assert all(action == {"delete": {"daysAfterCreationGreaterThan": days}} for action in actions.values())
