"""What is tried, in order: each case leaves a cluster on which the next one can run."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from k8s.tools.cluster_test import assertions
from k8s.tools.cluster_test.server import OURS, NotRun, Said, Server, folders
from k8s.tools.deploy.candidate import PRIORITY, URL
from k8s.tools.deploy.deployments import CANDIDATE, candidate_url, config_maps
from k8s.tools.deploy.environment import MANIFESTS
from k8s.tools.deploy.kubectl import Object

_KEY = base64.b64encode(b"nobody's key: nothing is ever sent with it").decode()
_ID = "00000000-0000-4000-8000-000000000000"
_PLACES = {
    "API_KEY": "test:not-a-secret",
    "BLOB_CONTAINER": "calls",
    "COSMO_ENDPOINT": "https://tosia.documents.azure.com",
    "ALLOW_UNVALIDATED": "1",
}
_ONCE = {"TRITON_CLIENT_ID": _ID, "FRONTEND_CLIENT_ID": _ID, "INGRESS_HOST": "api.tosia.test"}
KEYS = {
    **_PLACES,
    "BLOB_CONNECTION": f"DefaultEndpointsProtocol=https;AccountName=tosiatest;AccountKey={_KEY};"
    "EndpointSuffix=core.windows.net",
    "COSMO_KEY": _KEY,
}
IDENTITY = {**_PLACES, "TOSIA_IDENTITY": "workload", "BLOB_ENDPOINT": "https://tosiatest.blob.core.windows.net"}
RELEASE = "as://tosiatest/calls/releases/{}-0123456789ab"
PRIVILEGED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged", "namespace": "tosia"},
    "spec": {"containers": [{"name": "c", "image": "pause", "securityContext": {"privileged": True}}]},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A case. run: returns what is wrong; empty: nothing. Raises: NotRun"""

    name: str
    run: Callable[[Server], list[str]]


def deploy(server: Server, build: int, *, verb: str = "all", release: int = 8, **environ: str) -> Said:
    values = {**KEYS, **_ONCE, "BUILD_NUMBER": str(build), "RELEASE": RELEASE.format(release), **environ}
    return server.verb(verb, values)


def front_end(server: Server) -> Object:
    return server.get("deployment", "frontend")


def _objects(server: Server) -> Object:
    kinds = "deployments,configmaps,secrets,services,serviceaccounts,networkpolicies,horizontalpodautoscalers"
    return server.get(kinds)


def _needs_ready_pods(server: Server) -> None:
    if not server.makes_pods_ready:
        raise NotRun("needs a controller manager, and no nodes but ours, on which pods are marked ready")


def nodepool_without_definitions(server: Server) -> list[str]:
    if server.get("crd", "nodepools.karpenter.sh"):
        raise NotRun("needs a server without the definition of NodePool")
    said = deploy(server, 50)
    found = assertions.ended_with(said.code, (1, 2)) + assertions.says(said.text, "NODEPOOL=none")
    return found + assertions.is_empty(server.get("namespace", "tosia"))


def strict(server: Server) -> list[str]:
    found, unknown = [], []
    namespaces = ("base", "components/gateway", "gpu-nodepool/device-plugin")
    for name in (f"{folder}/namespace.yaml" for folder in namespaces):
        server.kubectl("apply", "--server-side", "--field-manager=tosia", "-f", str(MANIFESTS / name))
    for folder in folders():
        manifests = server.kubectl("kustomize", str(MANIFESTS / folder)).out
        said = server.kubectl(
            # Each object names its namespace; kubectl refuses another one beside it.
            *("apply", "--server-side", "--field-manager=tosia", "--force-conflicts"),
            *("--validate=strict", "--dry-run=server", "-f", "-"),
            stdin=manifests,
        )
        if "no matches for kind" in said.text:
            unknown.append(folder)
        elif said.code:
            found.append(f"{folder}: {said.text.strip()[-300:]}")
        found += [f"{folder}: {line}" for line in assertions.is_admitted(said.text)]
    if unknown and not found:
        raise NotRun(f"needs definitions for {', '.join(unknown)}: CRDS= names a folder with them")
    return found


