"""Where pods go, and whether there is room: on-demand before spot, over zones, in a rollout, off lost nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from k8s.tools.deploy.deployments import CANDIDATE
from k8s.tools.validate.objects import Bundle, Object, Pod
from k8s.tools.validate.safety import quantity

GPU = "nvidia.com/gpu"
ZONE = "topology.kubernetes.io/zone"
SPOT_LABELS = ("karpenter.sh/capacity-type", "kubernetes.azure.com/scalesetpriority")
SPOT_TAINT = "kubernetes.azure.com/scalesetpriority"
LOST = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
LOST_S = 60  # a node has been silent for 50 s when it gets the taint (Kubernetes 1.32 and newer)

# The smallest pool for front ends: two nodes of 4 cores. 3.86 of them are allocatable on AKS; the nodes' own DaemonSets
# (network, disks, metrics) request about 0.4.
SMALLEST_NODES, NODE_CORES, DAEMON_CORES = 2, 3.86, 0.4


def placement(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check preferences of nodes and zones, what a rollout needs, and how soon a lost node's pods are replaced."""
    for bundle in bundles:
        for pod in bundle.pods():
            if needs_gpu(pod):
                is_candidate = pod.owner["metadata"]["name"] == CANDIDATE
                for problem in _of_candidate(pod) if is_candidate else _of_spot(pod):
                    yield bundle.says(pod.owner, problem)
            if pod.owner["kind"] == "Deployment":
                for problem in (*_of_zones(pod), *_of_neighbours(pod), *_of_lost_nodes(pod)):
                    yield bundle.says(pod.owner, problem)
                if needs_gpu(pod):
                    for problem in _of_gpu_rollout(pod.owner):
                        yield bundle.says(pod.owner, problem)
        for scaler in bundle.of("HorizontalPodAutoscaler"):
            for problem in _of_room(bundle, scaler):
                yield bundle.says(scaler, problem)
    yield from _beside_front_ends(bundles)


def needs_gpu(pod: Pod) -> bool:
    """Whether a container has a GPU as its limit."""
    return any(GPU in container.get("resources", {}).get("limits", {}) for container in pod.containers)


def surge_of(deployment: Object, replicas: int) -> int:
    """Return how many pods more than `replicas` a rollout starts; a percentage is rounded up, 25 % is the default."""
    strategy = deployment["spec"].get("strategy", {})
    if strategy.get("type") == "Recreate":
        return 0
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    return math.ceil(replicas * int(surge[:-1]) / 100) if isinstance(surge, str) else int(surge)


def _of_spot(pod: Pod) -> Iterator[str]:
    if not any(toleration.get("key") == SPOT_TAINT for toleration in pod.spec.get("tolerations", [])):
        return
    affinity = pod.spec.get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    # All expressions of a term must hold, and terms add up: one more of either may undo the preference.
    if len(terms) != 1 or not _is_preference(terms[0]):
        wanted = " and ".join(f"{key} NotIn [spot]" for key in SPOT_LABELS)
        yield f"goes to spot while an on-demand GPU is free: its one preference must be {wanted} (weight 100)"
    if pod.owner["kind"] != "Job" and set(SPOT_LABELS) & set(_required_keys(affinity)):
        yield "is forbidden on spot nodes, so that bursts can't use them: prefer on-demand instead"


def _of_candidate(pod: Pod) -> Iterator[str]:
    """A candidate that is lost costs nobody anything, so it leaves on-demand GPUs to what serves."""
    affinity = pod.spec.get("affinity", {}).get("nodeAffinity", {})
    found = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    wanted = [
        {"weight": 100, "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": ["spot"]}]}}
        for key in SPOT_LABELS
    ]
    if sorted(found, key=str) != sorted(wanted, key=str):
        named = " or ".join(f"{key} In [spot]" for key in SPOT_LABELS)
        yield f"takes an on-demand GPU while spot is free: its preferences must be {named} (weight 100 each)"
    if list(_required_keys(affinity)):
        yield "is bound to some nodes, so that it may find none while one is free: prefer"


def _is_preference(term: Object) -> bool:
    preference = term["preference"]
    expressions = sorted(preference.get("matchExpressions", []), key=lambda item: str(item["key"]))
    wanted = [{"key": key, "operator": "NotIn", "values": ["spot"]} for key in SPOT_LABELS]
    return term["weight"] == 100 and preference.keys() == {"matchExpressions"} and expressions == wanted


def _required_keys(affinity: Object) -> Iterator[str]:
    for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", []):
        for expression in term.get("matchExpressions", []):
            yield expression["key"]


