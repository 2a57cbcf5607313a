"""Checks of our own service: allowed connections, and required settings of front end, Triton and scalers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from frontend.configuration.deadlines_limits_intervals import CONFIG_VARIABLE
from frontend.configuration.settings import SettingsError, read_settings
from k8s.tools.deploy.deployments import CANDIDATE, INTAKE
from k8s.tools.validate.objects import Bundle, Object, Pod, matches
from k8s.tools.validate.placement import GPU
from k8s.tools.validate.probes import serves_triton
from k8s.tools.validate.tuned import is_front_end, tuning_of, variables
from runtime.config import load_limits

# The one place of the tag; images in the manifests are held to it.
TRITON_TAG = json.loads((Path(__file__).resolve().parents[2] / "versions.json").read_text("utf-8"))["triton"]["version"]
TRITON_IMAGE = re.compile(rf"(nvcr\.io/nvidia|tosia\.azurecr\.io)/tritonserver:{re.escape(TRITON_TAG)}(?P<sdk>-sdk)?")
PROMETHEUS = "http://kube-prometheus-stack-prometheus.monitoring.svc:9090"
_PEERS = {"ingress": "from", "egress": "to"}
_INGRESSES = {"ingress-nginx", "nginx-ingress", "app-routing-system"}
_NAME = "app.kubernetes.io/name"
_FROM_PROMETHEUS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {_NAME: "prometheus"}},
}
_GATEWAY_PODS = {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "frontend"}}}
_FROM_GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tosia-gateway"}},
    **_GATEWAY_PODS,
}
_KUBE_DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
_DUMMIES = {
    "API_KEY": "k",
    "COSMO_KEY": "a2V5",
    "BLOB_CONNECTION": "AccountName=account;AccountKey=a2V5;EndpointSuffix=core.windows.net",
}
_KEDA_KEYS = {
    *("serverAddress", "query", "threshold", "activationThreshold", "namespace", "customHeaders", "ignoreNullValues"),
    *("queryParameters", "unsafeSsl", "timeout", "authModes"),
}
_CILIUM = {  # shared/crds has no definition: only the fields that we use
    "type": "object",
    "required": ["endpointSelector"],
    "additionalProperties": False,
    "properties": {
        "endpointSelector": {"type": "object"},
        "egress": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "toEndpoints": {"type": "array"},
                    "toFQDNs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"matchName": {"type": "string"}, "matchPattern": {"type": "string"}},
                        },
                    },
                    "toPorts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "ports": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "port": {"type": "string"},
                                            "protocol": {"enum": ["TCP", "UDP", "SCTP", "ANY"]},
                                        },
                                    },
                                },
                                "rules": {
                                    "type": "object",
                                    "properties": {"dns": {"type": "array"}},
                                    "additionalProperties": False,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def reach(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check connections: into Triton only from the front end, the intake, Prometheus, benchmarks; into the front end
    only from the ingress, Prometheus; out only as listed.
    """
    for bundle in bundles:
        for policy in bundle.of("NetworkPolicy"):
            spec = policy["spec"]
            for part, kind in (("ingress", "Ingress"), ("egress", "Egress")):
                if spec.get(part) and kind not in spec.get("policyTypes", []):
                    yield bundle.says(policy, f"its {part} rules do nothing: policyTypes lacks {kind}")
            selected = (spec.get("podSelector") or {}).get("matchLabels") or {}
            for rule in spec.get("ingress", []):
                for peer in rule.get("from", []):
                    if not _may_come(peer, selected, [port.get("port") for port in rule.get("ports", [])]):
                        yield bundle.says(policy, f"lets in {json.dumps(peer)}, which is none of those that may come")
            for rule in spec.get("egress", []):
                if any(port.get("port") == 53 for port in rule.get("ports", [])) and not _is_dns(rule):
                    yield bundle.says(policy, "DNS needs UDP and TCP, to kube-dns in kube-system")
        data = [item.get("data") or {} for item in bundle.of("ConfigMap")]
        url = next((item["TRITON_URL"] for item in data if "TRITON_URL" in item), None)
        if url is not None:
            yield from _way_to_triton(bundle, url.rpartition(":")[2])
        for policy in bundle.of("CiliumNetworkPolicy"):
            for error in jsonschema.Draft7Validator(_CILIUM).iter_errors(policy["spec"]):
                place = ".".join(str(step) for step in error.path)
                yield bundle.says(policy, f"at {place or 'spec'}: {error.message}")
            if not any(
                "rules" in ports for rule in policy["spec"].get("egress", []) for ports in rule.get("toPorts", [])
            ):
                yield bundle.says(policy, "has no rule for DNS, so that Cilium never learns the names' addresses")


