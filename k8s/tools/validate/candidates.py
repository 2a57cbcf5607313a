"""A candidate beside the serving Triton: what a cluster holds while one runs, and that the two are kept apart.

Each candidate is judged together with the overlay that it stands beside, since most mistakes are about both.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from k8s.tools.deploy.candidate import URL
from k8s.tools.deploy.deployments import CANDIDATE, CANDIDATE_URL
from k8s.tools.validate.objects import Bundle, Object, Pod, matches, render, render_folder
from k8s.tools.validate.tuned import is_front_end

SERVING = "triton"
BESIDE = {  # what is judged -> the overlay, the candidate's folder, its component
    "overlays/azure with a candidate": ("overlays/azure", "candidate/azure", ""),
    "overlays/fqdn-egress with a candidate": ("overlays/fqdn-egress", "candidate/azure", "candidate/fqdn-egress"),
    "overlays/cpu with a candidate": ("overlays/cpu", "candidate/cpu", ""),
}
_NAME = "app.kubernetes.io/name"
_COMPONENT = "app.kubernetes.io/component"
_FROM_FRONT_END = {"podSelector": {"matchLabels": {_NAME: "frontend"}}}
_CUTOFF = -10  # the cluster autoscaler brings no node for pods below it (expendable-pods-priority-cutoff)


def render_beside(kubectl: str, root: Path, name: str) -> Bundle:
    """Render an overlay and a candidate as one, with what `make -C k8s candidate` tells the front end.

    name: a key of BESIDE. Raises: RenderError.
    """
    overlay, folder, component = BESIDE[name]
    serving = render(kubectl, root, overlay)
    candidate = _with_component(kubectl, root, folder, component) if component else render(kubectl, root, folder)
    bundle = Bundle(name, [*serving.objects, *candidate.objects])
    for pod in bundle.pods():
        for container in filter(is_front_end, pod.containers):
            container["env"].append({"name": CANDIDATE_URL, "value": URL})
    return bundle


def _with_component(kubectl: str, root: Path, folder: str, component: str) -> Bundle:
    with tempfile.TemporaryDirectory(prefix="tosia-") as temporary:
        place = Path(temporary).resolve()  # kustomize takes relative paths only, and resolves links
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(root.resolve() / folder, place)],
            "components": [os.path.relpath(root.resolve() / component, place)],
        }
        (place / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        return render_folder(kubectl, place, folder)


def candidates(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that a candidate shares no pod, release, scaler or place in the queue with the serving Triton, that the
    front end alone reaches it, and that no overlay has one: `make -C k8s all` would start it.
    """
    for bundle in bundles:
        pods = {pod.owner["metadata"]["name"]: pod for pod in bundle.pods() if pod.owner["kind"] == "Deployment"}
        if CANDIDATE in pods and SERVING in pods and bundle.name in BESIDE:
            candidate, serving = pods[CANDIDATE], pods[SERVING]
            yield from _apart(bundle, candidate, serving)
            yield from _release(bundle, candidate, serving)
            yield from _priority(bundle, candidate, serving)
            yield from _reach(bundle, candidate, pods.get("frontend"))
        elif bundle.name in BESIDE:
            yield f"{bundle.name}: there is no Deployment {CANDIDATE} beside {SERVING}"
        elif bundle.name.startswith("overlays/"):
            for item in bundle.objects:
                if (item["metadata"].get("labels") or {}).get(_COMPONENT) == "candidate":
                    yield bundle.says(item, "is a candidate's: `make -C k8s all` would start and change it")


def _apart(bundle: Bundle, candidate: Pod, serving: Pod) -> Iterator[str]:
    """Selectors: each is of one of the two."""
    for item in bundle.objects:
        selector = _selector(item)
        if selector is None or selector == {}:  # all of the namespace, as default-deny and dns
            continue
        mine, theirs = matches(selector, candidate.labels), matches(selector, serving.labels)
        of_candidate = (item["metadata"].get("labels") or {}).get(_COMPONENT) == "candidate"
        if mine and theirs:
            yield bundle.says(item, f"selects pods of {SERVING} and of {CANDIDATE}")
        elif mine and not of_candidate:
            yield bundle.says(item, f"selects pods of {CANDIDATE}, and is not the candidate's")
        elif theirs and of_candidate:
            yield bundle.says(item, f"is the candidate's, and selects pods of {SERVING}")
    for item in bundle.of("HorizontalPodAutoscaler", "ScaledObject"):
        if item["spec"]["scaleTargetRef"]["name"] == CANDIDATE:
            yield bundle.says(item, "scales the candidate, which would then take GPUs from the serving Triton")
    for item in bundle.of("PodMonitor", "ServiceMonitor"):
        if matches(item["spec"].get("selector"), candidate.labels):
            yield bundle.says(item, "scrapes the candidate: the serving Triton would be scaled by its requests")