def pod_security(server: Server) -> list[str]:
    arguments = ("create", "--dry-run=server", "-f", "-")
    said = server.kubectl(*arguments, stdin=json.dumps(PRIVILEGED))
    refused = said.code != 0 and bool(assertions.is_admitted(said.text))
    return [] if refused else ["a privileged pod was admitted to the namespace"]


def deployed(server: Server) -> list[str]:
    _needs_ready_pods(server)
    said = deploy(server, 50)
    found = assertions.ended_with(said.code, (0,))
    if found:
        return found + assertions.says(said.text, "is rolled out")
    return assertions.deploys(front_end(server), "50") + assertions.is_complete(front_end(server))


def second_all_changes_nothing(server: Server) -> list[str]:
    _needs_ready_pods(server)
    before = _objects(server)
    said = deploy(server, 50)
    return assertions.ended_with(said.code, (0,)) + assertions.is_unchanged(before, _objects(server))


def rollback_to_older_good_builds(server: Server) -> list[str]:
    _needs_ready_pods(server)
    found: list[str] = []
    for build in (51, 52):
        found += assertions.ended_with(deploy(server, build).code, (0,))
    for environ, code, tag in (({}, 0, "51"), ({"WHAT": "frontend"}, 0, "50"), ({"WHAT": "frontend"}, 2, "50")):
        said = server.verb("rollback", environ)
        found += assertions.ended_with(said.code, (code,)) + assertions.deploys(front_end(server), tag)
    return (
        found
        + assertions.says(said.text, "nothing older")
        + assertions.one_revision_each(server.get("deployments,replicasets,pods"), "frontend")
    )


def rollback_of_a_failed_repair(server: Server) -> list[str]:
    _needs_ready_pods(server)
    found = assertions.ended_with(deploy(server, 44).code, (0,))
    for build in (45, 46):
        server.bad.add(str(build))
        found += assertions.ended_with(deploy(server, build, verb="apply").code, (0,))
    said = server.verb("status", {})
    found += assertions.says(said.text, r"^frontend wanted: .*:46")
    found += assertions.says(said.text, r"^frontend running: .*:44")
    found += assertions.ended_with(server.verb("rollback", {}).code, (0,))
    return found + assertions.deploys(front_end(server), "44") + assertions.is_complete(front_end(server))


def rollback_of_what_has_one_revision(server: Server) -> list[str]:
    _needs_ready_pods(server)
    before = config_maps(front_end(server))
    found = assertions.ended_with(deploy(server, 50, COSMO_DATABASE="other").code, (0,))
    if config_maps(front_end(server)) == before:
        found.append("another database has not changed the front end")
    said = server.verb("rollback", {"WHAT": "frontend triton"})
    found += assertions.ended_with(said.code, (2,)) + assertions.says(said.text, "triton stays: nothing older")
    return found + ([] if config_maps(front_end(server)) == before else ["the front end did not go back"])


def wait_with_0_pods(server: Server) -> list[str]:
    _needs_ready_pods(server)
    where = ("--namespace=tosia", "scale", "deployment/frontend")
    server.kubectl(*where, "--replicas=0")
    said = server.verb("wait", {})
    server.kubectl(*where, "--replicas=1")
    found = assertions.ended_with(said.code, (2,)) + assertions.says(said.text, "frontend has 0 pods")
    return found + assertions.ended_with(server.verb("wait", {}).code, (0,))