def _is_dns(rule: Object) -> bool:
    return {port.get("protocol", "TCP") for port in rule["ports"]} == {"UDP", "TCP"} and _KUBE_DNS in rule["to"]


def _may_come(peer: Mapping[str, Any], selected: Mapping[str, str], ports: list[Any]) -> bool:
    if peer == _FROM_PROMETHEUS:
        return set(ports) <= {"metrics", 8002, 9090}
    space = (peer.get("namespaceSelector") or {}).get("matchExpressions") or []
    by_nginx = bool(space) and set(space[0].get("values", [])) <= _INGRESSES
    if peer in (_FROM_GATEWAY, _GATEWAY_PODS) or by_nginx:
        return ("acme.cert-manager.io/http01-solver" in selected and peer != _FROM_GATEWAY) or (
            selected.get(_NAME) == "frontend" and set(ports) <= {"http", 8080} and peer != _GATEWAY_PODS
        )
    labels = (peer.get("podSelector") or {}).get("matchLabels") or {}
    if "namespaceSelector" in peer or "ipBlock" in peer or selected.get(_NAME) not in ("triton", CANDIDATE):
        return False
    if labels == {_NAME: "frontend"} or (labels == {_NAME: INTAKE} and selected.get(_NAME) == "triton"):
        return set(ports) <= {"grpc", 8001}
    return (
        selected.get(_NAME) == "triton"
        and labels == {"tosia/bench": "true"}
        and set(ports) <= {"grpc", "metrics", 8001, 8002}
    )


def _way_to_triton(bundle: Bundle, port: str) -> Iterator[str]:
    pods = {pod.labels.get(_NAME): pod for pod in bundle.pods()}
    triton = pods.get("triton")
    for name, who in (("frontend", "the front end"), (INTAKE, "the intake")):
        if name not in pods or triton is None:
            continue
        if not any(_leads(policy, "egress", pods[name], triton, {port}) for policy in bundle.of("NetworkPolicy")):
            yield f"{bundle.name}: no NetworkPolicy lets {who} out to Triton's port {port}"
        if not any(
            _leads(policy, "ingress", triton, pods[name], {port, "grpc"}) for policy in bundle.of("NetworkPolicy")
        ):
            yield f"{bundle.name}: no NetworkPolicy lets {who} in to Triton"


def _leads(policy: Object, part: str, own: Pod, other: Pod, ports: set[str]) -> bool:
    """Whether a policy of `own` has a rule for `other`. part: ingress or egress"""
    return matches(policy["spec"].get("podSelector"), own.labels) and any(
        any(matches(peer["podSelector"], other.labels) for peer in rule.get(_PEERS[part], []) if "podSelector" in peer)
        and any(str(item.get("port")) in ports for item in rule.get("ports", []))
        for rule in policy["spec"].get(part, [])
    )


