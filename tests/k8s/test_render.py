"""The rendered manifests hold what a deployment needs, and agree with what export and the benchmark write."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import MessageToJson

from bench.triton.perf_analyzer import CONCURRENCIES, SPECTROGRAMS
from export.plan import read_built_on
from export.releases import publish
from export.releases.release import HALF_FILE
from export.triton_config import CUDA_CONFIG, ONNX_FILE, PADDED_FILE, BuiltOn, cuda_config, onnx_config, profile_shapes
from k8s.tools.deploy import release
from k8s.tools.deploy.deployments import CANDIDATE, INTAKE
from k8s.tools.deploy.rollout import ROLLOUT_S
from k8s.tools.validate import schemas
from k8s.tools.validate.objects import Bundle
from k8s.tools.validate.placement import surge_of
from laptop.service import CHECKOUT
from runtime.config import load_limits
from runtime.contract import MODEL_NAME
from tests.export.parts import FACTS
from tests.k8s.rendering import MANIFESTS, bundle, definitions, one
from tests.k8s.scheduling import Node, best

TRITON = "nvcr.io/nvidia/tritonserver:26.11-py3"
MIRRORED = TRITON.replace("nvcr.io/nvidia", "tosia.azurecr.io")  # by the pipeline: nodes stream it from there


@pytest.mark.parametrize(
    ("folder", "config"),
    [("azure", CUDA_CONFIG), ("scale-to-zero", CUDA_CONFIG), ("cpu", None)],
)
def test_which_configuration_is_served(folder: str, config: str | None) -> None:
    (container,) = one(f"overlays/{folder}", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == (TRITON if folder == "cpu" else MIRRORED)
    named = [argument for argument in container["args"] if "model-config-name" in argument]
    assert named == ([f"--model-config-name={config}"] if config else [])
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment.get("NVIDIA_TF32_OVERRIDE") == ("0" if config else None)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("azure", f'"default_model_filename":"{PADDED_FILE}"'),
        ("cpu", f'"default_model_filename":"{ONNX_FILE}"'),
    ],
)
def test_a_pod_starts_with_that_configuration_only(folder: str, expected: str) -> None:
    """What the probe looks for is in that configuration as export writes it, and in no other."""
    (container,) = one(f"overlays/{folder}", "Deployment", "triton")["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["exec"]["command"][3] == expected
    configs = {"azure": cuda_config(FACTS, "a" * 64), "cpu": onnx_config(FACTS, "a" * 64)}
    texts = {
        name: "".join(MessageToJson(item, preserving_proto_field_name=True).split()) for name, item in configs.items()
    }
    assert expected in texts[folder]
    assert folder == "cpu" or expected not in texts["cpu"], "what Triton takes otherwise"


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


def test_gpu_nodes_have_a_fixed_image_a_driver_that_fits_and_stream_triton() -> None:
    spec = one("gpu-nodepool", "AKSNodeClass")["spec"]
    assert (spec["imageFamily"], spec["artifactStreaming"]) == ("Ubuntu2404", {"enabled": True})
    for pool in bundle("gpu-nodepool").of("NodePool"):
        wanted = {item["key"]: item["values"] for item in pool["spec"]["template"]["spec"]["requirements"]}
        assert wanted["karpenter.azure.com/sku-gpu-name"] == ["T4", "A100"]
    (plugin,) = one("gpu-nodepool", "DaemonSet")["spec"]["template"]["spec"]["containers"]
    assert plugin["image"] == "nvcr.io/nvidia/k8s-device-plugin:v0.20.1"


def test_the_image_reports_to_nobody_either() -> None:
    """In the pods a rule holds it (safety.telemetry)."""
    instructions = (CHECKOUT / "Dockerfile.frontend").read_text().replace("\\\n", " ").splitlines()
    environment = [line for line in instructions if line.startswith("ENV ")]
    assert "ORT_DISABLE_TELEMETRY=1" in environment[-1].split()


LABELS = {"app.kubernetes.io/name": "triton"}


def gpu_nodes(label: str, *, old_pod: bool) -> list[Node]:
    """A free on-demand node, and a spot node that is better in all else: another zone than the old pod's, emptier, and
    it has the image.
    """
    hash_key = "pod-template-hash"
    old = [{**LABELS, hash_key: "old"}] if old_pod else []
    zones = [{"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name} for zone, name in ("1a", "1b", "2c")]
    on_demand = {} if "scaleset" in label else {label: "on-demand"}
    return [
        Node("taken", {**zones[0], **on_demand}, old, fits=False),
        Node("free", {**zones[1], **on_demand}, free=0.4),
        Node("spot", {**zones[2], label: "spot"}, free=0.6, has_image=True),
    ]


@pytest.mark.parametrize("label", ["karpenter.sh/capacity-type", "kubernetes.azure.com/scalesetpriority"])
@pytest.mark.parametrize("old_pod", [False, True])
@pytest.mark.parametrize(
    ("folder", "kind", "name"),
    [
        ("overlays/azure", "Deployment", "triton"),
        ("overlays/no-spare-gpu", "Deployment", "triton"),
        ("tensorrt-plan", "Job", "tensorrt-plan"),
    ],
)
def test_triton_stays_off_spot_while_an_on_demand_gpu_is_free(
    folder: str, kind: str, name: str, label: str, old_pod: bool
) -> None:
    template = copy.deepcopy(one(folder, kind, name)["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = "new"
    nodes = gpu_nodes(label, old_pod=old_pod)
    assert best(template, nodes) == "free"
    assert best(template, [node for node in nodes if node.name != "free"]) == "spot", "bursts may use it"
    del template["spec"]["affinity"]
    assert best(template, nodes) == "spot", "what the preference is for"


def test_the_old_pod_of_a_rollout_does_not_push_the_new_one_to_spot() -> None:
    template = copy.deepcopy(one("overlays/azure", "Deployment", "triton")["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = "new"
    nodes = gpu_nodes("karpenter.sh/capacity-type", old_pod=True)
    assert best(template, nodes) == "free"
    for constraint in template["spec"]["topologySpreadConstraints"]:
        del constraint["matchLabelKeys"]
    assert best(template, nodes) == "spot"


def test_a_job_whose_node_is_taken_back_has_not_failed() -> None:
    (rule,) = one("tensorrt-plan", "Job")["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(
    ("folder", "rolling"),
    [("azure", {"maxSurge": 1, "maxUnavailable": 0}), ("no-spare-gpu", {"maxSurge": 0, "maxUnavailable": 1})],
)
def test_a_rollout_takes_a_spare_gpu_or_the_old_pods(folder: str, rolling: dict[str, int]) -> None:
    spec = one(f"overlays/{folder}", "Deployment", "triton")["spec"]
    assert spec["strategy"]["rollingUpdate"] == rolling
    most = one(f"overlays/{folder}", "ScaledObject")["spec"]["maxReplicaCount"]
    pools = bundle("gpu-nodepool").of("NodePool")
    assert most + surge_of({"spec": spec}, most) <= sum(int(pool["spec"]["limits"]["nvidia.com/gpu"]) for pool in pools)


@pytest.mark.parametrize("name", ["frontend", "triton"])
def test_a_drained_or_lost_node_gives_its_pods_up(name: str) -> None:
    """A drain may take the only pod; a lost node's pods are replaced after a minute; both may go to any zone."""
    budget = one("overlays/azure", "PodDisruptionBudget", name)["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    spec = one("overlays/azure", "Deployment", name)["spec"]["template"]["spec"]
    soon = {item["key"]: item["tolerationSeconds"] for item in spec["tolerations"] if item["effect"] == "NoExecute"}
    assert soon == {"node.kubernetes.io/not-ready": 60, "node.kubernetes.io/unreachable": 60}
    spread = {item["topologyKey"]: item["whenUnsatisfiable"] for item in spec["topologySpreadConstraints"]}
    assert spread["topology.kubernetes.io/zone"] == "ScheduleAnyway"


def test_front_ends_roll_on_two_nodes_of_four_cores() -> None:
    """3.86 cores are allocatable on such a node of AKS, of which DaemonSets take 0.4: two front ends a node."""
    deployment = one("overlays/azure", "Deployment", "frontend")
    least = one("overlays/azure", "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "1500m"
    assert least + surge_of(deployment, least) == 3 <= 2 * int((3.86 - 0.4) / 1.5)
    (metric,) = one("overlays/azure", "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "1400m"}


def test_on_a_cpu_the_same_triton_serves_the_release_in_the_image_and_calls_stay_in_the_cluster() -> None:
    cpu = bundle("overlays/cpu")
    own = {"Namespace", "Deployment", "Service", "ServiceAccount", "ConfigMap", "NetworkPolicy"}
    assert {item["kind"] for item in cpu.objects} == own | {"PodDisruptionBudget", "PersistentVolumeClaim"}
    triton = one("overlays/cpu", "Deployment", "triton")["spec"]
    (container,) = triton["template"]["spec"]["containers"]
    assert container["image"] == TRITON
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {variable["name"] for variable in container["env"]} == {
        "POD_UID",
        "REPOSITORY",
        "ORT_DISABLE_TELEMETRY",
    }
    front_end = one("overlays/cpu", "Deployment", "frontend")["spec"]
    assert (triton["replicas"], front_end["replicas"], front_end["strategy"]) == (1, 1, {"type": "Recreate"})
    assert one("overlays/cpu", "ConfigMap", "frontend")["data"]["TOSIA_STORES"] == "embedded"


def test_whoever_deploys_waits_as_long_as_kubernetes_does() -> None:
    for name, seconds in ROLLOUT_S.items():
        folder = {CANDIDATE: "candidate/azure", INTAKE: "overlays/intake"}.get(name, "overlays/azure")
        assert one(folder, "Deployment", name)["spec"]["progressDeadlineSeconds"] == seconds


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


def test_there_is_one_way_in() -> None:
    azure, nginx, cpu = (bundle(f"overlays/{name}") for name in ("azure", "nginx", "cpu"))
    kinds = ("Gateway", "HTTPRoute", "Ingress")
    assert [item["kind"] for item in azure.of(*kinds)] == ["Gateway", "HTTPRoute", "HTTPRoute"]
    assert [item["kind"] for item in nginx.of(*kinds)] == ["Ingress"]
    assert not cpu.of(*kinds)
    left = [item for item in nginx.objects if "tosia-gateway" in json.dumps(item)]
    assert left == [], "nothing of the gateway is left"
    without = {(item["kind"], item["metadata"]["name"]) for item in azure.objects}
    without -= {(item["kind"], item["metadata"]["name"]) for item in nginx.objects}
    assert {kind for kind, _ in without} == {"Namespace", "Gateway", "HTTPRoute", "NetworkPolicy"}


def test_who_may_reach_whom() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in bundle("overlays/azure").of("NetworkPolicy")}
    for name in ("default-deny", "gateway-default-deny"):
        assert policies[name] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {
        name: [[port["port"] for port in rule["ports"]] for rule in policies[name]["ingress"]]
        for name in ("frontend", "triton")
    }
    assert ports == {"frontend": [["http"], ["metrics"]], "triton": [["grpc"], ["metrics"], ["grpc", "metrics"]]}
    (way_in,) = policies["from-gateway"]["ingress"]
    assert (len(way_in["from"]), [port["port"] for port in way_in["ports"]]) == (1, ["http"])
    assert [port["port"] for rule in policies["gateway"]["ingress"] for port in rule["ports"]] == [80, 443]
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
    (tmp_path / "nvidia-smi").write_text('#!/bin/bash\necho "NVIDIA A100 80GB PCIe"\necho "NVIDIA A100 80GB PCIe"\n')
    for program in ("trtexec", "nvidia-smi"):
        (tmp_path / program).chmod(0o755)
    script = script.replace("/usr/src/tensorrt/bin", str(tmp_path)).replace("/plan/", f"{tmp_path}/")
    path = f"{tmp_path}:/usr/bin:/bin"
    environment = {"PATH": path, "TRT_VERSION": "10.13.3.9"}  # as NVIDIA's image has it
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, env=environment, capture_output=True)
    given = (tmp_path / "given").read_text().split()
    assert ("--stronglyTyped" in given) is knows_the_flag
    assert f"--saveEngine={tmp_path}/model.plan" in given
    assert read_built_on(tmp_path / "built-on.json") == BuiltOn("NVIDIA A100 80GB PCIe", "10.13.3.9")


def test_the_job_builds_in_the_image_that_serves_with_the_profile_of_export() -> None:
    spec = one("tensorrt-plan", "Job")["spec"]["template"]["spec"]
    steps = {step["name"]: step for step in (*spec["initContainers"], *spec["containers"])}
    assert spec["serviceAccountName"] != one("overlays/azure", "ServiceAccount", "triton")["metadata"]["name"]
    assert list(steps) == ["fetch", "build", "trial", "triton", "finish"]
    assert steps["build"]["image"] == steps["triton"]["image"] == MIRRORED
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


BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
READS = (
    f"( ( !(ActionMatches{{'{BLOBS}/read'}} AND NOT SubOperationMatches{{'Blob.List'}}) ) OR "
    f"( @Resource[{BLOBS}:path] StringStartsWith 'releases/' ) ) AND "
    f"( ( !(ActionMatches{{'{BLOBS}/read'}} AND SubOperationMatches{{'Blob.List'}}) ) OR "
    f"( @Request[{BLOBS}:prefix] StringStartsWith 'releases/' ) )"
)


def test_tritons_identity_reads_and_lists_releases_and_nothing_else() -> None:
    """What docs/deploy.md gives `az role assignment create`; that Azure holds it can't be tried here."""
    condition = (MANIFESTS / "azure" / "triton-reads-releases.txt").read_text()
    assert " ".join(condition.split()) == READS
    assert release.FOLDER == publish.FOLDER == "releases"
    path = release.release_path(CHECKOUT / "model_repository")
    assert path.startswith(f"{release.FOLDER}/")
    (rule,) = json.loads((MANIFESTS / "azure" / "blob-lifecycle.json").read_text())["rules"]
    assert not rule["definition"]["filters"]["prefixMatch"][0].removeprefix("CONTAINER/").startswith(release.FOLDER)
    text = (CHECKOUT / "docs" / "deploy.md").read_text()
    (command,) = re.findall(r"az role assignment create --role \"Storage Blob Data Reader\".*?\naz ", text, re.DOTALL)
    assert "principal triton" in command
    assert "$STORE/blobServices/default/containers/$CONTAINER" in command
    assert "k8s/manifests/azure/triton-reads-releases.txt" in command


@pytest.mark.shared
def test_the_issuer_in_the_docs_fits_its_definition_and_the_gateway() -> None:
    text = (CHECKOUT / "docs" / "deploy.md").read_text()
    (manifest,) = re.findall(r"<<'END'\n(apiVersion: cert-manager.*?)END\n", text, re.DOTALL)
    issuer = yaml.safe_load(manifest)
    gateway = one("overlays/azure", "Gateway")
    assert list(schemas.custom([Bundle("docs", [issuer])], schemas.read_definitions(definitions()))) == []
    assert gateway["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == issuer["metadata"]["name"]
    (solver,) = issuer["spec"]["acme"]["solvers"]
    (parent,) = solver["http01"]["gatewayHTTPRoute"]["parentRefs"]
    assert (parent["name"], parent["namespace"]) == (gateway["metadata"]["name"], gateway["metadata"]["namespace"])
    (listener,) = [item for item in gateway["spec"]["listeners"] if item["name"] == parent["sectionName"]]
    assert listener["port"] == 80
    (allowed,) = listener["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert gateway["metadata"]["namespace"] in allowed["values"], "the solver's route is there"
