"""`make test-cluster` without a server: its assertions against answers in the API's documented form, good and bad, and
its cases against the stand-in, where they must pass, and fail where the deployed state is not what the verbs say.
"""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from k8s.tools.cluster_test import __main__ as program
from k8s.tools.cluster_test import assertions, cases
from k8s.tools.cluster_test.server import PATIENT_LOOKS, Kubelet, Said, Server, folders, nodes
from k8s.tools.deploy import rollback
from k8s.tools.deploy.deployments import Snapshot
from k8s.tools.deploy.unready import is_ready, why
from k8s.tools.validate.objects import folders as validated
from laptop.service import CHECKOUT
from tests.k8s.rendering import MANIFESTS
from tests.k8s.stand_in import StandIn
from tests.k8s.test_deploy_states import Deployed, deployed, rendered

__all__ = ["deployed", "rendered"]  # fixtures
Object = dict[str, Any]


def deployment(*, image: str = "frontend:50", replicas: int = 2, updated: int = 2, available: int = 2) -> Object:
    template = {"spec": {"containers": [{"name": "frontend", "image": image}]}}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "frontend",
            "uid": "d",
            "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": "4"},
        },
        "spec": {"replicas": 2, "template": template},
        "status": {
            "observedGeneration": 3,
            "replicas": replicas,
            "updatedReplicas": updated,
            "availableReplicas": available,
        },
    }


def replica_set(name: str, number: str) -> Object:
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "annotations": {"deployment.kubernetes.io/revision": number},
            "ownerReferences": [{"kind": "Deployment", "name": "frontend", "uid": "d", "controller": True}],
        },
        "spec": {},
    }


def listed(*items: Object) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def pod(node: str | None, message: str = "") -> Object:
    scheduled: Object = {"type": "PodScheduled", "status": "True" if node else "False", "message": message}
    return {
        "kind": "Pod",
        "metadata": {"name": "triton-0"},
        "spec": {"nodeName": node} if node else {},
        "status": {"conditions": [scheduled]},
    }


