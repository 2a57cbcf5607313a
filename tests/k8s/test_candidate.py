"""A candidate release beside the serving one: `k8s.tools.deploy` against the stand-in for an API server, and what is
rendered of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.tools.deploy.candidate import MANAGER, PRIORITY, URL
from k8s.tools.deploy.deployments import CANDIDATE, CANDIDATE_URL
from k8s.tools.validate.objects import folders, render
from tests.k8s.rendering import MANIFESTS, bundle, kubectl, one
from tests.k8s.scheduling import Node, best
from tests.k8s.test_deploy import CLIENT_ID, SEED
from tests.k8s.test_deploy_states import DEPLOYMENT, RELEASE, Deployed, deployed, rendered

__all__ = ["deployed", "rendered"]  # fixtures

SERVING, OTHER, THIRD = (RELEASE.format(number) for number in (8, 9, 10))
BUILD = {**DEPLOYMENT, "BUILD_NUMBER": "50", "RELEASE": SERVING}
CPU = {"OVERLAY": "cpu", "API_KEY": "k", "BUILD_NUMBER": "1"}
STOP = {"SURE": "candidate"}
HERE, FRONT = f"Deployment/tosia/{CANDIDATE}", "Deployment/tosia/frontend"


def serve(deployed: Deployed) -> None:
    assert deployed.run("all", BUILD) == 0, deployed.err


def start(deployed: Deployed, release: str = OTHER) -> None:
    assert deployed.run("candidate", {"RELEASE": release}) == 0, deployed.err


def told(deployed: Deployed) -> str:
    """What the front end is told, by its Deployment."""
    (container,) = deployed.server.objects[FRONT]["spec"]["template"]["spec"]["containers"]
    return next((str(item["value"]) for item in container["env"] if item["name"] == CANDIDATE_URL), "")


def lasting(deployed: Deployed) -> dict[str, Any]:
    """All objects but those that the controllers make, without what changes whenever somebody writes."""
    kept = {}
    for key, item in json.loads(json.dumps(deployed.server.objects)).items():
        if not key.startswith(("ReplicaSet/", "Pod/")) and key != "ConfigMap/tosia/last-deployment":
            for name in ("resourceVersion", "generation", "annotations"):
                item["metadata"].pop(name, None)
            kept[key] = {**item, "status": None}
    return kept


def candidate_objects(deployed: Deployed) -> dict[str, str]:
    """What is there of a candidate, with its versions: any write changes one."""
    return {
        key: json.dumps(item, sort_keys=True)
        for key, item in deployed.server.objects.items()
        if "candidate" in key and key != FRONT
    }


def test_a_candidate_is_started_beside_the_serving_one_and_the_front_end_told(deployed: Deployed) -> None:
    serve(deployed)
    was = lasting(deployed)
    start(deployed)
    now = lasting(deployed)
    added = {key for key in now if key not in was}
    (config_map,) = [key for key in added if key.startswith("ConfigMap/")]
    assert added - {config_map} == {
        HERE,
        f"Service/tosia/{CANDIDATE}",
        f"PodDisruptionBudget/tosia/{CANDIDATE}",
        f"NetworkPolicy/tosia/{CANDIDATE}",
        "NetworkPolicy/tosia/frontend-to-candidate",
        f"PriorityClass//{PRIORITY}",
    }
    assert now[config_map]["data"] == {"repository": OTHER, "account": "tosiastore"}
    assert [key for key in was if now[key] != was[key]] == [FRONT]
    assert told(deployed) == URL
    assert deployed.release() == SERVING
    order = [line for line in deployed.err.splitlines() if "is rolled out" in line]
    assert [line.split()[1] for line in order] == [CANDIDATE, "frontend"], "a front end rolls for one that serves"


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("", "RELEASE is missing"),
        ("releases/9", "RELEASE is not a candidate's"),
        ("as://Store/calls/releases/9-0", "RELEASE is not a candidate's"),
        ("tosia-frontend:2", "RELEASE is not a candidate's"),
        (f"'{OTHER}'", "RELEASE has quotes around it"),
    ],
)
def test_the_release_is_all_that_is_needed_and_must_be_one(deployed: Deployed, release: str, said: str) -> None:
    assert deployed.run("candidate", {"RELEASE": release}) == 2
    assert said in deployed.err
    assert deployed.server.calls == []


@pytest.mark.parametrize("verb", ["all", "apply"])
def test_a_deployment_leaves_a_running_candidate_as_it_is(deployed: Deployed, verb: str) -> None:
    """It neither starts, changes nor prunes it, and the front end of another build is told of it, too."""
    serve(deployed)
    start(deployed)
    was = candidate_objects(deployed)
    for build in ("50", "51"):
        assert deployed.run(verb, {**BUILD, "BUILD_NUMBER": build}) == 0
        assert (deployed.image(), told(deployed)) == (build, URL)
        assert f"{CANDIDATE} ({OTHER}) stays as it is." in deployed.err
        assert "not the checkout's" not in deployed.err
    assert candidate_objects(deployed) == was
    assert deployed.words("delete") == []


@pytest.mark.parametrize("environ", [BUILD, CPU], ids=["azure", "cpu"])
def test_what_all_sends_is_the_same_to_the_byte_with_a_candidate_and_without(
    deployed: Deployed, environ: dict[str, str]
) -> None:
    assert deployed.run("all", environ) == 0, deployed.err
    assert deployed.run("render", environ) == 0
    before = deployed.out
    release = {"RELEASE": "tosia-frontend:2", "OVERLAY": "cpu"} if environ == CPU else {"RELEASE": OTHER}
    assert deployed.run("candidate", release) == 0, deployed.err
    assert deployed.run("render", environ) == 0
    assert deployed.out == before
    names = {str(item["metadata"]["name"]) for item in yaml.safe_load_all(before)}
    assert not {name for name in names if "candidate" in name}
    assert CANDIDATE_URL not in before


def test_no_overlay_is_rendered_otherwise_for_the_candidates_files(tmp_path: Path) -> None:
    """Byte for byte, without the folder of the candidate."""
    root = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, root, ignore=shutil.ignore_patterns("candidate"))
    overlays = [name for name in folders(root) if name.startswith("overlays/")]
    assert len(overlays) == len(list((MANIFESTS / "overlays").iterdir()))
    for name in overlays:
        assert json.dumps(render(kubectl(), root, name).objects) == json.dumps(bundle(name).objects)


def test_another_release_rolls_the_candidate_alone(deployed: Deployed) -> None:
    serve(deployed)
    start(deployed)
    front_end = deployed.server.objects[FRONT]["metadata"]["generation"]
    start(deployed, THIRD)
    assert deployed.server.objects[FRONT]["metadata"]["generation"] == front_end
    assert deployed.words("set") == []
    assert deployed.run("candidate-status") == 0
    (line,) = [line for line in deployed.out.splitlines() if "running" in line]
    assert f"release {THIRD}" in line
    assert OTHER not in line
    assert deployed.words("undo") == []


def test_a_candidate_that_does_not_get_ready_rolls_no_front_end(deployed: Deployed) -> None:
    serve(deployed)
    deployed.server.unschedulable.append(CANDIDATE)
    was = deployed.server.objects[FRONT]
    assert deployed.run("candidate", {"RELEASE": OTHER}) == 1
    assert "Insufficient nvidia.com/gpu" in deployed.err
    assert "candidate-stop SURE=candidate" in deployed.err
    assert "rollback" not in deployed.err
    assert deployed.server.objects[FRONT] == was
    assert deployed.run("all", BUILD) == 0, "nobody waits for it"
    (line,) = [line for line in deployed.err.splitlines() if "is not waited for" in line]
    assert "Unschedulable" in line
    deployed.server.unschedulable.clear()
    start(deployed)
    assert told(deployed) == URL


def test_status_and_doctor_show_it(deployed: Deployed) -> None:
    serve(deployed)
    assert deployed.run("status") == 0
    assert "candidate" not in deployed.out
    assert deployed.run("candidate-status") == 0
    assert deployed.out == "no candidate is deployed.\n"
    start(deployed)
    wanted = f"{CANDIDATE} wanted:  tosia.azurecr.io/tritonserver:26.11-py3, release {OTHER}, 1 pod"
    running = f"{CANDIDATE} running: tosia.azurecr.io/tritonserver:26.11-py3, release {OTHER}, 1 pod ready (revision 1)"
    assert deployed.run("candidate-status") == 0
    assert deployed.out.splitlines() == [wanted, running]
    assert deployed.run("status") == 0
    assert {wanted, running} <= set(deployed.out.splitlines())
    deployed.run("doctor", DEPLOYMENT)
    assert "ok       Triton's image of the candidate  26.11-py3" in deployed.out
    deployed.server.objects[HERE]["spec"]["template"]["spec"]["containers"][0]["image"] = "tritonserver:24.10-py3"
    deployed.run("doctor", DEPLOYMENT)
    assert "differs  Triton's image of the candidate  24.10-py3 is deployed" in deployed.out


def test_a_pod_that_was_preempted_is_said_and_serves_nobody(deployed: Deployed) -> None:
    """As the scheduler does it: the pod is gone, and the next one finds no node."""
    serve(deployed)
    start(deployed)
    deployed.server.unschedulable.append(CANDIDATE)
    for key in [key for key in deployed.server.objects if key.startswith(f"Pod/tosia/{CANDIDATE}")]:
        del deployed.server.objects[key]
    deployed.server._control()
    assert deployed.run("candidate-status") == 0
    assert f"{CANDIDATE} running: 0 pods ready: nobody waits for it" in deployed.out
    assert "Insufficient nvidia.com/gpu" in deployed.out
    assert deployed.run("wait") == 0


def test_stop_takes_it_away_and_nothing_else(deployed: Deployed) -> None:
    serve(deployed)
    was = lasting(deployed)
    start(deployed)
    start(deployed, THIRD)
    for environ in ({}, {"SURE": "tosia"}):
        assert deployed.run("candidate-stop", environ) == 2
        assert "SURE=candidate" in deployed.err
        assert deployed.words("delete") == deployed.words("set") == []
    assert deployed.run("candidate-stop", STOP) == 0, deployed.err
    assert lasting(deployed) == was, "with the ConfigMaps of both releases"
    assert not [key for key in deployed.server.objects if "candidate" in key]
    verbs = [
        next(word for word in call if word in ("set", "delete"))
        for call in deployed.server.calls
        if {"set", "delete"} & set(call)
    ]
    assert verbs[0] == "set", "the front end stops asking first"
    assert deployed.run("candidate-stop", STOP) == 0, "safe to repeat"
    assert deployed.words("set") == []
    assert deployed.run("all", BUILD) == 0
    assert told(deployed) == ""


def test_a_front_end_that_is_not_rolled_out_keeps_its_candidate(deployed: Deployed) -> None:
    serve(deployed)
    start(deployed)
    deployed.is_bad(50)
    assert deployed.run("candidate-stop", STOP) == 1
    assert HERE in deployed.server.objects, "front ends of before still ask it"
    deployed.server.bad.clear()
    assert deployed.run("candidate-stop", STOP) == 0
    assert HERE not in deployed.server.objects


def test_going_back_leaves_it_and_says_where_the_front_end_disagrees(deployed: Deployed) -> None:
    serve(deployed)
    assert deployed.run("all", {**BUILD, "BUILD_NUMBER": "51"}) == 0
    start(deployed)
    was = candidate_objects(deployed)
    assert deployed.run("rollback") == 0
    assert (deployed.image(), told(deployed)) == ("50", "")
    assert candidate_objects(deployed) == was
    for verb, environ in (("status", {}), ("diff", BUILD), ("candidate-status", {}), ("doctor", DEPLOYMENT)):
        deployed.run(verb, environ)
        assert "frontend knows of no candidate, but candidate-triton is deployed" in deployed.out + deployed.err
    start(deployed)
    assert (deployed.image(), told(deployed)) == ("50", URL)
    assert deployed.run("candidate-status") == 0
    assert "knows of no candidate" not in deployed.out


def test_going_back_to_a_state_with_a_candidate_that_is_gone_is_said_and_mended(deployed: Deployed) -> None:
    serve(deployed)
    start(deployed)
    assert deployed.run("all", {**BUILD, "BUILD_NUMBER": "51"}) == 0
    assert deployed.run("candidate-stop", STOP) == 0
    assert deployed.run("rollback") == 0
    assert (deployed.image(), told(deployed)) == ("50", URL)
    said = f"frontend looks for a candidate at {URL}, and none is deployed"
    assert said in deployed.err
    assert deployed.run("status") == 0
    assert said in deployed.out
    assert deployed.run("candidate-stop", STOP) == 0
    assert (deployed.image(), told(deployed)) == ("50", "")


def test_what_can_not_be_a_candidate_is_refused_before_anything_is_changed(deployed: Deployed) -> None:
    def refused(said: str, **environ: str) -> None:
        was = json.dumps(deployed.server.objects)
        assert deployed.run("candidate", {"RELEASE": OTHER, **environ}) == 1
        assert said in deployed.err
        assert "Nothing was changed" in deployed.err
        assert json.dumps(deployed.server.objects) == was

    refused("`make -C k8s all` first")
    serve(deployed)
    refused("serves already", RELEASE=SERVING)
    refused("deployed with OVERLAY=azure", OVERLAY="cpu", RELEASE="tosia-frontend:2")


def test_a_release_without_a_configuration_for_gpus_is_refused(deployed: Deployed) -> None:
    serve(deployed)
    known = deployed.server.objects["ConfigMap/tosia/last-deployment"]
    known["data"]["configs"] = json.dumps({OTHER: ["tensorrt"]})
    deployed.server.applied["ConfigMap/tosia/last-deployment"] = json.loads(json.dumps(known))
    assert deployed.run("candidate", {"RELEASE": OTHER}) == 1
    assert "no configs/cuda.pbtxt" in deployed.err
    assert HERE not in deployed.server.objects


def test_on_a_cpu_it_is_the_release_of_another_build(deployed: Deployed) -> None:
    assert deployed.run("all", CPU) == 0, deployed.err
    for release in ("", OTHER, "tosia-frontend", "other:2"):
        assert deployed.run("candidate", {"OVERLAY": "cpu", "RELEASE": release}) == 2
        assert "tosia-frontend:TAG" in deployed.err
    assert deployed.run("candidate", {"OVERLAY": "cpu", "RELEASE": "tosia-frontend:1"}) == 1
    assert "serves already" in deployed.err
    assert deployed.run("candidate", {"OVERLAY": "cpu", "RELEASE": "tosia-frontend:2"}) == 0, deployed.err
    spec = deployed.server.objects[HERE]["spec"]["template"]["spec"]
    assert [step["image"] for step in spec["initContainers"]] == ["tosia-frontend:2"]
    assert spec["priorityClassName"] == PRIORITY
    assert deployed.run("candidate-status", {"OVERLAY": "cpu"}) == 0
    assert "release of tosia-frontend:2, 1 pod ready" in deployed.out
    assert told(deployed) == URL
    assert deployed.run("candidate-stop", {"OVERLAY": "cpu", **STOP}) == 0
    assert not [key for key in deployed.server.objects if "candidate" in key]


def test_where_pods_reach_named_hosts_only_the_candidate_does_too(deployed: Deployed) -> None:
    assert deployed.run("all", {**BUILD, "COMPONENTS": "fqdn-egress"}) == 0
    start(deployed)
    policy = deployed.server.objects[f"NetworkPolicy/tosia/{CANDIDATE}"]
    assert policy["spec"]["egress"] == []
    own = deployed.server.objects["CiliumNetworkPolicy/tosia/candidate-egress-by-name"]
    assert own["spec"]["egress"][1]["toFQDNs"][0] == {"matchPattern": "*.blob.core.windows.net"}
    assert deployed.run("candidate-stop", STOP) == 0
    assert [key for key in deployed.server.objects if key.startswith("CiliumNetworkPolicy/")] == [
        "CiliumNetworkPolicy/tosia/egress-by-name"
    ]


def test_delete_takes_the_candidate_too(deployed: Deployed) -> None:
    serve(deployed)
    start(deployed)
    assert deployed.run("delete", {"SURE": "tosia"}) == 0
    assert deployed.server.objects == {}


def test_the_variable_is_the_candidates_own_and_no_drift(deployed: Deployed) -> None:
    assert (
        deployed.run(
            "all",
            {
                **SEED,
                "BUILD_NUMBER": "50",
                "RELEASE": SERVING,
                "TRITON_CLIENT_ID": CLIENT_ID,
                "INGRESS_HOST": "api.tosia.org",
                "ALLOW_UNVALIDATED": "1",
            },
        )
        == 0
    )
    start(deployed)
    managers = {entry["manager"] for entry in deployed.server.objects[FRONT]["metadata"]["managedFields"]}
    assert managers == {"tosia", MANAGER}
    deployed.server.answer(["set", "env", "deployment/frontend", "DEBUG=1", "--namespace=tosia"])
    assert deployed.run("status") == 0
    (line,) = [line for line in deployed.out.splitlines() if "not the checkout's" in line]
    assert "env[DEBUG]" in line
    assert CANDIDATE_URL not in line


# What is rendered.


@pytest.mark.parametrize("folder", ["candidate/azure", "candidate/cpu"])
def test_it_yields_to_whatever_serves(folder: str) -> None:
    priority = one(folder, "PriorityClass")
    assert (priority["value"], priority["preemptionPolicy"], priority["globalDefault"]) == (-10, "Never", False)
    overlay = folder.replace("candidate", "overlays")
    for serving in bundle(overlay).of("Deployment"):
        assert "priorityClassName" not in serving["spec"]["template"]["spec"], "0, which is more"
    spec = one(folder, "Deployment")["spec"]
    assert spec["template"]["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("label", ["karpenter.sh/capacity-type", "kubernetes.azure.com/scalesetpriority"])
def test_it_goes_to_spot_while_one_is_free_and_else_on_demand(label: str) -> None:
    template = one("candidate/azure", "Deployment")["spec"]["template"]
    template["metadata"]["labels"]["pod-template-hash"] = "new"
    zones = [{"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": zone} for zone in ("1a", "1b")]
    on_demand = {} if "scaleset" in label else {label: "on-demand"}
    nodes = [
        Node("on-demand", {**zones[0], **on_demand}, free=0.6, has_image=True),
        Node("spot", {**zones[1], label: "spot"}, free=0.4),
    ]
    assert best(template, nodes) == "spot"
    assert best(template, nodes[:1]) == "on-demand"


@pytest.mark.parametrize("kind", ["azure", "cpu"])
def test_it_differs_from_the_serving_triton_by_name_release_and_place_alone(kind: str) -> None:
    """The container is the same to the last argument: scores must not depend on which of the two gives them."""
    serving = one(f"overlays/{kind}", "Deployment", "triton")["spec"]["template"]["spec"]
    candidate = one(f"candidate/{kind}", "Deployment")["spec"]["template"]["spec"]
    (own,), (other,) = candidate["containers"], serving["containers"]
    maps = [
        item["valueFrom"]["configMapKeyRef"]["name"]
        for item in own["env"]
        if "configMapKeyRef" in item.get("valueFrom", {})
    ]
    text = json.dumps(own)
    for name in maps:
        text = text.replace(name, "MAP")
    expected = json.dumps(other)
    for item in bundle(f"overlays/{kind}").of("ConfigMap"):
        expected = expected.replace(item["metadata"]["name"], "MAP")
    assert text == expected
    assert candidate["serviceAccountName"] == serving["serviceAccountName"] == "triton"
    differing = {key for key in {*candidate, *serving} if candidate.get(key) != serving.get(key)}
    assert differing - {"containers", "initContainers"} == {
        "affinity",
        "priorityClassName",
        "topologySpreadConstraints",
    }


def test_the_front_end_may_reach_it_and_nobody_else() -> None:
    policies = {item["metadata"]["name"]: item["spec"] for item in bundle("candidate/azure").of("NetworkPolicy")}
    (way_in,) = policies[CANDIDATE]["ingress"]
    assert way_in["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "frontend"}}}]
    assert [port["port"] for port in way_in["ports"]] == ["grpc"]
    serving = one("overlays/azure", "NetworkPolicy", "triton")["spec"]
    assert policies[CANDIDATE]["egress"] == serving["egress"], "Blob Storage as Triton does"
