"""Selectors, ports and names: every reference from one object to another must have its target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from k8s.tools.deploy.environment import RECEIVERS
from k8s.tools.validate.objects import CLUSTER_WIDE, Bundle, Object, Pod, matches

SECRETS = {"tosia": {"API_KEY", "BLOB_CONNECTION", "COSMO_KEY", *RECEIVERS}}  # made by k8s/tools/deploy
SOLVER = {
    "matchLabels": {"acme.cert-manager.io/http01-solver": "true"}
}  # cert-manager makes them during its proof of the host
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"  # of a Gateway's pods, which its class makes
SYSTEM_NAMESPACES = {"kube-system", "monitoring", "ingress-nginx", "nginx-ingress", "app-routing-system"}


def selectors(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that each selector selects a pod, and that a workload's selector selects its own pods."""
    everywhere = [pod for bundle in bundles for pod in bundle.pods()]
    for bundle in bundles:
        pods = bundle.pods()
        for pod in pods:
            if pod.owner["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and not matches(
                pod.owner["spec"].get("selector"), pod.labels
            ):
                yield bundle.says(pod.owner, "its selector does not match its own pods' labels")
            for spread in pod.spec.get("topologySpreadConstraints", []):
                if not matches(spread.get("labelSelector"), pod.labels):
                    yield bundle.says(pod.owner, "a topologySpreadConstraint does not select its own pods")
        for service in bundle.of("Service"):
            selector = service["spec"].get("selector")
            if selector is not None and not _selected({"matchLabels": selector}, pods):
                yield bundle.says(service, f"its selector {selector} matches no pod")
        for item in bundle.of("PodDisruptionBudget", "PodMonitor"):
            if not _selected(item["spec"].get("selector"), pods):
                yield bundle.says(item, "its selector matches no pod")
        for item in bundle.of("ServiceMonitor"):
            labels = [service["metadata"].get("labels", {}) for service in bundle.of("Service")]
            if not any(matches(item["spec"].get("selector"), known) for known in labels):
                yield bundle.says(item, "its selector matches no Service")
        for policy in bundle.of("NetworkPolicy"):
            selector = policy["spec"].get("podSelector")
            if not _selected(selector, everywhere) and not made_by_others(bundle, selector):
                yield bundle.says(policy, "its podSelector matches no pod")
            for peer in _peers(policy):
                ours = "podSelector" in peer and "namespaceSelector" not in peer
                ours = ours and not made_by_others(bundle, peer["podSelector"])
                if ours and not _selected(peer["podSelector"], everywhere):
                    yield bundle.says(policy, f"{peer['podSelector']} matches no pod of ours")
        for policy in bundle.of("CiliumNetworkPolicy"):
            if not _selected(policy["spec"].get("endpointSelector"), everywhere):
                yield bundle.says(policy, "its endpointSelector matches no pod")