def job(cpu: str) -> Object:
    containers = [{"name": "perf-analyzer", "resources": {"requests": {"cpu": cpu}}}]
    return {
        "kind": "Job",
        "metadata": {"name": "perf-analyzer"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def config_map(version: str) -> Object:
    return {"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": version}, "data": {}}


NODES = listed(
    {"kind": "Node", "metadata": {"name": "n1", "labels": {"karpenter.sh/capacity-type": "on-demand"}}},
    {"kind": "Node", "metadata": {"name": "n2", "labels": {"karpenter.sh/capacity-type": "spot"}}},
)
WARNING = 'Warning: would violate PodSecurity "restricted:latest": privileged (container "c" must not set it)'
ON_DEMAND = ("karpenter.sh/capacity-type", ("on-demand",))
JUDGED: list[tuple[str, Callable[[Any], list[str]], Any, Any]] = [
    ("deploys", lambda one: assertions.deploys(one, "50"), deployment(), deployment(image="frontend:52")),
    ("is_complete", assertions.is_complete, deployment(), deployment(replicas=3, updated=1, available=2)),
    (
        "is_complete: 0 of 0",
        assertions.is_complete,
        deployment(),
        {**deployment(replicas=0, updated=0, available=0), "spec": {"replicas": 0}},
    ),
    (
        "is_complete: of an older template",
        assertions.is_complete,
        deployment(),
        {**deployment(), "metadata": {"name": "frontend", "generation": 4}},
    ),
    (
        "is_unchanged",
        lambda one: assertions.is_unchanged(listed(config_map("1"), deployment()), one),
        listed(config_map("1"), {**deployment(available=1)}),  # the controllers' part is not ours
        listed(config_map("2"), deployment()),
    ),
    (
        "is_unchanged: new and gone",
        lambda one: assertions.is_unchanged(listed(config_map("1")), one),
        listed(config_map("1")),
        listed(deployment()),
    ),
    (
        "holds_the_same",
        lambda one: assertions.holds_the_same(listed(config_map("1")), one),
        listed(config_map("2")),
        listed(config_map("1"), deployment()),
    ),
    (
        "holds_the_same: gone",
        lambda one: assertions.holds_the_same(listed(config_map("1"), deployment()), one),
        listed(deployment(), config_map("1")),
        listed(deployment()),
    ),
    (
        "holds_keys",
        lambda one: assertions.holds_keys(one, ("API_KEY", "COSMO_KEY")),
        {"kind": "Secret", "data": {"API_KEY": "aw==", "COSMO_KEY": "aw=="}},
        {"kind": "Secret", "data": {"API_KEY": "aw=="}},
    ),
    (
        "holds_keys: too many",
        lambda one: assertions.holds_keys(one, ("API_KEY",)),
        {"kind": "Secret", "data": {"API_KEY": "aw=="}},
        {"kind": "Secret", "data": {"API_KEY": "aw==", "COSMO_KEY": "aw=="}},
    ),
    ("is_empty", assertions.is_empty, listed(), listed(config_map("1"))),
    ("is_empty: one object", assertions.is_empty, {}, config_map("1")),
    ("runs_on", lambda one: assertions.runs_on(one, NODES, *ON_DEMAND), listed(pod("n1")), listed(pod("n2"))),
    ("runs_on: nowhere", lambda one: assertions.runs_on(one, NODES, *ON_DEMAND), listed(pod("n1")), listed(pod(None))),
    (
        "is_unschedulable",
        assertions.is_unschedulable,
        listed(pod(None, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")),
        listed(pod("n1")),
    ),
    ("fits_beside", lambda one: assertions.fits_beside(one, cores=3.86, taken=2), job("1500m"), job("4")),
    (
        "one_revision_each",
        lambda one: assertions.one_revision_each(one, "frontend"),
        listed(deployment(), replica_set("a", "3"), replica_set("b", "4")),
        listed(deployment(), replica_set("a", "4"), replica_set("b", "4")),
    ),
    (
        "one_revision_each: none is the newest",
        lambda one: assertions.one_revision_each(one, "frontend"),
        listed(deployment(), replica_set("b", "4")),
        listed(deployment(), replica_set("b", "3")),
    ),
    ("says", lambda one: assertions.says(one, r"0 pods$"), "a\nfrontend has 0 pods", "frontend has 10 pods ready"),
    ("ended_with", lambda one: assertions.ended_with(one, (1, 2)), 2, 0),
    ("is_admitted", assertions.is_admitted, "deployment.apps/frontend serverside-applied (server dry run)", WARNING),
]


@pytest.mark.parametrize(("name", "judge", "good", "bad"), JUDGED, ids=[name for name, *_ in JUDGED])
def test_each_assertion_passes_on_a_good_answer_and_fails_on_a_bad_one(
    name: str, judge: Callable[[Any], list[str]], good: Any, bad: Any
) -> None:
    assert judge(copy.deepcopy(good)) == []
    assert judge(copy.deepcopy(bad)) != []


def test_every_assertion_is_among_them() -> None:
    known = {name.partition(":")[0] for name, *_ in JUDGED}
    own = {
        name
        for name, value in vars(assertions).items()
        if callable(value) and getattr(value, "__module__", "") == assertions.__name__ and not name.startswith("_")
    }
    assert own == known


class OnStandIn(Server):
    """The verbs in this process, and kubectl answered by the stand-in."""

    def __init__(self, own: Deployed) -> None:
        super().__init__("kubectl", "")
        self.own, self.makes_pods_ready = own, True

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Said:
        if arguments[0] == "kustomize":
            return Said(0, "", "")
        self.own.server.bad = [f"tosia.azurecr.io/frontend:{tag}" for tag in self.bad]
        code, out, err = self.own.server.answer(list(arguments), stdin or "")
        return Said(code, out + err, out)

    def verb(self, verb: str, environ: Mapping[str, str], *, until: str = "") -> Said:
        self.own.server.bad = [f"tosia.azurecr.io/frontend:{tag}" for tag in self.bad]
        code = self.own.run(verb, environ)
        return Said(2 if code else 0, self.own.out + self.own.err, self.own.out)  # as make does


def ran(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[int, list[str]]:
    """All cases on the stand-in: the exit code, and a line for each. It has no nodes, and renders nothing itself."""
    lines: list[str] = []
    own_print = print

    def kept(*words: Any, **options: Any) -> None:
        lines.extend(str(word) for word in words)
        own_print(*words, **options)

    monkeypatch.setattr(cases, "folders", list)
    monkeypatch.setattr(program, "_bring_nodes", lambda _: None)
    monkeypatch.setattr(program, "print", kept, raising=False)
    return program.run(OnStandIn(deployed), folder), lines


@pytest.mark.system
def test_the_cases_pass_on_the_stand_in_and_say_what_it_can_not_show(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, lines = ran(deployed, monkeypatch, tmp_path)
    assert code == 3, "\n".join(lines)
    missed = [line for line in lines if line.startswith("not run")]
    assert len(missed) == 3
    assert all(": needs " in line for line in missed)
    assert len([line for line in lines if line.startswith("passed")]) == len(cases.CASES) - 2
    assert lines[-1] == "test-cluster: 17 cases, 0 failed, 3 not run."
    assert {key.split("/")[0] for key in deployed.server.objects} == set()


def test_going_back_to_the_second_highest_number_is_found(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `kubectl rollout undo` does without a number."""

    def second_highest(moment: Snapshot, _: object, name: str, **__: object) -> Object:
        return moment.replica_sets(name)[-2]

    monkeypatch.setattr(rollback, "_target", second_highest)
    code, lines = ran(deployed, monkeypatch, tmp_path)
    assert code == 1
    failed = [line for line in lines if line.startswith("failed")]
    assert {"failed: rollback: 50, 51, 52", "failed: rollback and status: 44, 45, 46"} <= set(failed)


def test_it_starts_on_no_server_that_it_was_not_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main({}) == 2
    assert capsys.readouterr().err.count("\n") == 1
    taken = tmp_path / "kubectl"
    taken.write_text('#!/bin/sh\ncase "$*" in *namespace\\ tosia*) echo "{\\"kind\\": \\"Namespace\\"}";; esac\n')
    taken.chmod(0o755)
    assert program.main({"KUBECONFIG": "file", "KUBECTL": str(taken), "CONTEXT": "x"}) == 2
    assert "TAKE_NAMESPACE=1" in capsys.readouterr().err


def test_make_says_in_one_line_that_it_needs_a_server() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    run = subprocess.run(
        ["make", "-C", str(CHECKOUT), "test-cluster"], env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "KUBECONFIG=" in run.stderr
    for name in (".ci/run", "azure-pipelines.yml"):
        assert "test-cluster" not in (CHECKOUT / name).read_text()


def test_it_tries_every_folder_that_is_validated() -> None:
    assert folders() == validated(MANIFESTS)


def test_what_a_kubelet_would_write() -> None:
    server = StandIn()
    for one in nodes():
        server.objects[f"Node//{one['metadata']['name']}"] = one
    for name, tag, place, policy in (
        ("good", "50", "tosia-test-cpu", "Always"),
        ("bad", "45", "tosia-test-cpu", "Always"),
        ("job", "26.11-py3-sdk", "tosia-test-cpu", "Never"),
        ("elsewhere", "50", "node-of-others", "Always"),
        ("unseen", "50", "", "Always"),
    ):
        spec = {"nodeName": place, "restartPolicy": policy, "containers": [{"name": "c", "image": f"frontend:{tag}"}]}
        server.objects[f"Pod/tosia/{name}"] = {
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "tosia"},
            "spec": spec,
        }

    class OnObjects(Server):
        def kubectl(self, *arguments: str, stdin: str | None = None) -> Said:
            code, out, err = server.answer(list(arguments), stdin or "")
            return Said(code, out + err, out)

    own = OnObjects("kubectl", "")
    own.bad.add("45")
    kubelet = Kubelet(own)
    kubelet.step()
    states = {key.rpartition("/")[2]: item.get("status", {}) for key, item in server.objects.items() if "Pod/" in key}
    assert is_ready({"status": states["good"]})
    assert not is_ready({"status": states["bad"]})
    assert "ImagePullBackOff" in why({"status": states["bad"]})
    assert states["job"]["phase"] == "Succeeded"
    assert states["elsewhere"] == {}
    assert states["unseen"] == {}, "a scheduler may still come"
    kubelet._looks["unseen"] = PATIENT_LOOKS
    kubelet.step()
    assert is_ready(server.objects["Pod/tosia/unseen"])
    node = server.objects["Node//tosia-test-on-demand"]
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert node["status"]["conditions"][0]["status"] == "True"


def test_the_case_that_runs_before_there_are_definitions(deployed: Deployed) -> None:
    deployed.server.definitions.clear()
    assert cases.nodepool_without_definitions(OnStandIn(deployed)) == []
    deployed.server.objects["Namespace//tosia"] = {"kind": "Namespace", "metadata": {"name": "tosia"}}
    assert cases.nodepool_without_definitions(OnStandIn(deployed)) == ["Namespace/tosia is still there"]