def _selector(item: Object) -> Object | None:
    spec = item.get("spec") or {}
    if item["kind"] == "Service":
        return {"matchLabels": spec["selector"]} if spec.get("selector") else None
    key = {"NetworkPolicy": "podSelector", "CiliumNetworkPolicy": "endpointSelector"}.get(item["kind"], "selector")
    found: Object | None = spec.get(key)
    return found


def _release(bundle: Bundle, candidate: Pod, serving: Pod) -> Iterator[str]:
    own, other = _served(bundle, candidate), _served(bundle, serving)
    if own == other:
        yield bundle.says(candidate.owner, f"serves {own}, as {SERVING} does: a candidate has a release of its own")
    for name in ("image", "args", "command"):
        if candidate.containers[-1].get(name) != serving.containers[-1].get(name):
            yield bundle.says(
                candidate.owner,
                f"its {name} differ from {SERVING}'s: scores would differ for that, not for the release",
            )
    if candidate.spec.get("serviceAccountName") != serving.spec.get("serviceAccountName"):
        yield bundle.says(candidate.owner, f"has another account than {SERVING}, which no identity of Azure knows")


def _served(bundle: Bundle, pod: Pod) -> list[str]:
    """Return the path of the release, by its ConfigMap; or the image that holds it, where it comes by that."""
    variables = [item for container in pod.containers for item in container.get("env", [])]
    wanted = [item.get("valueFrom") or {} for item in variables if item["name"] == "REPOSITORY"]
    found = []
    for source in (item["configMapKeyRef"] for item in wanted if "configMapKeyRef" in item):
        data = (bundle.named("ConfigMap", source["name"]) or {}).get("data", {})
        found.append(str(data.get(source["key"])))
    return found or [str(item["image"]) for item in pod.spec.get("initContainers", []) if item["name"] == "release"]


def _priority(bundle: Bundle, candidate: Pod, serving: Pod) -> Iterator[str]:
    own, other = _class(bundle, candidate), _class(bundle, serving)
    value, above = (0 if item is None else int(item["value"]) for item in (own, other))
    if value >= above:
        yield bundle.says(candidate.owner, f"its priority is {value}, and {SERVING}'s {above}: it would keep its place")
    if value < _CUTOFF:
        yield bundle.says(candidate.owner, f"its priority is {value}: below {_CUTOFF} the autoscaler brings no node")
    if own is not None and own.get("preemptionPolicy") != "Never":
        yield bundle.says(own, "may take the place of others (preemptionPolicy)")
    for item in bundle.of("PriorityClass"):
        if item.get("globalDefault"):
            yield bundle.says(item, "is the default of the whole cluster (globalDefault)")
    rolling = candidate.owner["spec"].get("strategy", {}).get("rollingUpdate") or {}
    if rolling.get("maxSurge") != 0:
        yield bundle.says(candidate.owner, "takes a second place while it rolls (maxSurge): it can wait for its own")


def _class(bundle: Bundle, pod: Pod) -> Object | None:
    return bundle.named("PriorityClass", pod.spec.get("priorityClassName", ""))


def _reach(bundle: Bundle, candidate: Pod, front_end: Pod | None) -> Iterator[str]:
    if front_end is None:
        return
    for policy in bundle.of("NetworkPolicy"):
        spec = policy["spec"]
        if spec.get("podSelector") == {} or not matches(spec.get("podSelector"), candidate.labels):
            continue
        for rule in spec.get("ingress", []):
            ports = {port.get("port") for port in rule.get("ports", [])}
            if rule.get("from") != [_FROM_FRONT_END] or not ports <= {"grpc", 8001}:
                yield bundle.says(policy, "lets others in to the candidate than the front end to its port grpc")
    if not _way(bundle, front_end, candidate):
        yield f"{bundle.name}: no NetworkPolicy lets the front end out to the candidate's port 8001"
    if not any(_lets_in(policy, front_end, candidate) for policy in bundle.of("NetworkPolicy")):
        yield f"{bundle.name}: no NetworkPolicy lets the front end in to the candidate"


def _way(bundle: Bundle, front_end: Pod, candidate: Pod) -> bool:
    return any(
        matches(policy["spec"].get("podSelector"), front_end.labels)
        and any(matches(peer.get("podSelector"), candidate.labels) for peer in rule.get("to", []))
        and any(port.get("port") == 8001 for port in rule.get("ports", []))
        for policy in bundle.of("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
    )


def _lets_in(policy: Object, front_end: Pod, candidate: Pod) -> bool:
    rules = policy["spec"].get("ingress", [])
    return matches(policy["spec"].get("podSelector"), candidate.labels) and any(
        matches(peer.get("podSelector"), front_end.labels) for rule in rules for peer in rule.get("from", [])
    )
