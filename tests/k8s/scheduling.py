"""The scores of Kubernetes' scheduler for a pod and some nodes, as far as they decide between our GPU nodes.

From kube-scheduler 1.36 with its default plugins and weights: NodeAffinity (2), PodTopologySpread (2), NodeResourcesFit
by LeastAllocated (1), ImageLocality (1). Left out is what is alike on all of them: InterPodAffinity (we have none),
TaintToleration (it counts PreferNoSchedule only), NodeResourcesBalancedAllocation. It is a model: `make test-cluster`
asks a real scheduler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 100.0
WEIGHTS = {"affinity": 2, "spread": 2, "free": 1, "image": 1}


@dataclass(frozen=True, slots=True)
class Node:
    """pods: labels of the pods on it; fits: whether the pod may go there; free: part of CPU and memory that is then
    left.
    """

    name: str
    labels: Mapping[str, str]
    pods: Sequence[Mapping[str, str]] = ()
    fits: bool = True
    free: float = 0.5
    has_image: bool = False


def best(template: Mapping[str, Any], cluster: Sequence[Node]) -> str:
    """Return the name of the node with the highest score; a tie is a failure, since the scheduler then draws lots."""
    nodes = [node for node in cluster if node.fits]
    if len(nodes) == 1:
        return nodes[0].name
    scores = {
        "affinity": _normalised([_affinity(template["spec"], node) for node in nodes]),
        "spread": _spread(template, nodes, cluster),
        "free": [MOST * node.free for node in nodes],
        "image": [MOST * node.has_image for node in nodes],
    }
    total = [sum(WEIGHTS[name] * values[n] for name, values in scores.items()) for n in range(len(nodes))]
    order = sorted(zip(total, (node.name for node in nodes), strict=True), reverse=True)
    assert order[0][0] > order[1][0], order
    return order[0][1]


def _affinity(spec: Mapping[str, Any], node: Node) -> float:
    terms = spec.get("affinity", {}).get("nodeAffinity", {}).get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return sum(
        term["weight"]
        for term in terms
        if all(
            (node.labels.get(item["key"]) in item["values"]) == (item["operator"] == "In")
            for item in term["preference"]["matchExpressions"]
        )
    )


def _spread(template: Mapping[str, Any], nodes: Sequence[Node], cluster: Sequence[Node]) -> list[float]:
    """Return the scores of nodes; pods are counted on all nodes of the cluster."""
    raw = [0.0] * len(nodes)
    for constraint in template["spec"].get("topologySpreadConstraints", []):
        wanted = dict(constraint["labelSelector"]["matchLabels"])
        wanted |= {key: template["metadata"]["labels"][key] for key in constraint.get("matchLabelKeys", [])}
        key = constraint["topologyKey"]
        weight = math.log(len({node.labels[key] for node in nodes}) + 2)
        for n, node in enumerate(nodes):
            there = [pod for other in cluster if other.labels[key] == node.labels[key] for pod in other.pods]
            raw[n] += weight * sum(wanted.items() <= pod.items() for pod in there)
    most, least = max(raw), min(raw)
    return [MOST * (most + least - score) / most if most else MOST for score in raw]


def _normalised(values: Sequence[float]) -> list[float]:
    most = max(values)
    return [MOST * value / most if most else 0.0 for value in values]
