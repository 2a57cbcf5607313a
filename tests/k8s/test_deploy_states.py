"""Deploying several times, going back, waiting, deleting: `k8s.tools.deploy` against the stand-in for an API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from k8s.tools.deploy import kubectl as kubectl_module
from k8s.tools.deploy import rollout
from k8s.tools.deploy.__main__ import main
from tests.k8s.rendering import MANIFESTS, kubectl
from tests.k8s.stand_in import DEFINITIONS, StandIn, kustomize
from tests.k8s.test_deploy import CLIENT_ID, SEED, WORKLOAD

ONCE = {"TRITON_CLIENT_ID": CLIENT_ID, "FRONTEND_CLIENT_ID": CLIENT_ID, "INGRESS_HOST": "api.tosia.org"}
DEPLOYMENT = {**SEED, **ONCE, "ALLOW_UNVALIDATED": "1"}
RELEASE = "as://tosiastore/calls/releases/{}-0123456789ab"


class Deployed:
    """The stand-in, and what a run of a verb against it said."""

    def __init__(self, server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
        self.server, self._capsys = server, capsys
        self.out = self.err = ""

    def run(self, verb: str, environ: Mapping[str, str] | None = None) -> int:
        self._capsys.readouterr()
        self.server.calls.clear()
        code = main([verb], environ or {})
        self.out, self.err = self._capsys.readouterr()
        return code

    def all(self, build: int, **environ: str) -> int:
        return self.run("all", {**DEPLOYMENT, "BUILD_NUMBER": str(build), **environ})

    def image(self, name: str = "frontend") -> str:
        deployment = self.server.objects[f"Deployment/tosia/{name}"]
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]

    def release(self) -> str:
        (name,) = {
            variable["valueFrom"]["configMapKeyRef"]["name"]
            for variable in self.server.objects["Deployment/tosia/triton"]["spec"]["template"]["spec"]["containers"][0][
                "env"
            ]
            if "configMapKeyRef" in variable.get("valueFrom", {})
        }
        return str(self.server.objects[f"ConfigMap/tosia/{name}"]["data"]["repository"])

    def words(self, verb: str) -> list[list[str]]:
        return [call for call in self.server.calls if verb in call]

    def is_bad(self, build: int) -> None:
        self.server.bad.append(f"tosia.azurecr.io/frontend:{build}")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture
def deployed(rendered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Deployed:
    server, real = StandIn(), kubectl()

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if command[0] == real and "kustomize" not in command:
            code, out, err = server.answer(command[1:], options.get("input") or "")
        else:
            code, out = kustomize(command, real, rendered, str(MANIFESTS))
            err = ""
        captured = options.get("capture_output") or options.get("stdout") == subprocess.PIPE
        if not captured:
            print(out, end="")
        return subprocess.CompletedProcess(command, code, out if captured else None, err)

    monkeypatch.setenv("KUBECTL", real)
    monkeypatch.setattr(kubectl_module, "subprocess", SimpleNamespace(run=run, PIPE=subprocess.PIPE))
    for name in ("LOOK_S", "STUCK_S", "ZERO_S"):
        monkeypatch.setattr(rollout, name, 0.0)
    return Deployed(server, capsys)


def test_rollback_goes_to_older_and_older_good_builds_and_never_to_the_bad_one(deployed: Deployed) -> None:
    for build in (50, 51, 52):
        assert deployed.all(build) == 0, deployed.err
    assert deployed.run("rollback") == 0
    assert deployed.image() == "51"
    assert deployed.run("rollback") == 0
    assert deployed.image() == "51"
    assert "undone already" in deployed.err
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 0
    assert deployed.image() == "50"
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 1
    assert deployed.image() == "50"
    (line,) = [line for line in deployed.err.splitlines() if "nothing older" in line]
    assert "fully rolled out" in line
    assert deployed.words("undo") == []


def test_the_build_that_was_left_is_not_gone_back_to_after_the_next_one(deployed: Deployed) -> None:
    """50 and 51 serve, 52 gives wrong answers, 53 does too: 51 again, then 50."""
    for build in (50, 51, 52):
        assert deployed.all(build) == 0
    assert deployed.run("rollback") == 0
    assert deployed.all(53) == 0
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 0
    assert deployed.image() == "51"
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 0
    assert deployed.image() == "50"


def test_a_failed_repair_is_rolled_back_to_the_build_that_serves(deployed: Deployed) -> None:
    deployed.is_bad(45)
    deployed.is_bad(46)
    assert deployed.all(44) == 0
    assert deployed.all(45) == 1
    assert deployed.all(46) == 1
    assert deployed.run("rollback") == 0
    assert deployed.image() == "44"


def test_a_release_and_a_build_that_failed_together_go_back_together(deployed: Deployed) -> None:
    """Build 45 brings a release with which no front end gets ready; the repair changes the front end alone."""
    first, second = RELEASE.format(8), RELEASE.format(9)
    deployed.is_bad(45)
    deployed.is_bad(46)
    assert deployed.all(44, RELEASE=first) == 0
    assert deployed.all(45, RELEASE=second) == 1
    assert deployed.all(46, RELEASE=second) == 1
    assert deployed.run("rollback") == 0
    assert (deployed.image(), deployed.release()) == ("44", first)


def test_applying_the_same_again_keeps_what_rollback_undoes(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    assert deployed.all(51) == 0
    objects = json.dumps(deployed.server.objects, sort_keys=True)
    assert deployed.all(51) == 0
    assert json.dumps(deployed.server.objects, sort_keys=True) == objects, "a second `all` changes nothing"
    assert deployed.run("rollback") == 0
    assert deployed.image() == "50"


def test_a_build_is_good_without_anybody_waiting_for_it(deployed: Deployed) -> None:
    """`apply` alone: the next one sees in the cluster that it was rolled out."""
    assert deployed.all(50) == 0
    for build in (51, 52):
        assert deployed.run("apply", {**DEPLOYMENT, "BUILD_NUMBER": str(build)}) == 0
    assert deployed.run("rollback") == 0
    assert deployed.image() == "51"


def test_a_build_that_is_deployed_again_is_the_newest(deployed: Deployed) -> None:
    for build in (50, 51, 50):
        assert deployed.all(build) == 0
    assert deployed.run("rollback") == 0
    assert deployed.image() == "51"


def test_a_model_alone_goes_back_alone(deployed: Deployed) -> None:
    assert deployed.all(50, RELEASE=RELEASE.format(8)) == 0
    assert deployed.all(50, RELEASE=RELEASE.format(9)) == 0
    assert deployed.run("rollback") == 0
    assert deployed.release() == RELEASE.format(8)
    assert [call[3] for call in deployed.words("undo")] == ["undo"]
    assert deployed.words("undo")[0][4] == "deployment/triton"


def test_of_two_one_may_have_nothing_to_go_back_to(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    assert deployed.all(51) == 0
    assert deployed.run("rollback", {"WHAT": "triton frontend"}) == 1
    assert "triton stays: nothing older" in deployed.err
    assert deployed.image() == "50"


def test_a_revision_that_was_never_seen_good_is_taken_by_its_number(deployed: Deployed) -> None:
    deployed.is_bad(50)
    assert deployed.all(50) == 1
    assert deployed.all(51) == 0
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 1
    assert "1 (tosia.azurecr.io/frontend:50)" in deployed.err
    deployed.server.bad.clear()
    assert deployed.run("rollback", {"WHAT": "frontend", "TO": "1"}) == 0
    assert deployed.image() == "50"
    for environ in ({"TO": "1"}, {"WHAT": "frontend", "TO": "one"}, {"WHAT": "frontend triton", "TO": "1"}):
        assert deployed.run("rollback", environ) == 2


def test_builds_that_were_good_while_triton_waited_for_a_gpu_are_gone_back_to(deployed: Deployed) -> None:
    """Release 9 never came to serve, and release 8 did all the time."""
    assert deployed.all(1, RELEASE=RELEASE.format(8)) == 0
    deployed.server.unschedulable.append("triton")
    for build in (1, 2, 3, 4):
        assert deployed.all(build, RELEASE=RELEASE.format(9)) == 1
    deployed.is_bad(5)
    assert deployed.all(5, RELEASE=RELEASE.format(9)) == 1
    deployed.run("rollback")
    assert (deployed.image(), deployed.release()) == ("4", RELEASE.format(8))


def test_what_a_rollback_has_left_stays_left_after_a_change_by_hand(deployed: Deployed) -> None:
    for build in (50, 51, 52):
        assert deployed.all(build) == 0
    assert deployed.run("rollback") == 0
    assert deployed.image() == "51"
    deployed.server.answer(["set", "env", "deployment/frontend", "DEBUG=1", "--namespace=tosia"])
    assert deployed.run("wait") == 0
    assert deployed.run("rollback", {"WHAT": "frontend"}) == 0
    assert deployed.image() == "51", "52 was left on purpose"
    assert deployed.all(52) == 0, "until somebody deploys it again"
    assert deployed.all(53) == 0
    assert deployed.run("rollback") == 0
    assert deployed.image() == "52"


def test_a_rollback_that_is_not_rolled_out_is_not_called_done(deployed: Deployed) -> None:
    for build in (50, 51, 52):
        assert deployed.all(build) == 0
    deployed.is_bad(51)
    for _ in range(2):
        assert deployed.run("rollback") == 1
    assert "was not rolled out" in deployed.err


def test_a_revision_that_is_not_there_is_named(deployed: Deployed) -> None:
    for build in (50, 51):
        assert deployed.all(build) == 0
    assert deployed.run("rollback", {"WHAT": "frontend", "TO": "99"}) == 1
    assert "it has no revision 99; there are 1 (" in deployed.err
    assert deployed.image() == "51"


def test_where_nothing_serves_nobody_says_that_the_pods_of_before_do(deployed: Deployed) -> None:
    deployed.server.unschedulable.append("triton")
    assert deployed.all(50) == 1
    assert "none of its pods serves" in deployed.err


def test_the_host_that_was_given_last_is_kept(deployed: Deployed) -> None:
    """Nobody prunes the route of the gateway, which has the host of before."""
    again = {name: value for name, value in DEPLOYMENT.items() if name != "INGRESS_HOST"} | {"BUILD_NUMBER": "50"}

    def host() -> str:
        return str(deployed.server.objects["Ingress/tosia/frontend"]["spec"]["rules"][0]["host"])

    assert deployed.all(50) == 0
    assert deployed.all(50, COMPONENTS="nginx", INGRESS_HOST="new.tosia.org") == 0
    assert deployed.run("all", {**again, "COMPONENTS": "nginx"}) == 0
    assert host() == "new.tosia.org"


def test_keys_of_the_shell_that_are_not_sent_are_named(deployed: Deployed) -> None:
    assert deployed.run("all", {**DEPLOYMENT, **WORKLOAD, **ONCE, "TOSIA_IDENTITY": "workload"}) == 0
    assert "BLOB_CONNECTION, COSMO_KEY of this shell are not sent" in deployed.err
    assert not any(value in deployed.err for value in (SEED["BLOB_CONNECTION"], SEED["COSMO_KEY"]))


def test_a_pruned_replica_set_is_skipped(deployed: Deployed) -> None:
    for build in (50, 51, 52):
        assert deployed.all(build) == 0
    (pruned,) = [
        key
        for key, item in deployed.server.objects.items()
        if item["kind"] == "ReplicaSet"
        and item["spec"]["template"]["spec"]["containers"][0]["image"].endswith("frontend:51")
    ]
    deployed.server.objects.pop(pruned)
    assert deployed.run("rollback") == 0
    assert deployed.image() == "50"


def keys(deployed: Deployed) -> set[str]:
    return set(deployed.server.objects["Secret/tosia/tosia"]["data"])


def test_from_keys_to_an_identity_and_back(deployed: Deployed) -> None:
    identity = {**WORKLOAD, **ONCE, "ALLOW_UNVALIDATED": "1"}
    assert deployed.all(50) == 0
    was = deployed.server.objects["Secret/tosia/tosia"]["data"]
    assert deployed.run("all", {**identity, "PRUNE_KEYS": "1"}) == 1
    assert "before front ends with an identity" in deployed.err
    assert deployed.words("apply") == []
    assert deployed.run("all", identity) == 0
    assert deployed.server.objects["Secret/tosia/tosia"]["data"] == was
    assert "still holds BLOB_CONNECTION, COSMO_KEY" in deployed.err
    assert not any(value in deployed.err + deployed.out for value in was.values())
    assert deployed.run("rollback") == 0
    assert deployed.run("all", identity) == 0
    assert deployed.run("secrets", {**identity, "PRUNE_KEYS": "yes"}) == 2
    assert deployed.run("secrets", {**identity, "PRUNE_KEYS": "1"}) == 0
    assert keys(deployed) == {"API_KEY"}
    assert deployed.run("rollback") == 1
    assert "the Secret lacks BLOB_CONNECTION, COSMO_KEY" in deployed.err
    assert deployed.words("undo") == []


def test_a_config_map_that_somebody_deleted_is_named_before_anything_is_undone(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    assert deployed.all(51, COSMO_DATABASE="other") == 0
    for key in [key for key in deployed.server.objects if key.startswith("ConfigMap/tosia/frontend-")]:
        deployed.server.objects.pop(key)
    assert deployed.run("rollback") == 1
    assert "is gone" in deployed.err
    assert deployed.words("undo") == []


def test_status_tells_what_is_wanted_from_what_runs(deployed: Deployed) -> None:
    assert deployed.all(50, RELEASE=RELEASE.format(8)) == 0
    deployed.is_bad(51)
    deployed.server.unschedulable.append("triton")
    assert deployed.all(51, RELEASE=RELEASE.format(9)) == 1
    assert deployed.run("status") == 0
    (wanted,) = [line for line in deployed.out.splitlines() if line.startswith("frontend wanted:")]
    assert "frontend:51" in wanted
    (running,) = [line for line in deployed.out.splitlines() if line.startswith("frontend running:")]
    assert "frontend:50" in running
    assert "settings settings-" in running
    assert "1 pod ready" in running
    (running,) = [line for line in deployed.out.splitlines() if line.startswith("triton running:")]
    assert RELEASE.format(8) in running
    (wanted,) = [line for line in deployed.out.splitlines() if line.startswith("triton wanted:")]
    assert RELEASE.format(9) in wanted
    assert "ImagePullBackOff" in deployed.out
    assert "Insufficient nvidia.com/gpu" in deployed.out
    deployed.server.answer(["scale", "deployment/frontend", "--replicas=0", "--namespace=tosia"])
    assert deployed.run("status") == 0
    assert "frontend running: 0 pods" in deployed.out
    deployed.server.objects.clear()
    assert deployed.run("status") == 0
    assert "frontend: not deployed" in deployed.out


def test_wait_names_the_pod_and_the_reason_early_and_when_it_gives_up(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    deployed.server.unschedulable.append("frontend")
    assert deployed.all(51) == 1
    last = deployed.err.splitlines()[-1]
    assert "frontend was not rolled out (pod frontend-" in last
    assert "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu." in last
    assert "make -C k8s rollback" in last


def test_0_of_0_pods_are_not_rolled_out(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    for name in ("triton", "frontend"):
        deployed.server.answer(["scale", f"deployment/{name}", "--replicas=0", "--namespace=tosia"])
        assert deployed.run("wait") == 1
        assert f"{name} has 0 pods" in deployed.err
        deployed.server.answer(["scale", f"deployment/{name}", "--replicas=1", "--namespace=tosia"])
    assert deployed.run("wait") == 0
    assert deployed.all(51, COMPONENTS="scale-to-zero") == 0
    deployed.server.answer(["scale", "deployment/triton", "--replicas=0", "--namespace=tosia"])
    assert deployed.run("wait") == 0
    assert "triton sleeps" in deployed.err
    deployed.server.objects.clear()
    assert deployed.run("wait") == 1
    assert "triton is not deployed" in deployed.err


def test_without_definitions_nothing_is_changed_and_the_way_on_is_named(deployed: Deployed) -> None:
    for kind, said in (("NodePool", "NODEPOOL=none"), ("ScaledObject", "--enable-keda"), ("PodMonitor", "prometheus")):
        deployed.server.definitions = [name for name in DEFINITIONS.values() if name != DEFINITIONS[kind]]
        assert deployed.all(50) == 1
        assert said in deployed.err
        assert len([line for line in deployed.err.splitlines() if "lacks" in line]) == 1
        assert deployed.server.objects == {}
    deployed.server.definitions = [name for name in DEFINITIONS.values() if "karpenter" not in name]
    assert deployed.run("nodepool") == 1
    assert "docs/deploy.md" in deployed.err
    assert deployed.all(50, NODEPOOL="none") == 0


def test_identities_and_the_host_are_not_reset_where_the_cluster_has_forgotten_them(deployed: Deployed) -> None:
    assert deployed.run("all", SEED) == 2
    assert deployed.server.objects == {}
    for name in ("TRITON_CLIENT_ID", "INGRESS_HOST"):
        assert name in deployed.err
    assert "FRONTEND_CLIENT_ID" not in deployed.err
    assert deployed.run("all", WORKLOAD) == 2
    assert "FRONTEND_CLIENT_ID" in deployed.err
    assert deployed.all(50) == 0
    assert deployed.run("all", SEED) == 0, "the cluster remembers them"
    assert deployed.run("delete", {"SURE": "tosia"}) == 0
    assert deployed.run("all", SEED) == 2


def test_delete_asks_and_leaves_nothing_of_ours(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    for environ in ({}, {"SURE": "yes"}):
        assert deployed.run("delete", environ) == 2
        assert "SURE=tosia" in deployed.err
        assert deployed.words("delete") == []
    assert deployed.run("delete", {"SURE": "tosia"}) == 0
    assert deployed.server.objects == {}
    order = [call[call.index("delete") + 1] for call in deployed.words("delete")]
    assert order == [
        "scaledobject",
        "triggerauthentication",
        "namespace",
        "priorityclass",
        "nodepool",
        "aksnodeclass",
        "daemonset",
        "namespace",
    ]
    assert deployed.run("delete", {"SURE": "tosia"}) == 0, "safe to repeat"
    deployed.server.definitions.clear()
    assert deployed.run("delete", {"SURE": "tosia"}) == 0


def test_delete_leaves_a_plugin_namespace_in_which_others_run(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    metadata = {"name": "somebody", "namespace": "gpu-resources"}
    deployed.server.objects["DaemonSet/gpu-resources/somebody"] = {"kind": "DaemonSet", "metadata": metadata}
    assert deployed.run("delete", {"SURE": "tosia"}) == 0
    assert "somebody" in deployed.err
    assert "DaemonSet/gpu-resources/somebody" in deployed.server.objects
    assert "DaemonSet/gpu-resources/nvidia-device-plugin" not in deployed.server.objects


def test_what_kubectl_set_env_has_set_is_said_by_each_verb_that_looks(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    assert "not the checkout's" not in deployed.err
    deployed.server.answer(["set", "env", "deployment/frontend", "DEBUG=1", "--namespace=tosia"])
    for verb, code in (("all", 0), ("status", 0), ("diff", 0), ("doctor", 1)):
        assert deployed.run(verb, {**DEPLOYMENT, "BUILD_NUMBER": "50"}) == code
        (line,) = [line for line in (deployed.out + deployed.err).splitlines() if "not the checkout's" in line]
        assert "frontend has fields" in line
        assert "env[DEBUG] (set by kubectl-set)" in line
    variables = deployed.server.objects["Deployment/tosia/frontend"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "DEBUG" in {variable["name"] for variable in variables}


def test_diff_tells_differs_from_failed(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployed.all(50) == 0
    assert deployed.run("diff", {**DEPLOYMENT, "BUILD_NUMBER": "50"}) == 0
    assert deployed.err.splitlines()[-1] == "deploy: no difference."
    assert deployed.run("diff", {**DEPLOYMENT, "BUILD_NUMBER": "51"}) == 1
    assert deployed.err.splitlines()[-1] == "deploy: differs."
    monkeypatch.setattr(deployed.server, "_diff", lambda *_: (2, ""))
    assert deployed.run("diff", {**DEPLOYMENT, "BUILD_NUMBER": "51"}) == 2
    assert deployed.err.splitlines()[-1].startswith("deploy: kubectl diff failed")


def test_a_job_takes_its_network_policy_and_config_map_with_it(deployed: Deployed) -> None:
    assert deployed.all(50) == 0
    was = set(deployed.server.objects)
    assert deployed.run("perf") == 0
    assert set(deployed.server.objects) - was == {"Job/tosia/perf-analyzer"}
    assert "log of job/perf-analyzer" in deployed.out


def test_a_job_that_finds_no_node_says_so_and_is_deleted_at_its_end(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from k8s.tools.deploy import jobs

    pod = {
        "kind": "Pod",
        "metadata": {"name": "perf-analyzer-x", "namespace": "tosia", "labels": {"job-name": "perf-analyzer"}},
        "status": {
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/2 nodes are available: 2 Insufficient cpu.",
                }
            ]
        },
    }
    put = deployed.server._put

    def pending(item: dict[str, Any], namespace: str) -> None:
        put({**item, "status": {}} if item["kind"] == "Job" else item, namespace)
        deployed.server.objects["Pod/tosia/perf-analyzer-x"] = pod

    monkeypatch.setattr(deployed.server, "_put", pending)
    looks = iter([0.0, 0.0, 0.0, 0.0, 0.0, 1e6, 1e6, 1e6])
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(looks, 1e6))
    assert deployed.run("perf") == 1
    assert "pod perf-analyzer-x: Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. (still" in deployed.err
    left = {key.split("/")[0] for key in deployed.server.objects}
    assert not {"Job", "NetworkPolicy", "ConfigMap"} & left


def test_a_release_without_the_configuration_of_gpus_is_refused(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {RELEASE.format(7): ("other",), RELEASE.format(8): ("cuda", "other")}
    for module in ("preflight", "rollback", "__main__"):
        monkeypatch.setattr(f"k8s.tools.deploy.{module}.known_configs", lambda path, _: known.get(path))
    assert deployed.all(50, RELEASE=RELEASE.format(7)) == 1
    assert "no configs/cuda.pbtxt" in deployed.err
    assert deployed.server.objects == {}
    assert deployed.all(50, RELEASE=RELEASE.format(8)) == 0
    assert deployed.all(50, RELEASE=RELEASE.format(9)) == 0, "not on this machine: the pod's start looks"
    # What an older tool has deployed: found out later, it is not gone back to.
    known[RELEASE.format(8)] = ()
    data = deployed.server.applied["ConfigMap/tosia/last-deployment"]["data"]
    assert json.loads(data["configs"])[RELEASE.format(8)] == ["cuda", "other"]
    data["configs"] = json.dumps({RELEASE.format(8): []})
    deployed.server._merge("ConfigMap/tosia/last-deployment")
    assert deployed.run("rollback", {"WHAT": "triton"}) == 1
    assert "no configs/cuda.pbtxt" in deployed.err
    assert deployed.words("undo") == []