def from_keys_to_identity(server: Server) -> list[str]:
    _needs_ready_pods(server)
    all_keys = ("API_KEY", "BLOB_CONNECTION", "COSMO_KEY")
    identity = {**IDENTITY, "BUILD_NUMBER": "61", "RELEASE": RELEASE.format(8)}
    found = assertions.ended_with(deploy(server, 61).code, (0,))
    found += assertions.ended_with(server.verb("all", identity).code, (0,))
    found += assertions.holds_keys(server.get("secret", "tosia"), all_keys)
    found += assertions.ended_with(server.verb("rollback", {}).code, (0,))
    found += assertions.ended_with(server.verb("all", identity).code, (0,))
    found += assertions.ended_with(server.verb("secrets", {**identity, "PRUNE_KEYS": "1"}).code, (0,))
    found += assertions.holds_keys(server.get("secret", "tosia"), ("API_KEY",))
    said = server.verb("rollback", {})
    return found + assertions.ended_with(said.code, (2,)) + assertions.says(said.text, "the Secret lacks")


def diff_says_what_it_found(server: Server) -> list[str]:
    _needs_ready_pods(server)
    found = assertions.ended_with(deploy(server, 62).code, (0,))
    for build, code, last in ((62, 0, "no difference"), (63, 2, "differs")):
        said = deploy(server, build, verb="diff")
        found += assertions.ended_with(said.code, (code,)) + assertions.says(said.text, rf"deploy: {last}\.")
    return found


def drift(server: Server) -> list[str]:
    _needs_ready_pods(server)
    server.kubectl("--namespace=tosia", "set", "env", "deployment/frontend", "TOSIA_TEST=1")
    found: list[str] = []
    for verb in ("status", "diff", "all", "doctor"):
        found += assertions.says(deploy(server, 62, verb=verb).text, r"not the checkout's: .*env\[TOSIA_TEST\]")
    server.kubectl("--namespace=tosia", "set", "env", "deployment/frontend", "TOSIA_TEST-")
    return found


def _needs_own_nodes(server: Server) -> None:
    _needs_ready_pods(server)
    names = [item["metadata"]["name"] for item in server.get("nodes").get("items") or []]
    if f"{OURS}-spot" not in names or not all(name.startswith(OURS) for name in names):
        raise NotRun("needs no nodes but ours")
    if not any("nodeName" in item["spec"] for item in server.get("pods").get("items") or []):
        raise NotRun("needs a scheduler that places pods")


def on_demand_before_spot(server: Server) -> list[str]:
    _needs_own_nodes(server)
    selector = "--selector=app.kubernetes.io/name=triton"
    found: list[str] = []
    for _ in range(10):  # without a preference spot is chosen as often as not
        server.kubectl("--namespace=tosia", "delete", "pod", selector, "--grace-period=0", "--force")
        if not server.until(lambda: _is_placed(server.get("pods", selector))):
            return [*found, "Triton's pod was not placed"]
        placed = server.get("pods", selector)
        found += assertions.runs_on(placed, server.get("nodes"), "karpenter.sh/capacity-type", ("on-demand",))
    return list(dict.fromkeys(found))


def _is_placed(answer: Object) -> bool:
    items = answer.get("items") or []
    return bool(items) and all("nodeName" in item["spec"] for item in items)


def rollout_without_a_spare_gpu(server: Server) -> list[str]:
    _needs_own_nodes(server)
    server.kubectl("cordon", f"{OURS}-spot")
    try:
        found = assertions.ended_with(deploy(server, 62, verb="apply", release=9).code, (0,))
        said = server.verb("wait", {}, until="Unschedulable")
        found += assertions.says(said.text, r"pod triton-.*Unschedulable: ")
        found += assertions.is_unschedulable(server.get("pods", "--selector=app.kubernetes.io/name=triton"))
        found += assertions.ended_with(server.verb("rollback", {"WHAT": "triton"}).code, (0,))
    finally:
        server.kubectl("uncordon", f"{OURS}-spot")
    return found


def perf(server: Server) -> list[str]:
    _needs_ready_pods(server)
    said = server.verb("perf", {})
    found = assertions.ended_with(said.code, (0,))
    found += assertions.fits_beside(
        server.get("job", "perf-analyzer"), cores=3.86 - 0.4, taken=3
    )  # two front ends; the rest is the node's own
    return found + assertions.is_empty(
        server.get("configmaps,networkpolicies", "--selector=tosia/of-job=perf-analyzer")
    )


