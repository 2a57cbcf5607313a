"""Checks for objects that the API server refuses although they fit the schema."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from k8s.tools.validate.objects import WORKLOADS, Bundle, Object, Pod
from k8s.tools.validate.safety import quantity

_LEVELS = {"privileged", "baseline", "restricted"}


def admission(bundles: Sequence[Bundle]) -> Iterator[str]:
    for bundle in bundles:
        for item in bundle.objects:
            for problem in _of_object(item):
                yield bundle.says(item, problem)
        for pod in bundle.pods():
            for problem in _of_pod(bundle, pod):
                yield bundle.says(pod.owner, problem)


def _of_object(one: Object) -> Iterator[str]:
    kind, spec = one["kind"], one.get("spec") or {}
    if kind == "Namespace":
        for name, value in (one["metadata"].get("labels") or {}).items():
            if (
                name in {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")}
                and value not in _LEVELS
            ):
                yield f"{name} is {value}: one of {', '.join(sorted(_LEVELS))}"
    elif kind == "Deployment":
        rolling = spec.get("strategy", {}).get("rollingUpdate") or {}
        if {str(rolling.get("maxSurge")), str(rolling.get("maxUnavailable"))} <= {"0", "0%"}:
            yield "may neither have one pod more nor one less, so that it can't be rolled"
        if spec.get("strategy", {}).get("type") == "Recreate" and rolling:
            yield "Recreate has no rollingUpdate"
    elif kind == "PodDisruptionBudget":
        if "minAvailable" in spec and "maxUnavailable" in spec:
            yield "has minAvailable and maxUnavailable: only one of them"
    elif kind == "HorizontalPodAutoscaler":
        if spec.get("minReplicas", 1) < 1:
            yield "minReplicas is below 1"
    elif kind == "Service":
        ports = spec.get("ports", [])
        if len(ports) > 1 and not all(port.get("name") for port in ports):
            yield "has several ports, so each needs a name"
        yield from _twice("port", (port.get("name") for port in ports if "name" in port))
        yield from _twice("port", (f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports))
    elif kind == "NetworkPolicy":
        for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
            for peer in (*rule.get("from", []), *rule.get("to", [])):
                yield from _of_block(peer.get("ipBlock"))


def _of_block(block: dict[str, Any] | None) -> Iterator[str]:
    if block is None:
        return
    try:
        whole = ipaddress.ip_network(block["cidr"])
        for text in block.get("except", []):
            if not ipaddress.ip_network(text).subnet_of(whole):  # type: ignore[arg-type]
                yield f"the exception {text} is not within {whole}"
    except (ValueError, TypeError) as error:
        yield f"not a range of addresses: {error}"


def _of_pod(bundle: Bundle, pod: Pod) -> Iterator[str]:
    policy = pod.spec.get("restartPolicy", "Always")
    if pod.owner["kind"] in ("Job", "CronJob"):
        if policy not in ("Never", "OnFailure"):
            yield f"restartPolicy is {policy}: a Job's is Never or OnFailure"
    elif pod.owner["kind"] in WORKLOADS and policy != "Always":
        yield f"restartPolicy is {policy}: it can only be Always"
    priority = pod.spec.get("priorityClassName")
    made = priority is None or priority.startswith("system-") or bundle.named("PriorityClass", priority)
    if not made:
        yield f"the PriorityClass {priority} is made nowhere"
    yield from _twice("container", (item["name"] for item in pod.containers))
    yield from _twice("volume", (item["name"] for item in pod.spec.get("volumes", [])))
    for container in pod.containers:
        name = container["name"]
        yield from _twice(f"{name}'s variable", (item["name"] for item in container.get("env", [])))
        yield from _twice(
            f"{name}'s mount", (volumeMount["mountPath"] for volumeMount in container.get("volumeMounts", []))
        )
        yield from _twice(f"{name}'s port", (port["name"] for port in container.get("ports", []) if "name" in port))
        for part in ("requests", "limits"):
            for resource, value in (container.get("resources", {}).get(part) or {}).items():
                if quantity(value) is None:
                    yield f"{name}: {part} of {resource} is {value}, which is no quantity"
        for resource, value in (container.get("resources", {}).get("limits") or {}).items():
            wanted = container["resources"].get("requests", {}).get(resource, value)
            if "/" in resource and ((quantity(value) or 0) % 1 or quantity(wanted) != quantity(value)):
                yield f"{name}: {resource} comes whole, and as many are requested as the limit says"
        for volume in pod.spec.get("volumes", []):
            size = volume.get("emptyDir", {}).get("sizeLimit") if isinstance(volume.get("emptyDir"), dict) else None
            if size is not None and quantity(size) is None:
                yield f"the volume {volume['name']} has the size {size}, which is no quantity"


def _twice(what: str, names: Iterable[object]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name} is there {count} times"