def front_end(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that the front end starts with its settings, drains, may write its files, and that only one process uses
    the embedded stores.
    """
    for bundle in bundles:
        for item in bundle.of("Deployment"):
            if item["metadata"]["name"] != "frontend":
                continue
            spec = item["spec"]["template"]["spec"]
            container = spec["containers"][0]
            settings = variables(bundle, container)
            placeholders = {
                name: re.sub("ACCOUNT|CONTAINER", lambda found: found[0].lower(), text)
                for name, text in settings.items()
            }
            try:
                read_settings({**_DUMMIES, **placeholders, CONFIG_VARIABLE: ""})  # agreement.py checks that file
            except SettingsError as error:
                yield bundle.says(item, f"would not start: {error}")
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            if "/tmp" not in mounts:  # noqa: S108
                yield bundle.says(item, "has a read-only root and no /tmp")
            tuning, _ = tuning_of(bundle, Pod(item, {}, spec), container)
            if tuning is not None and tuning.service.drain_seconds < 1.0:
                yield bundle.says(item, "does not drain (drain_seconds): requests of its last seconds would fail")
            if settings.get("TOSIA_STORES") == "embedded":
                if settings.get("TOSIA_VAR") not in mounts:
                    yield bundle.says(item, f"keeps calls in {settings.get('TOSIA_VAR')}, which is no volume")
                if item["spec"].get("replicas") != 1 or item["spec"].get("strategy", {}).get("type") != "Recreate":
                    yield bundle.says(item, "embedded stores are for one process at a time: one replica, Recreate")
            elif settings.get("ALLOW_UNVALIDATED") == "1":
                yield bundle.says(
                    item, "serves models that are not validated: that is said at a deployment, not in a file"
                )


def triton(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that Triton has one version everywhere, ends after a pause, and limits the age of its connections."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                image = str(container.get("image", ""))
                of_gpu = GPU in container.get("resources", {}).get("limits", {})
                if not ("triton" in image or of_gpu or serves_triton(container)):
                    continue
                known = TRITON_IMAGE.fullmatch(image)
                # Only the benchmark takes the SDK, which has perf_analyzer and no server.
                if known is None or (known["sdk"] is not None) != (container["name"] == "perf-analyzer"):
                    yield bundle.says(
                        pod.owner, f"{image} is not Triton {TRITON_TAG}, for which everything here was written"
                    )
            if pod.owner["kind"] != "Deployment" or pod.labels.get(_NAME) not in ("triton", CANDIDATE):
                continue
            container = pod.spec["containers"][0]
            given = {argument.partition("=")[0] for argument in container.get("args", [])}
            for flag in ("--disable-auto-complete-config", "--grpc-max-connection-age", "--exit-timeout-secs"):
                if flag not in given:
                    yield bundle.says(pod.owner, f"lacks {flag}")
            if "preStop" not in container.get("lifecycle", {}):
                yield bundle.says(pod.owner, "has no preStop: it would be killed before its endpoints are updated")
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {})
                if asked.get("httpGet", {}).get("port") not in ("http", 8000) and "exec" not in asked:
                    yield bundle.says(pod.owner, f"the {probe} must ask the port http")


def scaling(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check for errors that KEDA's webhook and Karpenter refuse, and for settings that keep nodes for ever."""
    for bundle in bundles:
        for scaler in bundle.of("ScaledObject"):
            names = [trigger.get("name") for trigger in scaler["spec"]["triggers"]]
            if len(set(names)) < len(names):
                yield bundle.says(scaler, "two triggers have one name")
            for trigger in scaler["spec"]["triggers"]:
                for problem in _of_trigger(trigger):
                    yield bundle.says(scaler, problem)
        for scaler in bundle.of("HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            found = bundle.named(target["kind"], target["name"])
            if found is not None and found["apiVersion"] != target.get("apiVersion"):
                yield bundle.says(
                    scaler, f"scales {target.get('apiVersion')} {target['kind']}, which is {found['apiVersion']}"
                )
            for metric in scaler["spec"].get("metrics", []):
                if metric["type"] == "Resource" and metric["resource"]["name"] not in ("cpu", "memory"):
                    yield bundle.says(scaler, f"{metric['resource']['name']} is no resource that is measured")
        for budget in bundle.of("PodDisruptionBudget"):
            if "minAvailable" in budget["spec"]:
                yield bundle.says(budget, "minAvailable may block the drain of a node for ever: say maxUnavailable")
        for pool in bundle.of("NodePool"):
            spec = pool["spec"]["template"]["spec"]
            if "expireAfter" not in spec:
                yield bundle.says(pool, "has no expireAfter: its nodes never get a newer image")
            if spec["nodeClassRef"]["group"] != "karpenter.azure.com":
                yield bundle.says(pool, f"its node class is of {spec['nodeClassRef']['group']}")
            for requirement in spec["requirements"]:
                if requirement["key"] == "karpenter.sh/capacity-type" and not set(requirement["values"]) <= {
                    "spot",
                    "on-demand",
                }:
                    yield bundle.says(pool, f"there is no capacity-type {', '.join(requirement['values'])}")
                if requirement["operator"] in ("Gt", "Lt") and len(requirement.get("values", [])) != 1:
                    yield bundle.says(pool, f"{requirement['key']}: {requirement['operator']} takes one number")


def _of_trigger(trigger: Object) -> Iterator[str]:
    if trigger["type"] == "azure-queue":
        return  # intake.py
    if trigger["type"] != "prometheus":
        yield f"there is no trigger {trigger['type']}: ours are prometheus and azure-queue"
        return
    metadata = trigger["metadata"]
    for name in sorted(metadata.keys() - _KEDA_KEYS):
        yield f"{name} is nothing that the prometheus trigger knows"
    for name in ("threshold", "activationThreshold"):
        if not re.fullmatch(r"\d+(\.\d+)?", metadata.get(name, "" if name == "threshold" else "0")):
            yield f"{name} is {metadata.get(name)!r}, no number"
    if trigger.get("metricType", "AverageValue") not in ("AverageValue", "Value"):
        yield f"there is no metricType {trigger['metricType']}"
    if metadata.get("serverAddress") != PROMETHEUS:
        yield f"asks {metadata.get('serverAddress')}, which is not where Prometheus is ({PROMETHEUS})"


def way_in(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that the ingress routes everything to the front end with a certificate, that nothing else is open, and that
    monitors read metrics.
    """
    for bundle in bundles:
        for ingress in bundle.of("Ingress"):
            spec, notes = ingress["spec"], ingress["metadata"].get("annotations") or {}
            if spec.get("ingressClassName") != "nginx":
                yield bundle.says(ingress, f"its class is {spec.get('ingressClassName')}, not nginx")
            if "cert-manager.io/cluster-issuer" not in notes:
                yield bundle.says(ingress, "no issuer makes its certificate")
            if not all(tls.get("secretName") for tls in spec.get("tls") or []):
                yield bundle.says(ingress, "its certificate has no secretName")
            paths = [path["path"] for rule in spec["rules"] for path in rule["http"]["paths"]]
            for host in [rule.get("host") for rule in spec["rules"] if "*" in str(rule.get("host"))]:
                yield bundle.says(ingress, f"its host {host} is a wildcard: no certificate of HTTP-01 is for one")
            if paths != ["/"]:
                yield bundle.says(ingress, f"leads {', '.join(paths)}, not / alone")
        for service in bundle.of("Service"):
            if service["spec"].get("externalIPs"):
                yield bundle.says(service, "has addresses of its own (externalIPs)")
        for account in bundle.of("ServiceAccount"):
            if account.get("automountServiceAccountToken") is not False:
                yield bundle.says(account, "hands out a token for Kubernetes that nobody needs")
        for monitor in bundle.of("PodMonitor"):
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                if (endpoint.get("port"), endpoint.get("path", "/metrics")) != ("metrics", "/metrics"):
                    yield bundle.says(monitor, "metrics are on the port metrics, at /metrics")


def retention(root: Path, bundles: Sequence[Bundle] = ()) -> Iterator[str]:
    """Check that blobs expire with the calls of front ends with stores in Azure; without any, as in config.yml."""
    found = {"config.yml": load_limits()[1].retention_days}
    for bundle in bundles:
        for pod in bundle.pods():
            for container in filter(is_front_end, pod.containers):
                tuning, _ = tuning_of(bundle, pod, container)
                if tuning is not None and variables(bundle, container).get("TOSIA_STORES") == "azure":
                    found.pop("config.yml", None)
                    found[bundle.name] = tuning.limits.retention_days
    policy = json.loads((root / "azure" / "blob-lifecycle.json").read_text(encoding="utf-8"))
    for rule in policy["rules"]:
        for name, action in rule["definition"]["actions"].items():
            for place, days in found.items():
                if action != {"delete": {"daysAfterCreationGreaterThan": days}}:
                    yield f"{place}: limits.retention_days is {days}, but azure/blob-lifecycle.json: {name}: {action}"