def candidate_beside(server: Server) -> list[str]:
    """Started, left alone by `all` with the same build and with another, rolled alone, stopped: alone, too."""
    _needs_ready_pods(server)
    found = assertions.ended_with(deploy(server, 62).code, (0,))
    before = _objects(server)
    said = server.verb("candidate", {"RELEASE": RELEASE.format(9)})
    found += assertions.ended_with(said.code, (0,)) + _knows(server, URL)
    found += assertions.is_complete(server.get("deployment", CANDIDATE))
    started = _objects(server)
    found += assertions.ended_with(deploy(server, 62).code, (0,))
    found += assertions.is_unchanged(started, _objects(server))  # the front end, too: its variable is not reordered
    left = server.get("deployment", CANDIDATE)
    found += assertions.ended_with(deploy(server, 64).code, (0,)) + assertions.deploys(front_end(server), "64")
    found += _knows(server, URL)
    found += assertions.is_unchanged({"items": [left]}, {"items": [server.get("deployment", CANDIDATE)]})
    said = server.verb("candidate-status", {})
    found += assertions.says(said.text, rf"^{CANDIDATE} running: .*release {RELEASE.format(9)}, 1 pod ready")
    found += assertions.ended_with(deploy(server, 62).code, (0,))
    found += assertions.ended_with(server.verb("candidate-stop", {}).code, (2,)) + _knows(server, URL)
    found += assertions.ended_with(server.verb("candidate-stop", {"SURE": "candidate"}).code, (0,)) + _knows(server, "")
    found += assertions.is_empty(server.get("priorityclass", PRIORITY))
    return found + assertions.holds_the_same(before, _objects(server))


def _knows(server: Server, url: str) -> list[str]:
    found = candidate_url(front_end(server))
    return [] if found == url else [f"the front end's candidate is at {found or 'no address'}, not {url or 'gone'}"]


def teardown(server: Server) -> list[str]:
    found = assertions.ended_with(server.verb("delete", {}).code, (2,))
    found += assertions.ended_with(server.verb("delete", {"SURE": "tosia"}).code, (0,))
    for kind, name in (
        ("namespace", "tosia"),
        ("namespace", "tosia-gateway"),
        ("namespace", "gpu-resources"),
        ("aksnodeclass", "tosia-gpu"),
    ):
        found += assertions.is_empty(server.get(kind, name))
    for name in ("tosia-gpu-on-demand", "tosia-gpu-spot"):
        found += assertions.is_empty(server.get("nodepool", name))
    said = server.verb("all", {**KEYS, "BUILD_NUMBER": "63", "RELEASE": RELEASE.format(8)})
    found += assertions.ended_with(said.code, (2,)) + assertions.says(said.text, "TRITON_CLIENT_ID")
    return found + assertions.is_empty(server.get("namespace", "tosia"))


BEFORE_DEFINITIONS = (Case("the node pool without auto-provisioning", nodepool_without_definitions),)
CASES = (
    Case("strict server-side apply of every folder", strict),
    Case("PodSecurity", pod_security),
    Case("all", deployed),
    Case("a second all", second_all_changes_nothing),
    Case("rollback of both, of which one has one revision", rollback_of_what_has_one_revision),
    Case("rollback: 50, 51, 52", rollback_to_older_good_builds),
    Case("rollback and status: 44, 45, 46", rollback_of_a_failed_repair),
    Case("wait with 0 pods", wait_with_0_pods),
    Case("from keys to an identity and back", from_keys_to_identity),
    Case("diff", diff_says_what_it_found),
    Case("kubectl set env", drift),
    Case("on demand before spot", on_demand_before_spot),
    Case("a rollout without a spare GPU", rollout_without_a_spare_gpu),
    Case("perf", perf),
    Case("a candidate: start, all beside it, stop", candidate_beside),
    Case("delete, and all after it", teardown),
)