def ports(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check ports of Services, probes, monitors, ingresses and policies: the target pods must have them."""
    everywhere = [pod for bundle in bundles for pod in bundle.pods()]
    for bundle in bundles:
        pods = bundle.pods()
        for service in bundle.of("Service"):
            selector = service["spec"].get("selector")
            chosen = _selected({"matchLabels": selector} if selector is not None else None, pods)
            for port in service["spec"].get("ports", []):
                target = port.get("targetPort", port["port"])
                if chosen and not any(pod.port(target) for pod in chosen):
                    yield bundle.says(service, f"targetPort {target} is no port of the pods that it selects")
                if service["spec"].get("clusterIP") == "None" and isinstance(target, int) and target != port["port"]:
                    yield bundle.says(service, f"is headless, so port {port['port']} can't be mapped to {target}")
        for pod in pods:
            for container in pod.containers:
                own = Pod(pod.owner, pod.labels, {"containers": [container]})
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    for action in ("httpGet", "tcpSocket", "grpc"):
                        wanted = container.get(probe, {}).get(action, {}).get("port")
                        if (isinstance(wanted, str) and not own.port(wanted)) or (
                            wanted is not None and container.get("ports") and not own.port(wanted)
                        ):
                            yield bundle.says(
                                pod.owner, f"the {probe} of {container['name']} asks port {wanted}, which it has not"
                            )
        for monitor in bundle.of("PodMonitor"):
            chosen = _selected(monitor["spec"].get("selector"), pods)
            for endpoint in monitor["spec"].get("podMetricsEndpoints", []):
                wanted = endpoint.get("port", endpoint.get("portNumber"))
                if not any(pod.port(wanted) for pod in chosen):
                    yield bundle.says(monitor, f"port {wanted} is no port of the pods that it selects")
        yield from _ingresses(bundle)
        for policy in bundle.of("NetworkPolicy"):
            inside = _selected(policy["spec"].get("podSelector"), everywhere)
            for rule in policy["spec"].get("ingress", []):
                for port in rule.get("ports", []):
                    known = any(pod.port(port.get("port")) for pod in inside)
                    if not known and not made_by_others(bundle, policy["spec"].get("podSelector")):
                        yield bundle.says(policy, f"lets in port {port.get('port')}, which its pods have not")
            for rule in policy["spec"].get("egress", []):
                for peer in rule.get("to", []):
                    if "podSelector" not in peer or not _selected(peer["podSelector"], everywhere):
                        continue
                    for port in rule.get("ports", []):
                        if not any(pod.port(port.get("port")) for pod in _selected(peer["podSelector"], everywhere)):
                            yield bundle.says(policy, f"lets out to port {port.get('port')}, which those pods have not")


def references(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check ConfigMaps, Secrets, claims, accounts, volumes, scalers' targets, node classes, variables in arguments."""
    namespaces = {item["metadata"]["name"] for bundle in bundles for item in bundle.of("Namespace")}
    for bundle in bundles:
        for item in bundle.objects:
            namespace = item["metadata"].get("namespace")
            if item["kind"] in CLUSTER_WIDE:
                continue
            if namespace is None:
                yield bundle.says(item, "has no namespace: it would land in whichever is current")
            elif namespace not in namespaces:
                yield bundle.says(item, f"the namespace {namespace} is made nowhere")
        for pod in bundle.pods():
            yield from _of_pod(bundle, pod)
        yield from _scalers(bundle)
        for pool in bundle.of("NodePool"):
            wanted = pool["spec"]["template"]["spec"]["nodeClassRef"]
            if bundle.named(wanted["kind"], wanted["name"]) is None:
                yield bundle.says(pool, f"there is no {wanted['kind']} {wanted['name']}")
        for policy in bundle.of("NetworkPolicy"):
            for peer in _peers(policy):
                for name in namespaces_of(peer.get("namespaceSelector") or {}):
                    if name not in namespaces | SYSTEM_NAMESPACES:
                        yield bundle.says(policy, f"the namespace {name} is nothing we know of")


def _of_pod(bundle: Bundle, pod: Pod) -> Iterator[str]:
    account = pod.spec.get("serviceAccountName")
    if account is not None and bundle.named("ServiceAccount", account) is None:
        yield bundle.says(pod.owner, f"there is no ServiceAccount {account}")
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None and bundle.named("PersistentVolumeClaim", claim) is None:
            yield bundle.says(pod.owner, f"there is no PersistentVolumeClaim {claim}")
        if "configMap" in volume and bundle.named("ConfigMap", volume["configMap"].get("name", "")) is None:
            yield bundle.says(pod.owner, f"there is no ConfigMap {volume['configMap'].get('name')}")
        if "secret" in volume and volume["secret"].get("secretName") not in SECRETS:
            yield bundle.says(pod.owner, f"the Secret {volume['secret'].get('secretName')} is made nowhere")
    mounted = {mount["name"] for item in pod.containers for mount in item.get("volumeMounts", [])}
    for name in sorted(mounted - volumes.keys()):
        yield bundle.says(pod.owner, f"mounts the volume {name}, which it has not")
    for name in sorted(volumes.keys() - mounted):
        yield bundle.says(pod.owner, f"has the volume {name}, which nothing mounts")
    for container in pod.containers:
        yield from _of_container(bundle, pod, container)


def _of_container(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    known = {variable["name"] for variable in container.get("env", [])}
    for source in container.get("envFrom", []):
        name = source.get("configMapRef", {}).get("name")
        if name is not None:
            found = bundle.named("ConfigMap", name)
            if found is None:
                yield bundle.says(pod.owner, f"there is no ConfigMap {name}")
            known |= (found or {}).get("data", {}).keys()
        secret = source.get("secretRef", {}).get("name")
        if secret is not None:
            if secret not in SECRETS:
                yield bundle.says(pod.owner, f"the Secret {secret} is made nowhere")
            known |= SECRETS.get(secret, set())
    for variable in container.get("env", []):
        origin = variable.get("valueFrom") or {}
        if "configMapKeyRef" in origin:
            wanted = origin["configMapKeyRef"]
            found = bundle.named("ConfigMap", wanted["name"])
            if not wanted.get("optional") and (found is None or wanted["key"] not in found.get("data", {})):
                yield bundle.says(
                    pod.owner, f"{variable['name']}: there is no ConfigMap {wanted['name']} with {wanted['key']}"
                )
        if "secretKeyRef" in origin:
            wanted = origin["secretKeyRef"]
            if wanted["key"] not in SECRETS.get(wanted["name"], set()):
                yield bundle.says(
                    pod.owner, f"{variable['name']}: no Secret {wanted['name']} with {wanted['key']} is ever made"
                )
    if container.get("command", [""])[0] in ("bash", "sh"):
        return  # here `$(...)` belongs to the shell
    for text in (*container.get("command", []), *container.get("args", [])):
        for name in re.findall(r"(?<!\$)\$\(([A-Za-z_][A-Za-z0-9_]*)\)", text):
            if name not in known:
                yield bundle.says(pod.owner, f"{container['name']}: $({name}) in its arguments is no variable of it")


def _scalers(bundle: Bundle) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    for scaler in bundle.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        kind, name = target.get("kind", "Deployment"), target["name"]
        found = bundle.named(kind, name)
        if found is None:
            yield bundle.says(scaler, f"there is no {kind} {name} to scale")
        elif "replicas" in found["spec"]:
            yield bundle.says(scaler, f"{kind} {name} says its own replicas, so that each `apply` undoes the scaler")
        if (kind, name) in seen:
            yield bundle.says(
                scaler, f"{kind} {name} is scaled by {seen[kind, name]} already: two would fight, and KEDA refuses it"
            )
        seen[kind, name] = f"{scaler['kind']} {scaler['metadata']['name']}"
        spec = scaler["spec"]
        low, high = (
            (spec.get("minReplicas", 1), spec["maxReplicas"])
            if scaler["kind"] == "HorizontalPodAutoscaler"
            else (spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100))
        )
        if low > high:
            yield bundle.says(scaler, f"at least {low} and at most {high} replicas")


def _ingresses(bundle: Bundle) -> Iterator[str]:
    for ingress in bundle.of("Ingress"):
        hosts = {host for tls in ingress["spec"].get("tls", []) for host in tls.get("hosts", [])}
        for rule in ingress["spec"].get("rules", []):
            if rule.get("host") not in hosts:
                yield bundle.says(ingress, f"the host {rule.get('host')} has no TLS")
            for path in rule.get("http", {}).get("paths", []):
                wanted = path["backend"]["service"]
                service = bundle.named("Service", wanted["name"])
                if service is None:
                    yield bundle.says(ingress, f"there is no Service {wanted['name']}")
                    continue
                port = wanted["port"].get("name", wanted["port"].get("number"))
                if not any(port in (item.get("name"), item["port"]) for item in service["spec"]["ports"]):
                    yield bundle.says(ingress, f"Service {wanted['name']} has no port {port}")


def made_by_others(bundle: Bundle, selector: Object | None) -> bool:
    """Whether a selector is of pods that are in no manifest: cert-manager's, or those of a Gateway of the folder."""
    name = ((selector or {}).get("matchLabels") or {}).get(GATEWAY_NAME)
    return selector == SOLVER or bundle.named("Gateway", str(name)) is not None


def _selected(selector: Object | None, pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if matches(selector, pod.labels)]


def _peers(policy: Object) -> Iterator[Object]:
    for rule in policy["spec"].get("ingress", []):
        yield from rule.get("from", [])
    for rule in policy["spec"].get("egress", []):
        yield from rule.get("to", [])


def namespaces_of(selector: Object) -> list[str]:
    key = "kubernetes.io/metadata.name"
    named = [value for name, value in (selector.get("matchLabels") or {}).items() if name == key]
    listed = [
        value
        for matchExpression in selector.get("matchExpressions") or []
        if matchExpression["key"] == key and matchExpression["operator"] == "In"
        for value in matchExpression["values"]
    ]
    return [*named, *listed]