def _of_zones(pod: Pod) -> Iterator[str]:
    if pod.owner["spec"].get("replicas") == 1:
        return  # overlays/cpu, on one node
    spreads = [item for item in pod.spec.get("topologySpreadConstraints", []) if item["topologyKey"] == ZONE]
    if not spreads:
        yield f"is not spread over zones ({ZONE}): one lost zone may take all of it"
    for spread in spreads:
        if needs_gpu(pod) and spread.get("matchLabelKeys") != ["pod-template-hash"]:
            yield "counts pods of before a rollout (matchLabelKeys), which then outweighs that on-demand is preferred"


def _of_neighbours(pod: Pod) -> Iterator[str]:
    for spread in pod.spec.get("topologySpreadConstraints", []):
        if spread["whenUnsatisfiable"] != "ScheduleAnyway":
            yield (
                f"may not run where no other {spread['topologyKey']} is free (a zone is lost, or out of stock): "
                "whenUnsatisfiable must be ScheduleAnyway"
            )
    for kind in ("podAffinity", "podAntiAffinity"):
        if kind in pod.spec.get("affinity", {}):
            yield f"has a {kind}, which may outweigh where it shall go, or forbid it: spread pods, don't bind them"


def _of_lost_nodes(pod: Pod) -> Iterator[str]:
    found = {
        toleration.get("key"): toleration.get("tolerationSeconds")
        for toleration in pod.spec.get("tolerations", [])
        if toleration.get("effect") == "NoExecute"
    }
    for key in sorted(LOST):
        seconds = found.get(key)
        if seconds is None or seconds > LOST_S:
            yield f"stays on a lost node for 5 minutes: tolerate {key} for at most {LOST_S} s"


def _of_gpu_rollout(deployment: Object) -> Iterator[str]:
    if "replicas" in deployment["spec"]:
        return
    rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    found = rolling.get("maxSurge"), rolling.get("maxUnavailable")
    if found not in ((1, 0), (0, 1)):
        yield (
            f"rolls with maxSurge {found[0]} and maxUnavailable {found[1]}: 1 and 0 where a node can come for the new "
            "pod, 0 and 1 where none can (components/no-spare-gpu); anything else takes more GPUs or more pods at once"
        )


def _of_room(bundle: Bundle, scaler: Object) -> Iterator[str]:
    """Check that the least pods and those of a rollout fit on the smallest pool, and that the target can be reached."""
    deployment = bundle.named("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
    if deployment is None:
        return
    requested = _requested(deployment["spec"]["template"]["spec"]["containers"])
    least = scaler["spec"].get("minReplicas", 1)
    wanted = least + surge_of(deployment, least)
    a_node = math.floor((NODE_CORES - DAEMON_CORES) / requested) if requested else wanted
    if wanted > SMALLEST_NODES * a_node:
        yield (
            f"{wanted} pods of {requested:g} cores, one of them a rollout's, do not fit on {SMALLEST_NODES} nodes of 4 "
            f"cores ({NODE_CORES} allocatable, {DAEMON_CORES} for their DaemonSets): {a_node} a node"
        )
    for metric in scaler["spec"].get("metrics", []):
        yield from _of_target(metric, requested)


def _beside_front_ends(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that a Job without a GPU fits on a node that is full of front ends: no node comes for it alone."""
    requests = [
        _requested(pod.spec["containers"])
        for bundle in bundles
        for scaler in bundle.of("HorizontalPodAutoscaler")
        for pod in bundle.pods()
        if (pod.owner["kind"], pod.owner["metadata"]["name"])
        == ("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
    ]
    for requested in sorted(set(requests) - {0.0}):
        room = NODE_CORES - DAEMON_CORES
        front_ends = math.floor(room / requested)
        room -= front_ends * requested
        for bundle in bundles:
            for pod in bundle.pods():
                wanted = _requested(pod.containers)
                if pod.owner["kind"] in ("Job", "CronJob") and not needs_gpu(pod) and wanted > room:
                    yield bundle.says(
                        pod.owner,
                        f"requests {wanted:g} cores: a node of 4 has {room:.2f} left beside {front_ends} front ends",
                    )


def _requested(containers: Sequence[Object]) -> float:
    return sum(quantity(item.get("resources", {}).get("requests", {}).get("cpu")) or 0 for item in containers)


def _of_target(metric: Any, requested: float) -> Iterator[str]:
    resource = metric.get("resource", {})
    target = resource.get("target", {})
    if resource.get("name") != "cpu":
        return
    if "averageUtilization" in target:
        yield "averageUtilization is a part of the request, whatever that is: say averageValue, in cores"
    cores = quantity(target.get("averageValue"))
    if cores is not None and cores > requested:
        yield f"scales at {cores:g} cores a pod, more than the {requested:g} that it is sure to get"
