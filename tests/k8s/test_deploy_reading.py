"""What the deploy tool reads out of Kubernetes' answers: pure functions, on objects in the API's documented form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k8s.tools.deploy import deployments, doctor, drift, release, rollout, versions
from k8s.tools.deploy.environment import CHECKOUT
from k8s.tools.deploy.history import History
from k8s.tools.deploy.kubectl import Object
from k8s.tools.deploy.needs import missing_definitions, needs
from k8s.tools.deploy.unready import is_blocked, why
from tests.k8s.rendering import MANIFESTS
from tests.k8s.test_deploy_states import Deployed, deployed, rendered

__all__ = ["deployed", "rendered"]  # fixtures

OURS = {
    "manager": "tosia",
    "operation": "Apply",
    "fieldsV1": {
        "f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}}},
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"frontend"}': {
                            ".": {},
                            "f:name": {},
                            "f:image": {},
                            "f:env": {'k:{"name":"API_KEY"}': {".": {}, "f:name": {}, "f:valueFrom": {}}},
                        }
                    }
                }
            }
        },
    },
}


def others(manager: str, container: Object, **more: Any) -> Object:
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"frontend"}': container}}}}}
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (
            others("kubectl-set", {"f:env": {'k:{"name":"DEBUG"}': {".": {}, "f:name": {}, "f:value": {}}}}),
            [("kubectl-set", "spec.template.spec.containers[frontend].env[DEBUG]")],
        ),
        (
            others("kubectl-edit", {"f:image": {}, "f:command": {}}),
            [("kubectl-edit", "spec.template.spec.containers[frontend].command")],  # the image is ours, too
        ),
        # What controllers write is nobody's hand: the autoscaler's number, the status, the revision, a restart.
        (
            {"manager": "kube-controller-manager", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            [],
        ),
        ({"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}}, []),
        ({"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {"f:annotations": {"f:a": {}}}}}, []),
        (
            {
                "manager": "kubectl-rollout",
                "fieldsV1": {
                    "f:spec": {
                        "f:template": {
                            "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}
                        }
                    }
                },
            },
            [],
        ),
    ],
)
def test_fields_that_are_not_ours(entry: Object, found: list[tuple[str, str]]) -> None:
    assert drift.drift({"metadata": {"managedFields": [OURS, entry]}}) == found


def test_what_our_own_rollback_restored_is_no_drift() -> None:
    entry = others("kubectl", {"f:command": {}})
    metadata = {"name": "frontend", "uid": "d", "managedFields": [OURS, entry]}
    metadata["annotations"] = {deployments.REVISION: "3"}
    replica_set = {
        "kind": "ReplicaSet",
        "metadata": {
            "name": "frontend-a",
            "annotations": {deployments.REVISION: "3"},
            "ownerReferences": [{"uid": "d"}],
        },
    }
    deployment = {"kind": "Deployment", "metadata": metadata, "status": {"observedGeneration": 1}}
    moment = deployments.snapshot({"items": [deployment, replica_set]})
    assert len(drift.lines(moment, History())) == 1
    assert drift.lines(moment, History(back_at={"frontend": "frontend-a"})) == []


def pod(status: Object) -> Object:
    return {"metadata": {"name": "p"}, "status": status}


def container(state: Object, **more: Any) -> Object:
    return {"name": "triton", "ready": False, "state": state, **more}


ON_NODE = {"type": "PodScheduled", "status": "True"}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available:\n 3 Insufficient nvidia.com/gpu.",
}


@pytest.mark.parametrize(
    ("status", "blocked", "said"),
    [
        (
            {"conditions": [UNSCHEDULABLE]},
            True,
            "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
        ({"conditions": []}, False, "waits for the scheduler"),
        (
            {
                "conditions": [ON_NODE],
                "containerStatuses": [container({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}})],
            },
            True,
            "triton: ImagePullBackOff: Back-off",
        ),
        (
            {"conditions": [ON_NODE], "containerStatuses": [container({"waiting": {"reason": "ContainerCreating"}})]},
            False,
            "is starting",
        ),
        (
            {
                "conditions": [ON_NODE],
                "containerStatuses": [
                    container(
                        {"waiting": {"reason": "CrashLoopBackOff"}},
                        lastState={"terminated": {"reason": "Error", "exitCode": 2, "message": "what a caller sent"}},
                    )
                ],
            },
            True,
            "triton: CrashLoopBackOff (Error, code 2)",  # a serving container's log is not shown
        ),
        (
            {
                "conditions": [ON_NODE],
                "initContainerStatuses": [
                    {
                        "name": "release",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {
                            "terminated": {"reason": "Error", "exitCode": 1, "message": "a\nno configs/cuda.pbtxt\n"}
                        },
                    }
                ],
                "containerStatuses": [container({"waiting": {"reason": "PodInitializing"}})],
            },
            True,
            "release: CrashLoopBackOff (Error, code 1: no configs/cuda.pbtxt)",
        ),
        (
            {"phase": "Running", "conditions": [ON_NODE], "containerStatuses": [container({"running": {}})]},
            False,
            "triton: runs, and is not ready",
        ),
    ],
)
def test_why_a_pod_is_not_ready(status: Object, blocked: bool, said: str) -> None:
    assert (is_blocked(pod(status)), why(pod(status))) == (blocked, said)


def deployment(*, wanted: int = 2, total: int = 2, updated: int = 2, available: int = 2, reason: str = "") -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": "frontend", "generation": 2},
        "spec": {"replicas": wanted},
        "status": {
            "observedGeneration": 2,
            "replicas": total,
            "updatedReplicas": updated,
            "availableReplicas": available,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
        },
    }


@pytest.mark.parametrize(
    ("given", "rolled_out", "proved"),
    [
        (deployment(), True, True),
        (deployment(total=3, updated=1), False, False),
        (deployment(available=1), False, False),
        # An autoscaler adds pods to what was rolled out long ago.
        (deployment(wanted=4, total=4, updated=4, available=2, reason="NewReplicaSetAvailable"), False, True),
        (deployment(total=3, updated=1, reason="NewReplicaSetAvailable"), False, False),
        (deployment(wanted=0, total=0, updated=0, available=0, reason="NewReplicaSetAvailable"), False, False),
        (deployment() | {"metadata": {"generation": 3}}, False, False),
    ],
)
def test_rolled_out_and_proved(given: Object, rolled_out: bool, proved: bool) -> None:
    assert (deployments.is_rolled_out(given), deployments.has_proved(given)) == (rolled_out, proved)


def test_a_pod_that_is_stuck_is_named_once_while_the_wait_goes_on(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"OVERLAY": "cpu", "API_KEY": "k", "BUILD_NUMBER": "1"}
    deployed.server.unschedulable.append("frontend")
    real, looks = deployed.server._roll, 0

    def roll(item: Object) -> None:
        nonlocal looks
        looks += 1
        if looks > 60:
            deployed.server.unschedulable.clear()
        real(item)
        if deployed.server.unschedulable and item["metadata"]["name"] == "frontend":
            item["status"]["conditions"] = [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]

    monkeypatch.setattr(deployed.server, "_roll", roll)
    assert deployed.run("all", environ) == 0, deployed.err
    (line,) = [line for line in deployed.err.splitlines() if "still waiting" in line]
    assert "pod frontend-" in line
    assert "Insufficient nvidia.com/gpu" in line


def test_a_wait_bears_an_api_server_that_is_away_for_a_moment(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployed.run("all", {"OVERLAY": "cpu", "API_KEY": "k", "BUILD_NUMBER": "1"}) == 0
    real, fails = deployed.server._get, iter([False, True, True, False])

    def get(words: list[str], *rest: Any) -> str:
        if words[0].startswith("deployments") and next(fails, False):
            return 1, ""  # type: ignore[return-value]
        return real(words, *rest)

    monkeypatch.setattr(deployed.server, "_get", get)
    assert deployed.run("wait", {"OVERLAY": "cpu"}) == 0
    monkeypatch.setattr(deployed.server, "_get", lambda *_: (1, ""))
    assert deployed.run("wait", {"OVERLAY": "cpu"}) == 1
    assert rollout.MISSES < 20


def node(gpus: str | None, gpu: str = "T4") -> Object:
    allocatable = {"cpu": "3860m"} | ({"nvidia.com/gpu": gpus} if gpus is not None else {})
    labels = {"tosia/pool": "gpu", "karpenter.azure.com/sku-gpu-name": gpu}
    return {"metadata": {"name": "aks-1", "labels": labels}, "status": {"allocatable": allocatable}}


def test_gpu_nodes_without_a_gpu_to_schedule_by_and_with_an_old_driver() -> None:
    assert doctor.gpu_nodes([node("1"), node("1", "A100")]) == []
    for given in (node(None), node("0")):
        (line,) = doctor.gpu_nodes([given])
        assert line.startswith("missing  nvidia.com/gpu on node aks-1")
    (line,) = doctor.gpu_nodes([node("1", "A10")])
    assert "570.211.01" in line
    assert doctor.gpu_nodes([node("1", "H200")]) == [], "the table does not know it"


def test_two_device_plugins_on_a_node() -> None:
    ours = "n1 gpu-resources/nvidia-device-plugin-a nvcr.io/nvidia/k8s-device-plugin:v0.20.1\n"
    theirs = "n1 kube-system/nvidia-device-plugin-b registry.example/k8s-device-plugin:0.17\n"
    rest = "n1 tosia/triton-a nvcr.io/nvidia/tritonserver:26.08-py3\nn2 kube-system/smb-device-plugin example/smb:1\n"
    assert doctor.two_plugins(ours + rest) == []
    (line,) = doctor.two_plugins(ours + theirs + rest)
    assert "node n1" in line
    assert "kube-system/nvidia-device-plugin-b" in line


def test_doctor_compares_the_cluster_with_the_table(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.k8s.test_deploy_states import DEPLOYMENT

    assert deployed.run("all", DEPLOYMENT) == 0
    deployed.server.objects["Node//aks-1"] = {"kind": "Node", **node("0")}
    monkeypatch.setitem(versions.table()["triton"], "version", "20.01-py3")
    monkeypatch.setitem(versions.table()["node_image_family"], "version", "Ubuntu1804")
    monkeypatch.setitem(versions.part("kubernetes"), "newest", "1.30")
    assert deployed.run("doctor") == 1
    for line in (
        "new      Kubernetes  1.36",
        "ok       KEDA",
        "differs  Triton's image",
        "differs  node image family",
        "missing  nvidia.com/gpu on node aks-1",
    ):
        assert line in deployed.out


def test_the_table_has_a_source_and_a_date_in_each_row() -> None:
    table = json.loads(versions.FILE.read_text())
    rows = [
        table["triton"],
        table["node_image_family"],
        *(row for name in ("cuda_needs_driver", "gpu_drivers", "parts") for row in table[name].values()),
    ]
    for row in rows:
        assert row["source"]
        assert row["date"].startswith("20")
    assert versions.driver_is_enough("T4") is True
    assert versions.driver_is_enough("A10") is False
    assert versions.driver_is_enough("H200") is None
    assert versions.release("1.36.2") < versions.release("1.100")


def test_what_is_needed_follows_from_what_is_sent() -> None:
    from k8s.tools.deploy.environment import read_target

    sent = "kind: Gateway\nspec:\n  gatewayClassName: approuting-istio\n"
    named = {need.what: need.resource for need in needs(read_target({}), sent)}
    assert named["Gateway API"] == ("crd", "gateways.gateway.networking.k8s.io")
    assert named["class of gateways"] == ("gatewayclass", "approuting-istio")
    assert "KEDA" not in named
    assert "ingress controller" not in named
    lacking = missing_definitions(needs(read_target({}), sent), {"nodepools.karpenter.sh"})
    assert [need.what for need in lacking] == ["Gateway API", "AKS node classes"]
    assert needs(read_target({"OVERLAY": "cpu"}), sent) == []


def test_the_configurations_of_a_release(tmp_path: Path) -> None:
    repository = CHECKOUT / "model_repository"
    assert "cuda" in release.configs(repository)
    path = f"as://a/calls/{release.release_path(repository)}"
    assert release.known_configs(path, CHECKOUT) == release.configs(repository)
    assert release.known_configs("as://a/calls/releases/3-0123456789ab", CHECKOUT) is None

    copy = tmp_path / "model_repository"
    (copy / "cough_cnn" / "configs").mkdir(parents=True)
    (copy / "manifest.json").write_bytes((repository / "manifest.json").read_bytes())
    assert release.known_configs(path, tmp_path) == (), "the file is gone, whatever the manifest says"


def test_the_job_of_perf_analyzer_fits_beside_two_front_ends() -> None:
    """Of a node of 4 cores 3.86 can be given out, and 0.4 go to the node's own pods (docs/deploy.md)."""
    import yaml

    from k8s.tools.validate.safety import quantity

    (job,) = yaml.safe_load_all((MANIFESTS / "perf-analyzer" / "job.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (front_end,) = yaml.safe_load_all((MANIFESTS / "base" / "frontend" / "deployment.yaml").read_text())
    (serving,) = front_end["spec"]["template"]["spec"]["containers"]
    taken = 2 * quantity(serving["resources"]["requests"]["cpu"])
    assert quantity(container["resources"]["requests"]["cpu"]) <= 3.86 - 0.4 - taken


def test_the_documented_table_of_versions_is_the_file_that_tools_read() -> None:
    page = (CHECKOUT / "docs" / "deploy.md").read_text()
    section = page.partition("\n## Versions\n")[2].partition("\n## ")[0]
    documented = {
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if "|" in line
    }
    table = versions.table()
    triton, kubernetes = table["triton"], table["parts"]["kubernetes"]
    wanted = {(triton["name"], f"{triton['version']}, CUDA {triton['cuda']}", triton["source"], triton["date"])}
    wanted |= {
        (f"driver for CUDA {major}", f"{row['driver']} or newer", row["source"], row["date"])
        for major, row in table["cuda_needs_driver"].items()
    }
    wanted |= {
        (f"driver on {gpu}", row["driver"], row["source"], row["date"]) for gpu, row in table["gpu_drivers"].items()
    }
    wanted |= {
        (row["name"], row["version"], row["source"], row["date"])
        for row in (table["node_image_family"], *table["parts"].values())
        if row is not kubernetes
    }
    span = f"{kubernetes['version']} ({kubernetes['oldest']} to {kubernetes['newest']})"
    wanted.add((kubernetes["name"], span, kubernetes["source"], kubernetes["date"]))
    assert documented - {("what", "version", "source", "read"), ("---",) * 4} == wanted


class Asked:
    """Stands in for kubectl, for one question: the last event of a pod."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.arguments: list[tuple[str, ...]] = []

    def ask(self, *arguments: str) -> str:
        self.arguments.append(arguments)
        return self.message


@pytest.mark.parametrize(
    ("ready", "message", "said"),
    [
        ("False", "Startup probe failed: Triton does not serve\nwhat it should.\n", ["does not serve what it should."]),
        ("False", "Startup probe failed: Triton does not answer yet.\n", []),
        ("False", "Readiness probe failed: HTTP probe failed with statuscode: 400", []),
        ("False", "", []),
        ("True", "Startup probe failed: of a while ago", []),
    ],
)
def test_what_the_startup_probe_of_triton_refuses_is_said(ready: str, message: str, said: list[str]) -> None:
    def owned(kind: str, name: str, by: str, **more: Any) -> Object:
        metadata = {"name": name, "uid": name, "annotations": {deployments.REVISION: "7"}, "generation": 1}
        return {"kind": kind, "metadata": {**metadata, "ownerReferences": [{"uid": by, "controller": True}]}, **more}

    items = [
        owned("Deployment", "triton", "", spec={"replicas": 1}, status={"observedGeneration": 1}),
        owned("ReplicaSet", "triton-a", "triton"),
        owned("Pod", "triton-a-b", "triton-a", status={"conditions": [{"type": "Ready", "status": ready}]}),
    ]
    kubectl = Asked(message)
    found = rollout.refusals(kubectl, deployments.snapshot({"items": items}), "triton")  # type: ignore[arg-type]
    assert [line.partition(": ")[0] for line in found] == ["pod triton-a-b"] * len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))
    assert all("involvedObject.name=triton-a-b" in call[2] for call in kubectl.arguments)
