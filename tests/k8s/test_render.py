"""The rendered manifests hold what a deployment needs, and agree with what export and the benchmark write."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench.triton.perf_analyzer import CONCURRENCIES, SPECTROGRAMS
from export.releases.release import HALF_FILE
from export.triton_config import CUDA_CONFIG, ENGINE_CACHE, PROVIDER_CONFIG, profile_shapes
from k8s.tools.deploy.rollout import ROLLOUT_S
from runtime.config import load_limits
from runtime.contract import MODEL_NAME
from tests.export.parts import FACTS
from tests.k8s.rendering import MANIFESTS, bundle, one

TRITON = "nvcr.io/nvidia/tritonserver:26.08-py3"


@pytest.mark.parametrize(
    ("folder", "config"),
    [("azure", CUDA_CONFIG), ("scale-to-zero", CUDA_CONFIG), ("tensorrt-provider", PROVIDER_CONFIG), ("cpu", None)],
)
def test_which_configuration_is_served(folder: str, config: str | None) -> None:
    (container,) = one(f"overlays/{folder}", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == TRITON
    named = [argument for argument in container["args"] if "model-config-name" in argument]
    assert named == ([f"--model-config-name={config}"] if config else [])
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment.get("NVIDIA_TF32_OVERRIDE") == ("0" if config else None)


def test_the_provider_overlay_reads_its_config_and_keeps_its_engines() -> None:
    spec = one("overlays/tensorrt-provider", "Deployment", "triton")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert f"--model-config-name={PROVIDER_CONFIG}" in container["args"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claim = one("overlays/tensorrt-provider", "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes[mounts[ENGINE_CACHE]]["persistentVolumeClaim"]["claimName"] == claim


def test_another_release_rolls_the_pods() -> None:
    name = one("overlays/azure", "ConfigMap", "triton")["metadata"]["name"]
    assert name.startswith("triton-")  # a digest of what it holds
    (container,) = one("overlays/azure", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    used = {
        variable["valueFrom"]["configMapKeyRef"]["name"]
        for variable in container["env"]
        if "configMapKeyRef" in variable.get("valueFrom", {})
    }
    assert used == {name}


def test_no_replica_of_triton_takes_keys_or_writes_its_root() -> None:
    spec = one("overlays/azure", "Deployment", "triton")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["AZURE_STORAGE_AUTH_TYPE"] == "default"
    assert not {"AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING"} & environment.keys()
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    volumes = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    (shm,) = [volume for volume in spec["volumes"] if volume["name"] == volumes["/dev/shm"]]  # noqa: S108
    assert shm["emptyDir"]["medium"] == "Memory"


def test_the_gpu_nodes_are_on_demand_first_and_spot_for_the_rest() -> None:
    pools = {pool["metadata"]["name"]: pool["spec"] for pool in bundle("gpu-nodepool").of("NodePool")}
    demand, spot = pools["tosia-gpu-on-demand"], pools["tosia-gpu-spot"]
    assert demand["weight"] > spot["weight"]
    for pool, kind in ((demand, "on-demand"), (spot, "spot")):
        wanted = {requirement["key"]: requirement["values"] for requirement in pool["template"]["spec"]["requirements"]}
        assert wanted["karpenter.sh/capacity-type"] == [kind]
        assert wanted["karpenter.azure.com/sku-gpu-count"] == ["1"]
        assert wanted["karpenter.azure.com/sku-gpu-name"]
        assert pool["template"]["spec"]["expireAfter"]
        assert pool["disruption"]["consolidateAfter"]
    taints = {taint["key"] for taint in spot["template"]["spec"]["taints"]}
    assert taints == {"nvidia.com/gpu", "kubernetes.azure.com/scalesetpriority"}


def test_on_a_cpu_the_same_triton_serves_the_release_in_the_image_and_calls_stay_in_the_cluster() -> None:
    cpu = bundle("overlays/cpu")
    own = {"Namespace", "Deployment", "Service", "ServiceAccount", "ConfigMap", "NetworkPolicy"}
    assert {item["kind"] for item in cpu.objects} == own | {"PodDisruptionBudget", "PersistentVolumeClaim"}
    triton = one("overlays/cpu", "Deployment", "triton")["spec"]
    (container,) = triton["template"]["spec"]["containers"]
    assert container["image"] == TRITON
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {variable["name"] for variable in container["env"]} == {"POD_UID", "REPOSITORY"}
    front_end = one("overlays/cpu", "Deployment", "frontend")["spec"]
    assert (triton["replicas"], front_end["replicas"], front_end["strategy"]) == (1, 1, {"type": "Recreate"})
    assert one("overlays/cpu", "ConfigMap", "frontend")["data"]["TOSIA_STORES"] == "embedded"


def test_whoever_deploys_waits_as_long_as_kubernetes_does() -> None:
    for name, seconds in ROLLOUT_S.items():
        assert one("overlays/azure", "Deployment", name)["spec"]["progressDeadlineSeconds"] == seconds


def test_scaled_to_zero_the_front_end_expects_that() -> None:
    assert one("overlays/azure", "ScaledObject")["spec"]["minReplicaCount"] == 1
    assert "TRITON_MAY_SLEEP" not in one("overlays/azure", "ConfigMap", "frontend")["data"]
    scaler = one("overlays/scale-to-zero", "ScaledObject")["spec"]
    assert scaler["minReplicaCount"] == 0
    assert [trigger["metadata"]["query"] for trigger in scaler["triggers"]][-1] == "tosia:triton_is_wanted"
    assert one("overlays/scale-to-zero", "ConfigMap", "frontend")["data"]["TRITON_MAY_SLEEP"] == "1"


def test_scaled_to_zero_nobody_is_called_while_it_wakes_up() -> None:
    for folder, patience in (("overlays/azure", "5m"), ("overlays/scale-to-zero", "30m")):
        rules = [rule for group in one(folder, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
        (away,) = [rule for rule in rules if rule.get("alert") == "TosiaInferenceAway"]
        assert away["for"] == patience


def test_by_name_there_is_no_way_out_to_every_address() -> None:
    for folder, expected in (("overlays/azure", True), ("overlays/fqdn-egress", False)):
        rules = [rule for policy in bundle(folder).of("NetworkPolicy") for rule in policy["spec"].get("egress", [])]
        blocks = [peer["ipBlock"]["cidr"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]
        assert ("0.0.0.0/0" in blocks) is expected
    names = one("overlays/fqdn-egress", "CiliumNetworkPolicy")["spec"]["egress"][1]["toFQDNs"]
    assert [next(iter(name.values())) for name in names] == [
        "*.blob.core.windows.net",
        "*.documents.azure.com",
        "login.microsoftonline.com",
    ]


def test_who_may_reach_whom() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in bundle("overlays/azure").of("NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {
        name: [[port["port"] for port in rule["ports"]] for rule in policies[name]["ingress"]]
        for name in ("frontend", "triton")
    }
    assert ports == {"frontend": [["http"], ["metrics"]], "triton": [["grpc"], ["metrics"], ["grpc", "metrics"]]}
    assert policies["triton"]["ingress"][2]["from"] == [{"podSelector": {"matchLabels": {"tosia/bench": "true"}}}]
    out = {
        name: [[port["port"] for port in rule["ports"]] for rule in policies[name]["egress"]]
        for name in ("frontend", "triton", "dns")
    }
    assert out == {"frontend": [[8001], [443]], "triton": [[443]], "dns": [[53, 53]]}


@pytest.mark.parametrize("knows_the_flag", [True, False])  # TensorRT 10, TensorRT 11
def test_the_jobs_script_builds_with_either_tensorrt(tmp_path: Path, knows_the_flag: bool) -> None:
    """Stand-ins for trtexec, whose help is longer than a pipe takes at once, and nvidia-smi record what they
    are given.
    """
    spec = one("tensorrt-plan", "Job")["spec"]["template"]["spec"]
    (script,) = next(step for step in spec["initContainers"] if step["name"] == "build")["args"]
    flag = "--stronglyTyped" if knows_the_flag else "--other"
    (tmp_path / "trtexec").write_text(
        f'#!/bin/bash\nif [ "$1" = --help ]; then echo "  {flag}"; seq 100000; else echo "$@" > "$(dirname '
        '"$0")/given"; fi\n'
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
    assert spec["serviceAccountName"] != one("overlays/azure", "ServiceAccount", "triton")["metadata"]["name"]
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
    service = one("overlays/azure", "Service", "triton")
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
        "#!/bin/bash\nwhile [ $# -gt 1 ]; do [ $1 = --concurrency-range ] && n=$2; [ $1 = -f ] && file=$2; shift; "
        "done\n"
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
    policy = json.loads((MANIFESTS / "azure" / "blob-lifecycle.json").read_text())
    (rule,) = policy["rules"]
    assert rule["enabled"]
    assert rule["definition"]["filters"] == {"blobTypes": ["blockBlob"], "prefixMatch": ["CONTAINER/calls/"]}
    days = load_limits()[1].retention_days
    actions = rule["definition"]["actions"]
    assert set(actions) == {"baseBlob", "snapshot", "version"}
    assert all(action == {"delete": {"daysAfterCreationGreaterThan": days}} for action in actions.values())
