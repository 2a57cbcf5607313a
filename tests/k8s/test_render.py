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

from export.release import HALF_FILE
from export.triton_config import ENGINE_CACHE, PROVIDER_CONFIG, profile_shapes
from laptop.service import CHECKOUT
from runtime.config import load_limits
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
