"""Nothing is found in what is committed, and each deliberate mistake is found."""

from __future__ import annotations

import copy
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from k8s.tools.validate import (
    admission,
    agreement,
    candidates,
    files,
    gateways,
    gpus,
    intake,
    placement,
    references,
    rollouts,
    safety,
    schemas,
    series,
    serving,
    traces,
    values,
)
from k8s.tools.validate.__main__ import CHECKS, findings, main
from k8s.tools.validate.combinations import OVERLAY, combinations, components_of, render_combination
from k8s.tools.validate.objects import Bundle
from laptop.service import CHECKOUT
from tests.k8s.rendering import COMBINATIONS, FOLDERS, MANIFESTS, bundles, definitions, kubectl, promtool

Check = Callable[[Sequence[Bundle]], Iterator[str]]


def custom(changed: Sequence[Bundle]) -> Iterator[str]:
    return schemas.custom(changed, schemas.read_definitions(definitions()))


def karpenter(changed: Sequence[Bundle]) -> Iterator[str]:
    return schemas.karpenter(changed, definitions())


def configuration(changed: Sequence[Bundle]) -> Iterator[str]:
    return agreement.configuration(changed, CHECKOUT / "config.yml")


def retention(changed: Sequence[Bundle]) -> Iterator[str]:
    return serving.retention(MANIFESTS, changed)


BY_DEFINITIONS = (custom, karpenter)  # of custom kinds, which lie in ../shared


def test_every_overlay_is_rendered_and_no_check_finds_anything() -> None:
    assert {f"overlays/{path.name}" for path in (MANIFESTS / "overlays").iterdir()} <= set(FOLDERS)
    assert {"candidate/azure", "candidate/cpu"} <= set(FOLDERS)
    assert {"overlays/azure", "overlays/cpu", "gpu-nodepool", "perf-analyzer", "tensorrt-plan"} <= set(FOLDERS)
    assert list(findings(bundles(), None)) == []


@pytest.mark.shared
def test_custom_kinds_are_as_their_definitions_have_them() -> None:
    assert list(findings(bundles(), definitions())) == []


GONE = object()


def of_secret(key: str) -> dict[str, Any]:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": "tosia", "key": key}}}


AZURE, POOL, PERF, CPU = "overlays/azure", "gpu-nodepool", "perf-analyzer", "overlays/cpu"
BESIDE, BESIDE_CPU = "overlays/azure with a candidate", "overlays/cpu with a candidate"
CANDIDATE, TO_CANDIDATE = "Deployment/candidate-triton", "NetworkPolicy/frontend-to-candidate"
INTAKE, SENDS, BY_NAME = "overlays/intake", "overlays/callbacks", "overlays/azure with fqdn-egress, intake"
TAKES, COUNTS, ASKS, MAY = (
    f"{kind}/intake" for kind in ("Deployment", "ScaledObject", "TriggerAuthentication", "NetworkPolicy")
)
FIXED, PLAN, NGINX = "overlays/no-spare-gpu", "tensorrt-plan", "overlays/nginx"
CONCERNED = {
    NGINX,
    AZURE,
    POOL,
    PERF,
    CPU,
    FIXED,
    PLAN,
    "overlays/fqdn-egress",
    "overlays/traces",
    "overlays/azure with a candidate",
    "overlays/cpu with a candidate",
    "overlays/intake",
    "overlays/callbacks",
    "overlays/azure with callbacks, fqdn-egress",
    "overlays/azure with callbacks, intake",
    "overlays/azure with fqdn-egress, intake",
    "overlays/azure with intake, traces",
}  # the others hold the same objects once more
POD = "spec|template|spec"
ONE = f"{POD}|containers|0"
LABELS = "matchLabels|app.kubernetes.io/name"
PEER = "from|0|podSelector|matchLabels|app.kubernetes.io/name"
NAMESPACE = "from|0|namespaceSelector|matchLabels|kubernetes.io/metadata.name"
SET, FILE = "ConfigMap/settings", "data|settings.yml"
FRONT, TRITON, SCALER = "Deployment/frontend", "Deployment/triton", "ScaledObject/triton"
SPOT, NODES, PLUGIN = "NodePool/tosia-gpu-spot", "AKSNodeClass/tosia-gpu", "DaemonSet/nvidia-device-plugin"
POLICY, INGRESS, RULES = "NetworkPolicy/triton", "Ingress/frontend", "PrometheusRule/tosia"
GATEWAY, ROUTE, REDIRECT = "Gateway/frontend", "HTTPRoute/frontend", "HTTPRoute/frontend-to-https"
FROM_GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tosia-gateway"}},
    "podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "frontend"}},
}
HPA = "HorizontalPodAutoscaler/frontend"
WEIGHT = f"{POD}|affinity|nodeAffinity|preferredDuringSchedulingIgnoredDuringExecution|0"
PREFERRED = f"{WEIGHT}|preference"
NO_SPOT = {"key": "karpenter.sh/capacity-type", "operator": "NotIn", "values": ["spot"]}
REQUIREMENT = {"key": "karpenter.azure.com/sku-gpu", "operator": "In", "values": ["T4"]}
CLAIM = {"name": "calls", "persistentVolumeClaim": {"claimName": "call"}}

# what is wrong: the check that must find it, folder, object, path in it, value there (GONE: nothing; a path that ends
# in + adds to a list; an empty path: several, path -> value), what must be said
TRACED, SET_OF_FRONT, WAY = "overlays/traces", "ConfigMap/frontend", "NetworkPolicy/traces"
TO_COLLECTOR = "spec|egress|0|to|0|namespaceSelector|matchLabels|kubernetes.io/metadata.name"
MISTAKES: dict[str, tuple[Check, str, str, str, Any, str]] = {
    # spans
    "callers decide what is sampled": (traces.traces, TRACED, SET_OF_FRONT, "data|OTEL_TRACES_SAMPLER",
        "parentbased_traceidratio", "follows callers"),
    "no sampler": (traces.traces, TRACED, SET_OF_FRONT, "data|OTEL_TRACES_SAMPLER", GONE, "follows callers"),
    "no way to the collector": (traces.traces, TRACED, WAY, TO_COLLECTOR, "tosia", "no NetworkPolicy lets it reach"),
    "another port of the collector": (traces.traces, TRACED, WAY, "spec|egress|0|ports|0|port", 4317,
        "no NetworkPolicy lets it reach"),
    "two collectors": (traces.traces, TRACED, SET_OF_FRONT, "data|OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://other.monitoring.svc:4318", "trace-config url is http://otel-collector"),
    "Triton without a level": (traces.traces, TRACED, TRITON, f"{ONE}|args|-3", "--trace-config=level=OFF",
        "trace-config level is OFF"),
    "Triton traces by itself": (traces.traces, TRACED, TRITON, f"{ONE}|args|-2", "--trace-config=rate=1",
        "calls that are not sampled"),
    "Triton traces alone": (traces.traces, AZURE, TRITON, f"{ONE}|args|+", "--trace-config=mode=opentelemetry",
        "the front end makes none"),
    "an address that is none": (serving.front_end, TRACED, SET_OF_FRONT, "data|OTEL_EXPORTER_OTLP_ENDPOINT",
        "otel-collector:4318", "is not an address"),
    "a misspelt variable of traces": (configuration, TRACED, SET_OF_FRONT, "data|OTEL_TRACE_SAMPLER", "always_on",
        "OTEL_TRACE_SAMPLER is no setting"),
    # what the API server refuses
    "misspelt field": (schemas.built_in, AZURE, FRONT, "spec|replica", 2, "replica"),
    "number for text": (schemas.built_in, AZURE, FRONT, f"{ONE}|env|+", {"name": "TOSIA_VAR", "value": 1}, "string"),
    "old version": (schemas.built_in, AZURE, "HorizontalPodAutoscaler/frontend", "apiVersion", "autoscaling/v2beta2",
        "no autoscaling/v2beta2"),
    "custom: misspelt field": (custom, AZURE, SCALER, "spec|minReplicas", 1, "minReplicas"),
    "custom: missing field": (custom, POOL, SPOT, "spec|disruption|consolidateAfter", GONE, "consolidateAfter"),
    "custom: unknown version": (custom, POOL, NODES, "apiVersion", "karpenter.azure.com/v1",
        "not among the definitions"),
    "custom: no such value": (custom, POOL, NODES, "spec|imageFamily", "Debian", "Debian"),
    "label that Karpenter refuses": (karpenter, POOL, SPOT, f"{POD}|requirements|+", REQUIREMENT,
        "sku-gpu is not a label"),
    "no namespace": (references.references, AZURE, "Service/triton", "metadata|namespace", GONE, "has no namespace"),
    "restart policy of a Job": (admission.admission, PERF, "Job/perf-analyzer", f"{POD}|restartPolicy", "Always",
        "Never or OnFailure"),
    "restart policy": (admission.admission, AZURE, FRONT, f"{POD}|restartPolicy", "Never", "only be Always"),
    "no way to roll": (admission.admission, AZURE, FRONT, "spec|strategy|rollingUpdate|maxSurge", 0, "can't be rolled"),
    "two kinds of budget": (admission.admission, AZURE, "PodDisruptionBudget/triton", "spec|minAvailable", 1,
        "only one of them"),
    "variable twice": (admission.admission, AZURE, TRITON, f"{ONE}|env|+", {"name": "POD_UID", "value": "x"},
        "POD_UID is there 2 times"),
    "no quantity": (admission.admission, AZURE, FRONT, f"{ONE}|resources|limits|memory", "3GB", "is no quantity"),
    "half a GPU": (admission.admission, AZURE, TRITON, f"{ONE}|resources|limits|nvidia.com/gpu", "0.5", "comes whole"),
    "ports without names": (admission.admission, AZURE, "Service/triton", "spec|ports|1|name", GONE,
        "each needs a name"),
    "no addresses": (admission.admission, AZURE, POLICY, "spec|egress|0|to|0|ipBlock|cidr", "0.0.0.0/33",
        "not a range of addresses"),
    "no such profile": (admission.admission, AZURE, "Namespace/tosia",
        "metadata|labels|pod-security.kubernetes.io/enforce", "strict", "baseline, privileged, restricted"),
    "no such priority": (admission.admission, AZURE, FRONT, f"{POD}|priorityClassName", "high", "PriorityClass high"),
    "no such pull policy": (values.values, AZURE, FRONT, f"{ONE}|imagePullPolicy", "ifNotPresent",
        "imagePullPolicy is"),
    "no such protocol": (values.values, AZURE, "Service/triton", "spec|ports|0|protocol", "tcp", "protocol is 'tcp'"),
    "no such access": (values.values, CPU, "PersistentVolumeClaim/calls", "spec|accessModes|0", "ReadWriteOnes",
        "ReadWriteOnes"),
    "no such operator": (values.values, AZURE, "NetworkPolicy/frontend",
        "spec|ingress|0|from|0|namespaceSelector|matchExpressions|0|operator", "in", "operator 'in'"),
    "skew of none": (values.values, AZURE, TRITON, f"{POD}|topologySpreadConstraints|0|maxSkew", 0, "maxSkew is 0"),
    "port beyond all": (values.values, AZURE, "Service/frontend", "spec|ports|0|port", 80000, "from 1 to 65535"),
    "liveness twice": (values.values, AZURE, FRONT, f"{ONE}|livenessProbe|successThreshold", 2, "can only be 1"),
    "part of a pod": (values.values, AZURE, FRONT, "spec|strategy|rollingUpdate|maxSurge", "1",
        "a number, or a percentage"),
    "label's value": (values.values, AZURE, FRONT, "spec|template|metadata|labels|team", "a b!", "no value of a label"),
    "field of the pod": (values.values, AZURE, TRITON, f"{ONE}|env|0|valueFrom|fieldRef|fieldPath", "metadata.uuid",
        "metadata.uuid"),
    "thousandths of bytes": (values.values, AZURE, FRONT, f"{ONE}|resources|requests|memory", "1536m",
        "thousandths of a byte"),
    "tolerates all": (values.values, AZURE, FRONT, f"{POD}|tolerations", [{"operator": "Exists"}],
        "tolerates every taint"),
    "custom: trigger": (serving.scaling, AZURE, SCALER, "spec|triggers|0|type", "prometeus", "no trigger prometeus"),
    "custom: threshold": (serving.scaling, AZURE, SCALER, "spec|triggers|0|metadata|threshold", "lots", "no number"),
    "custom: capacity": (serving.scaling, POOL, SPOT, f"{POD}|requirements|2|values|0", "spott",
        "no capacity-type spott"),
    "cilium: number for text": (serving.reach, "overlays/fqdn-egress", "CiliumNetworkPolicy/egress-by-name",
        "spec|egress|1|toPorts|0|ports|0|port", 443, "is not of type 'string'"),
    # what it takes, and what then does not work
    "Prometheus elsewhere": (serving.scaling, AZURE, SCALER, "spec|triggers|0|metadata|serverAddress",
        "http://prometheus:9090", "not where"),
    "setting it can't start with": (serving.front_end, AZURE, "ConfigMap/frontend", "data|TOSIA_STORES", "azur",
        "would not start"),
    "no drain": (serving.front_end, AZURE, FRONT, f"{ONE}|args|+", "--drain-seconds=0", "does not drain"),
    "no /tmp": (serving.front_end, AZURE, FRONT, f"{ONE}|volumeMounts|0|mountPath", "/scratch", "no /tmp"),
    "two processes, one file": (serving.front_end, CPU, FRONT, "spec|replicas", 2, "one process at a time"),
    "another Triton": (serving.triton, AZURE, TRITON, f"{ONE}|image", "nvcr.io/nvidia/tritonserver:24.10-py3",
        "for which everything here was written"),
    "Triton by another name": (serving.triton, AZURE, TRITON, f"{ONE}|image", "tosia.azurecr.io/triton:24.10",
        "for which everything here was written"),
    "the SDK instead of the server": (serving.triton, AZURE, TRITON, f"{ONE}|image",
        "tosia.azurecr.io/tritonserver:26.11-py3-sdk", "for which everything here was written"),
    "the server instead of the SDK": (serving.triton, PERF, "Job/perf-analyzer", f"{ONE}|image",
        "nvcr.io/nvidia/tritonserver:26.11-py3", "for which everything here was written"),
    "a plan by another image": (serving.triton, PLAN, "Job/tensorrt-plan", f"{POD}|initContainers|1|image",
        "tosia.azurecr.io/tensorrt:10", "for which everything here was written"),
    "no leave": (serving.triton, AZURE, TRITON, f"{ONE}|lifecycle", GONE, "has no preStop"),
    "connections for ever": (serving.triton, AZURE, TRITON, f"{ONE}|args|5", "--log-info=1",
        "lacks --grpc-max-connection-age"),
    "way to another port": (serving.reach, AZURE, "NetworkPolicy/frontend", "spec|egress|0|ports|0|port", 8002,
        "to Triton's port 8001"),
    "DNS by TCP alone": (serving.reach, AZURE, "NetworkPolicy/dns", "spec|egress|0|ports|0", GONE,
        "DNS needs UDP and TCP"),
    "rules that do nothing": (serving.reach, AZURE, POLICY, "spec|policyTypes", ["Egress"],
        "policyTypes lacks Ingress"),
    "class of the ingress": (serving.way_in, NGINX, INGRESS, "spec|ingressClassName", "ngnix", "not nginx"),
    "certificate of many hosts": (serving.way_in, NGINX, INGRESS, "spec|rules|0|host", "*.tosia.example",
        "is a wildcard"),
    "half the paths": (serving.way_in, NGINX, INGRESS, "spec|rules|0|http|paths|0|path", "/api", "not / alone"),
    "nodes for ever": (serving.scaling, POOL, SPOT, f"{POD}|expireAfter", GONE, "has no expireAfter"),
    "scaled as another kind": (serving.scaling, AZURE, "HorizontalPodAutoscaler/frontend",
        "spec|scaleTargetRef|apiVersion", "v1", "scales v1"),
    "selector not its pods'": (references.selectors, AZURE, TRITON, f"spec|selector|{LABELS}", "tritons",
        "does not match its own"),
    "Service of nothing": (references.selectors, AZURE, "Service/frontend", "spec|selector|app.kubernetes.io/name",
        "web", "matches no pod"),
    "budget of nothing": (references.selectors, AZURE, "PodDisruptionBudget/triton", f"spec|selector|{LABELS}", "web",
        "matches no pod"),
    "monitor of nothing": (references.selectors, AZURE, "PodMonitor/triton", f"spec|selector|{LABELS}", "web",
        "matches no pod"),
    "monitor's port": (references.ports, AZURE, "PodMonitor/frontend", "spec|podMetricsEndpoints|0|port", "prometheus",
        "port prometheus"),
    "policy of nothing": (references.selectors, AZURE, POLICY, f"spec|podSelector|{LABELS}", "web",
        "podSelector matches no pod"),
    "policy for nobody": (references.selectors, AZURE, POLICY, f"spec|ingress|0|{PEER}", "web",
        "matches no pod of ours"),
    "policy: port in": (references.ports, AZURE, POLICY, "spec|ingress|0|ports|0|port", 8011, "lets in port 8011"),
    "policy: port out": (references.ports, AZURE, "NetworkPolicy/frontend", "spec|egress|0|ports|0|port", 8011,
        "lets out to port 8011"),
    "policy: namespace": (references.references, AZURE, POLICY, f"spec|ingress|1|{NAMESPACE}", "monitorin",
        "monitorin"),
    "Service's port": (references.ports, AZURE, "Service/frontend", "spec|ports|0|targetPort", 8081, "targetPort 8081"),
    "probe's port": (references.ports, AZURE, FRONT, f"{ONE}|readinessProbe|httpGet|port", "web", "asks port web"),
    "probe's path": (configuration, AZURE, TRITON, f"{ONE}|readinessProbe|httpGet|path", "/health",
        "no health endpoint"),
    "ready without a model": (configuration, AZURE, TRITON, f"{ONE}|readinessProbe|httpGet|path", "/v2/health/ready",
        "ask /v2/models/cough_cnn/ready"),
    "started without a model": (configuration, AZURE, TRITON, f"{ONE}|startupProbe",
        {"httpGet": {"path": "/v2/health/live", "port": "http"}}, "ask /v2/models/cough_cnn/ready"),
    "started with any configuration": (configuration, AZURE, TRITON, f"{ONE}|startupProbe",
        {"httpGet": {"path": "/v2/models/cough_cnn/ready", "port": "http"}}, "takes config.pbtxt silently"),
    "started by a script that asks nothing": (configuration, AZURE, TRITON, f"{ONE}|startupProbe|exec|command|2",
        "pass", "takes config.pbtxt silently"),
    "started with another configuration": (configuration, AZURE, TRITON, f"{ONE}|startupProbe|exec|command|3",
        '"default_model_filename":"model.onnx"', "but this configuration has"),
    "started by a script that names the words": (configuration, AZURE, TRITON, f"{ONE}|startupProbe|exec|command|2",
        "pass  # /models/cough_cnn/ config", "the one that tests/k8s/test_triton_as_deployed.py has run"),
    "started in a hurry": (configuration, AZURE, TRITON, f"{ONE}|startupProbe|failureThreshold", 2,
        "gives up after 10 s"),
    "started on an open port": (configuration, AZURE, TRITON, f"{ONE}|startupProbe", {"tcpSocket": {"port": "http"}},
        "the startupProbe asks tcpSocket"),
    "ready by a command": (configuration, AZURE, TRITON, f"{ONE}|readinessProbe",
        {"exec": {"command": ["curl", "-sf", "localhost:8000/v2/health/ready"]}}, "the readinessProbe asks exec"),
    "ready on an open port": (configuration, AZURE, TRITON, f"{ONE}|readinessProbe", {"tcpSocket": {"port": "http"}},
        "the readinessProbe asks tcpSocket"),
    "alive while the model is": (configuration, AZURE, TRITON, f"{ONE}|livenessProbe|httpGet|path",
        "/v2/models/cough_cnn/ready", "ask /v2/health/live"),
    "started by its path": (configuration, AZURE, TRITON, f"{ONE}|command", ["/opt/tritonserver/bin/tritonserver"],
        "only [tritonserver] is judged"),
    "started by a shell": (configuration, AZURE, TRITON, f"{ONE}|command", ["bash", "-c", "exec tritonserver"],
        "only [tritonserver] is judged"),
    "started by the image": (configuration, AZURE, TRITON, f"{ONE}|command", GONE, "only [tritonserver] is judged"),
    "a configuration of no release": (configuration, AZURE, TRITON, f"{ONE}|args|1", "--model-config-name=tensorrt",
        "that no release has"),
    "TF32": (configuration, AZURE, TRITON, f"{ONE}|env|3|value", "1", "NVIDIA_TF32_OVERRIDE is not 0"),
    "TF32, unsaid": (configuration, AZURE, TRITON, f"{ONE}|env|3", GONE, "NVIDIA_TF32_OVERRIDE is not 0"),
    "a plan, started without a model": (configuration, PLAN, "Job/tensorrt-plan",
        f"{POD}|initContainers|3|startupProbe|httpGet|path", "/v2/health/ready", "ask /v2/models/cough_cnn/ready"),
    "liveness as readiness": (safety.disruption, AZURE, FRONT, f"{ONE}|livenessProbe|httpGet|path", "/readyz",
        "an outage restarts it"),
    "no readiness probe": (safety.disruption, AZURE, TRITON, f"{ONE}|readinessProbe", GONE, "has no readinessProbe"),
    "ingress to no Service": (references.ports, NGINX, INGRESS, "spec|rules|0|http|paths|0|backend|service|name", "web",
        "no Service web"),
    "ingress without TLS": (references.ports, NGINX, INGRESS, "spec|tls", GONE, "has no TLS"),
    "ingress: body limit": (configuration, NGINX, INGRESS,
        "metadata|annotations|nginx.ingress.kubernetes.io/proxy-body-size", "10m", "limits.max_body_bytes"),
    "ingress: time": (configuration, NGINX, INGRESS,
        "metadata|annotations|nginx.ingress.kubernetes.io/proxy-read-timeout", "5", "limits.request_deadline_s"),
    "scaler of nothing": (references.references, AZURE, SCALER, "spec|scaleTargetRef|name", "tritons",
        "no Deployment tritons"),
    "second scaler": (references.references, AZURE, "HorizontalPodAutoscaler/frontend", "spec|scaleTargetRef|name",
        "triton", "KEDA refuses"),
    "replicas beside a scaler": (references.references, AZURE, TRITON, "spec|replicas", 1, "undoes the scaler"),
    "scaler: unknown series": (series.metrics, AZURE, SCALER, "spec|triggers|0|metadata|query", "sum(tosia_queue)",
        "tosia_queue"),
    "alert: unknown series": (series.metrics, AZURE, RULES, "spec|groups|3|rules|0|expr",
        'absent(tosia_builds{a="b"})', "tosia_builds"),
    "more pods than GPUs": (agreement.nodes, AZURE, SCALER, "spec|maxReplicaCount", 7, "asks for up to 8 GPUs"),
    "no such ConfigMap": (references.references, AZURE, FRONT, f"{ONE}|envFrom|0|configMapRef|name", "web",
        "no ConfigMap web"),
    "no such key": (references.references, AZURE, TRITON, f"{ONE}|env|1|valueFrom|configMapKeyRef|key", "path",
        "with path"),
    "no such Secret": (references.references, AZURE, FRONT, f"{ONE}|env|0|valueFrom|secretKeyRef|name", "keys",
        "no Secret keys"),
    "no such variable": (references.references, AZURE, TRITON, f"{ONE}|args|+", "--log-format=$(FORMAT)", "$(FORMAT)"),
    "no such setting": (configuration, AZURE, FRONT, f"{ONE}|env|+", {"name": "COSMO_URL", "value": "x"},
        "COSMO_URL is no setting"),
    "no such option": (configuration, AZURE, FRONT, f"{ONE}|args|+", "--drain-second=3", "refused"),
    "more workers than cores": (configuration, AZURE, FRONT, f"{ONE}|args|+", "--workers=8", "at most 4 cores"),
    "memory below what workers may take": (configuration, AZURE, FRONT, f"{ONE}|resources|limits|memory", "3Gi",
        "may take 3840 MiB"),
    "file: workers beyond the memory": (configuration, AZURE, SET, FILE, "service: {workers: 3}", "may take 4864 MiB"),
    "file: a worker for each core": (configuration, AZURE, SET, FILE, "service: {workers: 0}", "at most 4 cores"),
    "file: no such key": (configuration, AZURE, SET, FILE, "limits: {max_body: 1}", "limits.max_body is no setting"),
    "file: the model's": (configuration, AZURE, SET, FILE, "mel_spec: {n_fft: 512}", "belongs to the model"),
    "file: not mounted": (configuration, AZURE, FRONT, f"{ONE}|volumeMounts|1", GONE, "no ConfigMap is mounted"),
    "file: longer than the ingress": (configuration, NGINX, SET, FILE, "limits: {request_deadline_s: 300}",
        "ends a request before"),
    "file: no time to end": (safety.disruption, AZURE, SET, FILE,
        "{limits: {request_deadline_s: 33}, service: {drain_seconds: 10}}", "takes 45 s to end"),
    "file: no drain": (serving.front_end, AZURE, SET, FILE, "{}", "does not drain"),
    "file: retention": (retention, AZURE, SET, FILE, "limits: {retention_days: 7}", "retention_days is 7"),
    "config.yml: no such key": (configuration, AZURE, "ConfigMap/tosia-dashboard", "data|config.yml",
        "limits: {max_body: 1}", "limits has no max_body"),
    "no such account": (references.references, AZURE, FRONT, f"{POD}|serviceAccountName", "web",
        "no ServiceAccount web"),
    "no such claim": (references.references, CPU, FRONT, f"{POD}|volumes|0", CLAIM, "no PersistentVolumeClaim call"),
    "no such volume": (references.references, AZURE, FRONT, f"{ONE}|volumeMounts|0|name", "web",
        "mounts the volume web"),
    "no such node class": (references.references, POOL, SPOT, f"{POD}|nodeClassRef|name", "gpu", "no AKSNodeClass gpu"),
    "taint not tolerated": (agreement.nodes, AZURE, TRITON, f"{POD}|tolerations|1", GONE,
        "kubernetes.azure.com/scalesetpriority"),
    "plugin not on spot nodes": (agreement.nodes, POOL, PLUGIN, f"{POD}|tolerations|1", GONE, "does not tolerate"),
    "nodes that no pool has": (agreement.nodes, AZURE, TRITON, f"{POD}|nodeSelector|kubernetes.io/arch", "arm64",
        "arm64"),
    "no limit on GPUs": (agreement.nodes, POOL, SPOT, "spec|limits", GONE, "no limit on GPUs"),
    "Triton behind one address": (agreement.addresses, AZURE, "Service/triton", "spec|clusterIP", GONE,
        "is not headless"),
    "no such flag, by its path": (agreement.triton, AZURE, TRITON, "spec|template|spec|containers|0",
        {"name": "server", "command": ["/opt/tritonserver/bin/tritonserver"], "args": ["--grpc-max-age=3"]},
        "--grpc-max-age"),
    "no such flag": (agreement.triton, AZURE, TRITON, f"{ONE}|args|+", "--grpc-max-age=3", "--grpc-max-age"),
    "models by anybody": (agreement.triton, AZURE, TRITON, f"{ONE}|args|2", "--model-control-mode=explicit",
        "could load a model"),
    "repository without a folder": (agreement.triton, AZURE, TRITON, f"{ONE}|volumeMounts|0", GONE,
        "nothing can be written"),
    "repository without identity": (agreement.triton, AZURE, TRITON,
        "spec|template|metadata|labels|azure.workload.identity/use", GONE, "gets no identity"),
    "Triton's control is open": (agreement.triton, AZURE, TRITON, f"{ONE}|args|7", "--log-info=1",
        "--grpc-restricted-protocol leaves"),
    "asleep unexpectedly": (agreement.scaled_to_zero, AZURE, SCALER, "spec|minReplicaCount", 0,
        "TRITON_MAY_SLEEP is not 1"),
    "rules passed over": (series.monitoring, AZURE, RULES, "metadata|labels|release", GONE, "passes it over"),
    "no GPU": (agreement.triton, AZURE, TRITON, f"{ONE}|resources|limits|nvidia.com/gpu", GONE, "has not one GPU"),
    "no time to end": (safety.disruption, AZURE, TRITON, f"{POD}|terminationGracePeriodSeconds", 60, "killed before"),
    "budget that blocks": (safety.disruption, AZURE, "PodDisruptionBudget/frontend", "spec|maxUnavailable", 0,
        "never be drained"),
    # where pods go, and whether there is room
    "spot as good as on-demand": (placement.placement, AZURE, TRITON, f"{POD}|affinity", GONE,
        "karpenter.sh/capacity-type NotIn"),
    "spot among AKS' own pools": (placement.placement, AZURE, TRITON, f"{PREFERRED}|matchExpressions|1", GONE,
        "kubernetes.azure.com/scalesetpriority NotIn"),
    "on-demand, a little": (placement.placement, AZURE, TRITON, f"{WEIGHT}|weight", 1, "on-demand GPU is free"),
    "on-demand, and what never is": (placement.placement, AZURE, TRITON, f"{PREFERRED}|matchExpressions|+",
        {"key": "tosia/none", "operator": "Exists"}, "its one preference"),
    "on-demand, and spot as well": (placement.placement, AZURE, TRITON,
        f"{POD}|affinity|nodeAffinity|preferredDuringSchedulingIgnoredDuringExecution|+",
        {"weight": 100, "preference": {"matchExpressions": [{**NO_SPOT, "operator": "In"}]}}, "its one preference"),
    "GPUs of another kind": (placement.placement, AZURE, TRITON, "", {"kind": "StatefulSet",
        "spec|template|spec|affinity": GONE}, "its one preference"),
    "one front end a node, or none": (placement.placement, AZURE, FRONT, f"{POD}|affinity",
        {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}]}}, "has a podAntiAffinity"),
    "one Triton a node, or none": (placement.placement, AZURE, TRITON,
        f"{POD}|topologySpreadConstraints|1|whenUnsatisfiable", "DoNotSchedule", "must be ScheduleAnyway"),
    "a benchmark without room": (placement.placement, PERF, "Job/perf-analyzer", f"{ONE}|resources|requests|cpu", "1",
        "has 0.46 left beside 2 front ends"),
    "nothing to go back to": (rollouts.rollouts, AZURE, FRONT, "spec|revisionHistoryLimit", 1, "rollback` needs 10"),
    "given up early": (rollouts.rollouts, AZURE, TRITON, "spec|progressDeadlineSeconds", 60, "waits for 1800 s"),
    "given up as Kubernetes does": (rollouts.rollouts, AZURE, FRONT, "spec|progressDeadlineSeconds", GONE,
        "waits for 2400 s"),
    "never rolled out": (rollouts.rollouts, AZURE, FRONT, "spec|paused", True, "is paused"),
    "a plan on spot": (placement.placement, PLAN, "Job/tensorrt-plan", f"{POD}|affinity", GONE,
        "karpenter.sh/capacity-type NotIn"),
    "no spot for bursts": (placement.placement, AZURE, TRITON,
        f"{POD}|affinity|nodeAffinity|requiredDuringSchedulingIgnoredDuringExecution",
        {"nodeSelectorTerms": [{"matchExpressions": [NO_SPOT]}]}, "bursts can't use them"),
    "all in one zone": (placement.placement, AZURE, TRITON, f"{POD}|topologySpreadConstraints|0", GONE,
        "not spread over zones"),
    "nowhere without a zone": (placement.placement, AZURE, FRONT,
        f"{POD}|topologySpreadConstraints|0|whenUnsatisfiable", "DoNotSchedule", "must be ScheduleAnyway"),
    "old pods push to spot": (placement.placement, AZURE, TRITON, f"{POD}|topologySpreadConstraints|0|matchLabelKeys",
        GONE, "matchLabelKeys"),
    "minutes on a lost node": (placement.placement, AZURE, FRONT, f"{POD}|tolerations|1", GONE,
        "node.kubernetes.io/unreachable for at most"),
    "a lost node, ignored": (placement.placement, AZURE, TRITON, f"{POD}|tolerations|2|tolerationSeconds", 600,
        "node.kubernetes.io/not-ready for at most"),
    "two GPUs for a rollout": (placement.placement, AZURE, TRITON, "spec|strategy|rollingUpdate|maxSurge", 2,
        "takes more GPUs"),
    "a spare GPU all the same": (placement.placement, FIXED, TRITON, "spec|strategy|rollingUpdate|maxSurge", 1,
        "rolls with maxSurge 1 and maxUnavailable 1"),
    "a front end a node": (placement.placement, AZURE, FRONT, f"{ONE}|resources|requests|cpu", "2",
        "do not fit on 2 nodes"),
    "target of a request": (placement.placement, AZURE, HPA, "spec|metrics|0|resource|target",
        {"type": "Utilization", "averageUtilization": 70}, "say averageValue"),
    "target beyond reach": (placement.placement, AZURE, HPA, "spec|metrics|0|resource|target|averageValue", "2",
        "more than the 1.5"),
    "a driver too old": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|4|values", ["T4", "A10"], "needs 580"),
    "a sixth of a GPU": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|4|values", ["A10"], "may take a part of an A10"),
    "a GPU nobody knows": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|4|values", ["T5"], "knows its driver"),
    "any GPU": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|4", GONE, "names no GPU type"),
    "an image family that floats": (gpus.gpus, POOL, NODES, "spec|imageFamily", "Ubuntu", "Ubuntu floats"),
    "no image family": (gpus.gpus, POOL, NODES, "spec|imageFamily", GONE, "Ubuntu floats"),
    "another image family": (gpus.gpus, POOL, NODES, "spec|imageFamily", "Ubuntu2204", "names Ubuntu2404"),
    "nothing is streamed": (gpus.gpus, POOL, NODES, "spec|artifactStreaming|enabled", False, "does not stream"),
    "streaming unsaid": (gpus.gpus, POOL, NODES, "spec|artifactStreaming", GONE, "does not stream"),
    "another device plugin": (gpus.gpus, POOL, PLUGIN, f"{ONE}|image", "nvcr.io/nvidia/k8s-device-plugin:v0.14.0",
        "as k8s/versions.json has it"),
    "a GPU type twice": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|+",
        {"key": "karpenter.azure.com/sku-gpu-name", "operator": "In", "values": ["T4"]}, "only one of the two"),
    "two GPUs for one pod": (gpus.gpus, POOL, SPOT, f"{POD}|requirements|5|values", ["2"], "several GPUs"),
    "GPUs by their size alone": (gpus.gpus, POOL, SPOT, "", {"spec|limits": GONE, f"{POD}|taints": GONE,
        "spec|template|metadata": GONE, f"{POD}|requirements": [{"key": "karpenter.azure.com/sku-name",
        "operator": "In", "values": ["Standard_NV6ads_A10_v5"]}]}, "names no GPU type"),
    "streamed from elsewhere": (gpus.gpus, AZURE, TRITON, f"{ONE}|image", "nvcr.io/nvidia/tritonserver:26.11-py3",
        "in no registry of Azure"),
    "streamed by digest": (gpus.gpus, AZURE, TRITON, f"{ONE}|image",
        f"tosia.azurecr.io/tritonserver@sha256:{'0' * 64}", "named by a digest"),
    # the way in by Gateway API
    "class of the gateway": (gateways.gateways, AZURE, GATEWAY, "spec|gatewayClassName", "istio",
        "not approuting-istio"),
    "no certificate's issuer": (gateways.gateways, AZURE, GATEWAY,
        "metadata|annotations|cert-manager.io/cluster-issuer", GONE, "no issuer"),
    "another port": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|port", 8443, "other listeners"),
    "one name for two": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|name", "http", "two listeners"),
    "two hosts": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|0|hostname", "x.tosia.example", "the same host"),
    "any host": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|hostname", GONE, "the same host"),
    "TLS without a certificate": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|tls|certificateRefs", [],
        "names no certificate"),
    "TLS passed on": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|tls|mode", "Passthrough", "must end TLS"),
    "TLS on 80": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|0|tls", {"mode": "Terminate"},
        "is HTTP and has TLS"),
    "routes of all": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|allowedRoutes|namespaces|from", "All",
        "any could take the host"),
    "routes of none": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|allowedRoutes", GONE,
        "takes no routes of tosia"),
    "route of another host": (gateways.gateways, AZURE, ROUTE, "spec|hostnames|0", "x.tosia.example",
        "the listener's is"),
    "route of no gateway": (gateways.gateways, AZURE, ROUTE, "spec|parentRefs|0|namespace", GONE,
        "no Gateway frontend"),
    "route of no listener": (gateways.gateways, AZURE, ROUTE, "spec|parentRefs|0|sectionName", "tls",
        "no listener tls"),
    "route to no Service": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs|0|name", "web", "Service web"),
    "route to no port": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs|0|port", 8080, "no port 8080"),
    "route elsewhere": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs|0|namespace", "other",
        "ReferenceGrant"),
    "route of half the paths": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|matches|0|path|value", "/v1",
        "all below /"),
    "route: time": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|timeouts|request", "5s",
        "limits.request_deadline_s"),
    "route: no time": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|timeouts", GONE, "no timeout"),
    "file: longer than the route": (gateways.gateways, AZURE, SET, FILE, "limits: {request_deadline_s: 300}",
        "ends a request before"),
    "no redirect": (gateways.gateways, AZURE, REDIRECT, "spec|rules|0|filters|0|requestRedirect|scheme", "http",
        "does not redirect"),
    "calls without TLS": (gateways.gateways, AZURE, ROUTE, "spec|parentRefs|0|sectionName", "http", "without TLS"),
    "a part of many hosts": (gateways.gateways, AZURE, GATEWAY, "", {f"spec|listeners|{n}|hostname": "*.tosia.example"
        for n in (0, 1)}, "is a wildcard"),
    "routes of all, by a selector": (gateways.gateways, AZURE, GATEWAY, "spec|listeners|1|allowedRoutes|namespaces",
        {"from": "Selector", "selector": {}}, "any could take the host"),
    "routes of others": (gateways.gateways, AZURE, GATEWAY,
        "spec|listeners|0|allowedRoutes|namespaces|selector|matchExpressions|0|values|+", "web",
        "any could take the host"),
    "routes of all but one": (gateways.gateways, AZURE, GATEWAY,
        "spec|listeners|0|allowedRoutes|namespaces|selector|matchExpressions|0|operator", "NotIn",
        "any could take the host"),
    "probed by HTTP": (gateways.gateways, AZURE, GATEWAY, "spec|infrastructure", GONE, "port_443_health-probe"),
    "probed by HTTP on one port": (gateways.gateways, AZURE, GATEWAY,
        "spec|infrastructure|annotations|service.beta.kubernetes.io/port_80_health-probe_protocol", "http",
        "port_80_health-probe_protocol"),
    "route: the backend's time": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|timeouts|backendRequest", "2s",
        "has timeouts.backendRequest"),
    "route of reading": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|matches|0|method", "GET",
        "a part of the requests"),
    "route of a header": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|matches|0|headers",
        [{"name": "x", "value": "y"}], "a part of the requests"),
    "route of no weight": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs|0|weight", 0,
        "its backend has weight"),
    "route to a host": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs|0|kind", "Hostname",
        "its backend has kind"),
    "route to nobody": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|backendRefs", [], "has 0 backends"),
    "route of two rules": (gateways.gateways, AZURE, ROUTE, "spec|rules|+",
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}, "has no backend"),
    "route that lets others listen": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|filters",
        [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "triton", "port": 8001}}}], "has filters"),
    "route to another path": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|filters", [{"type": "URLRewrite",
        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}}}], "has filters"),
    "route without the key": (gateways.gateways, AZURE, ROUTE, "spec|rules|0|filters",
        [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X-API-Key"]}}], "has filters"),
    "redirect elsewhere": (gateways.gateways, AZURE, REDIRECT, "spec|rules|0|filters|0|requestRedirect|hostname",
        "example.org", "is not the redirect"),
    "redirect to another port": (gateways.gateways, AZURE, REDIRECT, "spec|rules|0|filters|0|requestRedirect|port", 80,
        "is not the redirect"),
    "redirect of itself": (gateways.gateways, AZURE, REDIRECT, "spec|parentRefs|0|sectionName", "https",
        "redirects HTTPS to itself"),
    "two routes of one host": (gateways.gateways, AZURE, REDIRECT, "spec|parentRefs|0|sectionName", "https",
        "fight for its host"),
    "another kind of route": (gateways.gateways, AZURE, "Service/triton", "kind", "GRPCRoute", "is another way in"),
    "two ways in": (gateways.gateways, AZURE, "Service/triton", "kind", "Ingress", "one way in"),
    "gateway: misspelt field": (custom, AZURE, GATEWAY, "spec|listeners|0|hostName", "a", "hostName"),
    "gateway: no such namespace": (references.references, AZURE, "NetworkPolicy/from-gateway",
        f"spec|ingress|0|{NAMESPACE}", "tosia-gate", "tosia-gate"),
    "gateway: pods of another": (references.selectors, AZURE, "NetworkPolicy/gateway",
        "spec|podSelector|matchLabels|gateway.networking.k8s.io/gateway-name", "web", "matches no pod"),
    "gateway: way to no port": (references.ports, AZURE, "NetworkPolicy/gateway", "spec|egress|0|ports|0|port", 8081,
        "lets out to port 8081"),
    "gateway: open on more": (safety.network, AZURE, "NetworkPolicy/gateway", "spec|ingress|0|ports|+",
        {"protocol": "TCP", "port": 15021}, "lets everybody in"),
    "gateway: Triton, too": (serving.reach, AZURE, POLICY, "spec|ingress|0|from|+", FROM_GATEWAY, "none of those"),
    "gateway: metrics, too": (serving.reach, AZURE, "NetworkPolicy/from-gateway", "spec|ingress|0|ports|+",
        {"protocol": "TCP", "port": "metrics"}, "none of those"),
    "gateway: privileged pods": (safety.security, AZURE, "Namespace/tosia-gateway",
        "metadata|labels|pod-security.kubernetes.io/enforce", "privileged", "not baseline"),
    # what is unsafe
    "telemetry of Triton": (safety.telemetry, AZURE, TRITON, f"{ONE}|env|4", GONE, "may report to others"),
    "telemetry of the front end": (safety.telemetry, AZURE, FRONT, f"{ONE}|env|4|value", "0", "may report to others"),
    "telemetry of a front end by digest": (safety.telemetry, AZURE, FRONT, "",
        {f"{ONE}|image": f"tosia.azurecr.io/frontend@sha256:{'0' * 64}", f"{ONE}|env|4": GONE},
        "may report to others"),
    "telemetry of a front end's other image": (safety.telemetry, AZURE, FRONT, "",
        {f"{ONE}|image": "tosia.azurecr.io/api:1", f"{ONE}|env|4": GONE}, "may report to others"),
    "telemetry of a Job's image by digest": (safety.telemetry, PLAN, "Job/tensorrt-plan", "",
        {f"{POD}|initContainers|0|image": f"tosia.azurecr.io/frontend@sha256:{'0' * 64}",
        f"{POD}|initContainers|0|env": []}, "fetch may report"),
    "telemetry of a Job": (safety.telemetry, PLAN, "Job/tensorrt-plan", f"{POD}|initContainers|1|env", GONE,
        "build may report"),
    "telemetry on a laptop's cluster": (safety.telemetry, CPU, TRITON, f"{POD}|initContainers|0|env", GONE,
        "release may report"),
    "profile not enforced": (safety.security, AZURE, "Namespace/tosia",
        "metadata|labels|pod-security.kubernetes.io/enforce", GONE, "enforces the profile None"),
    "everybody by address": (serving.reach, AZURE, POLICY, "spec|ingress|0|from|+", {"ipBlock": {"cidr": "0.0.0.0/0"}},
        "none of those"),
    "all of monitoring": (serving.reach, AZURE, POLICY, "spec|ingress|1|from|0|podSelector", GONE, "none of those"),
    "probe of another host": (safety.security, AZURE, FRONT, f"{ONE}|readinessProbe|httpGet|host", "example.org",
        "names a host"),
    "not validated, by file": (serving.front_end, AZURE, "ConfigMap/frontend", "data|ALLOW_UNVALIDATED", "1",
        "not in a file"),
    "Triton open to the world": (safety.network, AZURE, "Service/triton", "spec|type", "LoadBalancer",
        "open to the world"),
    "everybody let in": (safety.network, AZURE, POLICY, "spec|ingress|0|from", [], "lets everybody in"),
    "image without a tag": (safety.images, AZURE, FRONT, f"{ONE}|image", "tosia.azurecr.io/frontend", "not pinned"),
    "image that moves": (safety.images, PERF, "Job/perf-analyzer", f"{ONE}|image", "nvcr.io/nvidia/tritonserver:latest",
        "not pinned"),
    "Secret in a file": (safety.secrets, AZURE, "ServiceAccount/triton", "kind", "Secret", "a Secret is rendered"),
    "key in a ConfigMap": (safety.secrets, AZURE, "ConfigMap/frontend", "data|COSMO_KEY", "abc", "belongs in a Secret"),
    "key in a variable": (safety.secrets, AZURE, FRONT, f"{ONE}|env|+", {"name": "API_KEY", "value": "abc"},
        "written out"),
    "connection string": (safety.secrets, NGINX, INGRESS, "metadata|annotations|a", "AccountKey=bGlrZQ==",
        "looks like a key"),
    # a candidate beside the serving Triton
    "candidate's Service takes serving pods": (candidates.candidates, BESIDE, "Service/candidate-triton",
        "spec|selector|app.kubernetes.io/name", "triton", "is the candidate's, and selects pods of triton"),
    "serving Service takes the candidate's pods": (candidates.candidates, BESIDE, "Service/triton",
        "spec|selector|app.kubernetes.io/name", "candidate-triton", "is not the candidate's"),
    "serving Service takes both": (candidates.candidates, BESIDE, "Service/triton", "spec|selector",
        {"app.kubernetes.io/part-of": "tosia"}, "selects pods of triton and of candidate-triton"),
    "serving Deployment takes the candidate's pods": (candidates.candidates, BESIDE, TRITON,
        "spec|selector|matchLabels", {"app.kubernetes.io/part-of": "tosia"}, "selects pods of triton and of"),
    "candidate's pods labelled as serving ones": (candidates.candidates, BESIDE, CANDIDATE,
        "spec|template|metadata|labels|app.kubernetes.io/name", "triton", "selects pods of triton and of"),
    "candidate's pods labelled as serving ones, on a CPU": (candidates.candidates, BESIDE_CPU, CANDIDATE,
        "spec|template|metadata|labels|app.kubernetes.io/name", "triton", "selects pods of triton and of"),
    "one budget for both": (candidates.candidates, BESIDE, "PodDisruptionBudget/candidate-triton", "spec|selector",
        {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values":
        ["triton", "candidate-triton"]}]}, "selects pods of triton and of candidate-triton"),
    "serving policy lets the candidate in": (candidates.candidates, BESIDE, POLICY, "spec|podSelector",
        {"matchLabels": {"app.kubernetes.io/part-of": "tosia"}}, "selects pods of triton and of"),
    "candidate scraped with the serving": (candidates.candidates, BESIDE, "PodMonitor/triton",
        f"spec|selector|{LABELS}", "candidate-triton", "scrapes the candidate"),
    "candidate with the serving release": (candidates.candidates, BESIDE, "ConfigMap/candidate-triton",
        "data|repository", "as://ACCOUNT/CONTAINER/releases/NUMBER-DIGEST", "has a release of its own"),
    "candidate with the serving release, on a CPU": (candidates.candidates, BESIDE_CPU, CANDIDATE,
        f"{POD}|initContainers|0|image", "tosia-frontend:1", "has a release of its own"),
    "candidate by another image": (candidates.candidates, BESIDE, CANDIDATE, f"{ONE}|image",
        "tosia.azurecr.io/tritonserver:24.10-py3", "its image differ"),
    "candidate with other flags": (candidates.candidates, BESIDE, CANDIDATE, f"{ONE}|args|1",
        "--model-config-name=tensorrt", "its args differ"),
    "candidate without an identity": (candidates.candidates, BESIDE, CANDIDATE, f"{POD}|serviceAccountName", "frontend",
        "which no identity of Azure knows"),
    "candidate before callers": (candidates.candidates, BESIDE, "PriorityClass/tosia-candidate", "value", 1000,
        "it would keep its place"),
    "candidate like callers": (candidates.candidates, BESIDE, CANDIDATE, f"{POD}|priorityClassName", GONE,
        "it would keep its place"),
    "candidate like callers, on a CPU": (candidates.candidates, BESIDE_CPU, CANDIDATE, f"{POD}|priorityClassName", GONE,
        "it would keep its place"),
    "candidate that never gets a node": (candidates.candidates, BESIDE, "PriorityClass/tosia-candidate", "value", -1000,
        "the autoscaler brings no node"),
    "candidate that ends others": (candidates.candidates, BESIDE, "PriorityClass/tosia-candidate", "preemptionPolicy",
        GONE, "may take the place of others"),
    "the whole cluster a candidate": (candidates.candidates, BESIDE, "PriorityClass/tosia-candidate", "globalDefault",
        True, "is the default of the whole cluster"),
    "candidate with two GPUs in a rollout": (candidates.candidates, BESIDE, CANDIDATE,
        "spec|strategy|rollingUpdate|maxSurge", 1, "takes a second place"),
    "candidate on on-demand GPUs": (placement.placement, BESIDE, CANDIDATE, PREFERRED, {"matchExpressions": [NO_SPOT]},
        "takes an on-demand GPU while spot is free"),
    "candidate scaled by the HPA": (candidates.candidates, BESIDE, HPA, "spec|scaleTargetRef|name", "candidate-triton",
        "scales the candidate"),
    "candidate scaled by KEDA": (candidates.candidates, BESIDE, SCALER, "spec|scaleTargetRef|name", "candidate-triton",
        "scales the candidate"),
    "no way out to the candidate": (candidates.candidates, BESIDE, TO_CANDIDATE, "spec|egress|0|ports|0|port", 8000,
        "lets the front end out to the candidate's port 8001"),
    "no way in to the candidate": (candidates.candidates, BESIDE, "NetworkPolicy/candidate-triton", "spec|ingress", [],
        "lets the front end in to the candidate"),
    "the benchmark asks the candidate": (candidates.candidates, BESIDE, "NetworkPolicy/candidate-triton",
        f"spec|ingress|0|{PEER.rpartition('|')[0]}", {"tosia/bench": "true"}, "lets others in to the candidate"),
    "Prometheus asks the candidate": (serving.reach, BESIDE, "NetworkPolicy/candidate-triton",
        "spec|ingress|0|from|0|namespaceSelector", {}, "none of those that may come"),
    "candidate's address is the serving one's": (agreement.addresses, BESIDE, FRONT, f"{ONE}|env|-1|value",
        "dns:///triton:8001", "but it must lead to candidate-triton"),
    "serving address is the candidate's": (agreement.addresses, BESIDE, "ConfigMap/frontend", "data|TRITON_URL",
        "dns:///candidate-triton:8001", "but it must lead to triton"),
    "candidate behind one address": (agreement.addresses, BESIDE, "Service/candidate-triton", "spec|clusterIP", GONE,
        "is not headless"),
    "no such priority of a candidate": (admission.admission, BESIDE, "PriorityClass/tosia-candidate", "metadata|name",
        "tosia-candidates", "PriorityClass tosia-candidate is made nowhere"),
    "candidate given up early": (rollouts.rollouts, BESIDE, CANDIDATE, "spec|progressDeadlineSeconds", 60,
        "waits for 1800 s"),
    "candidate with models by anybody": (agreement.triton, BESIDE, CANDIDATE, f"{ONE}|args|2",
        "--model-control-mode=explicit", "could load a model"),
    "candidate's connections for ever": (serving.triton, BESIDE, CANDIDATE, f"{ONE}|args|5", "--log-info=1",
        "lacks --grpc-max-connection-age"),
    "candidate ready without a model": (configuration, BESIDE, CANDIDATE, f"{ONE}|readinessProbe|httpGet|path",
        "/v2/health/ready", "ask /v2/models/cough_cnn/ready"),
    "an overlay with a candidate": (candidates.candidates, AZURE, "Service/triton", "metadata|labels",
        {"app.kubernetes.io/component": "candidate"}, "would start and change it"),
    # the intake, and the way to receivers
    "intake with the callers' keys": (intake.intake, INTAKE, TAKES, f"{ONE}|env|+", of_secret("API_KEY"),
        "has API_KEY"),
    "intake with all of the Secret": (intake.intake, INTAKE, TAKES, f"{ONE}|envFrom|+",
        {"secretRef": {"name": "tosia"}}, "has API_KEY"),
    "intake with the account's key": (intake.intake, INTAKE, TAKES, f"{ONE}|env|+", of_secret("COSMO_KEY"),
        "takes COSMO_KEY from the Secret"),
    "intake behind a Service": (intake.intake, INTAKE, "Service/frontend", "spec|selector|app.kubernetes.io/name",
        "intake", "the Service frontend leads to it"),
    "way in to the intake": (serving.reach, INTAKE, MAY, "spec|ingress|0|from|+", FROM_GATEWAY, "none of those"),
    "the front end asks the intake": (serving.reach, INTAKE, MAY, "spec|ingress|0|from|+",
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "frontend"}}}, "none of those"),
    "intake with the front end's identity": (intake.intake, INTAKE, TAKES, f"{POD}|serviceAccountName", "frontend",
        "has the account frontend of frontend"),
    "intake without an identity": (intake.intake, INTAKE, TAKES,
        "spec|template|metadata|labels|azure.workload.identity/use", GONE, "gets no identity"),
    "intake by keys": (intake.intake, INTAKE, "ConfigMap/intake", "data|TOSIA_IDENTITY", "key", "gets no identity"),
    "intake without a queue": (intake.intake, INTAKE, "ConfigMap/intake", "data|INTAKE_QUEUE", GONE,
        "has no INTAKE_QUEUE"),
    "intake of a queue that is none": (intake.intake, INTAKE, "ConfigMap/intake", "data|INTAKE_QUEUE", "Calls",
        "would not start: INTAKE_QUEUE is not a queue's name"),
    "intake beside a folder": (intake.intake, CPU, FRONT, f"{ONE}|args", ["--metrics-port=9090", "intake"],
        "the stores are embedded"),
    "intake without /tmp": (intake.intake, INTAKE, TAKES, f"{ONE}|volumeMounts|0|mountPath", "/scratch", "no /tmp"),
    "intake that nobody scrapes": (intake.intake, INTAKE, "PodMonitor/intake", f"spec|selector|{LABELS}", "triton",
        "no PodMonitor scrapes it"),
    "intake scaled without authentication": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|authenticationRef", GONE,
        "KEDA can't ask for its queue"),
    "intake scaled by an authentication of none": (intake.intake, INTAKE, COUNTS,
        "spec|triggers|0|authenticationRef|name", "queue", "KEDA can't ask for its queue"),
    "intake scaled by a key": (intake.intake, INTAKE, ASKS, "spec|podIdentity|provider", "none",
        "KEDA can't ask for its queue"),
    "intake scaled as the operator": (intake.intake, INTAKE, ASKS, "spec|podIdentity|identityId", GONE,
        "with the identity of its operator"),
    "intake scaled by another queue": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|metadata|queueName", "calls",
        "is scaled by queueName calls, and takes from calls-landed"),
    "intake takes from another queue": (intake.intake, INTAKE, "ConfigMap/intake", "data|INTAKE_QUEUE", "landed",
        "is scaled by queueName calls-landed, and takes from landed"),
    "intake scaled by another account": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|metadata|accountName", "other",
        "is scaled by accountName other"),
    "intake scaled by a misspelt length": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|metadata|queueLenght", "5",
        "is scaled with queueLenght"),
    "intake scaled by no number": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|metadata|queueLength", "many",
        "a queueLength of many"),
    "intake scaled by something else": (intake.intake, INTAKE, COUNTS, "spec|triggers|0|type", "cpu",
        "is not scaled by the length of its queue alone"),
    "intake asleep": (intake.intake, INTAKE, COUNTS, "spec|minReplicaCount", 0, "may have no pod"),
    "custom: the authentication's provider": (custom, INTAKE, ASKS, "spec|podIdentity|provider", "azure", "azure"),
    "intake that asks the node": (intake.intake, INTAKE, MAY, "spec|egress|1|to|0|ipBlock|except", ["169.254.0.0/16"],
        "lets it reach 168.63.129.16/32"),
    "intake that reaches no Triton": (serving.reach, INTAKE, MAY, f"spec|egress|0|to|0|podSelector|{LABELS}",
        "frontend", "lets the intake out to Triton's port 8001"),
    "intake that Triton lets not in": (serving.reach, INTAKE, "NetworkPolicy/intake-to-triton",
        f"spec|ingress|0|{PEER}", "frontend", "lets the intake in to Triton"),
    "intake that reaches Triton's models": (serving.reach, INTAKE, "NetworkPolicy/intake-to-triton",
        "spec|ingress|0|ports|0|port", "http", "none of those"),
    "intake: no time to end": (safety.disruption, INTAKE, TAKES, f"{POD}|terminationGracePeriodSeconds", 30,
        "intake takes 32 s to end"),
    "intake: file: no time to end": (safety.disruption, INTAKE, SET, FILE, "limits: {worker_timeout_s: 40}",
        "intake takes 52 s to end"),
    "intake: probe of an API": (configuration, INTAKE, TAKES, f"{ONE}|livenessProbe|httpGet|path", "/healthz",
        "no health endpoint of intake"),
    "intake: a port of an API": (configuration, INTAKE, TAKES, f"{ONE}|ports|+",
        {"name": "http", "containerPort": 8080}, "but its ports are"),
    "intake on loopback": (configuration, INTAKE, TAKES, f"{ONE}|args|0", "--host=127.0.0.1", "listens on loopback"),
    "intake with no such setting": (configuration, INTAKE, TAKES, f"{ONE}|env|+", {"name": "QUEUE", "value": "x"},
        "QUEUE is no setting"),
    "intake without the settings file": (configuration, INTAKE, TAKES, f"{ONE}|env|0", GONE, "at most 4 cores"),
    "intake with little memory": (configuration, INTAKE, TAKES, f"{ONE}|resources|limits|memory", "2Gi",
        "may take 3840 MiB"),
    "intake: telemetry": (safety.telemetry, INTAKE, TAKES, f"{ONE}|env|1", GONE, "intake may report to others"),
    "intake: given up early": (rollouts.rollouts, INTAKE, TAKES, "spec|progressDeadlineSeconds", 60,
        "waits for 600 s"),
    "intake reaches no collector": (traces.traces, "overlays/azure with intake, traces", "NetworkPolicy/intake-traces",
        TO_COLLECTOR, "tosia", "Deployment/intake: no NetworkPolicy lets it reach"),
    "intake reaches all hosts beside those by name": (intake.intake, BY_NAME, MAY, "spec|egress|+",
        {"to": [{"ipBlock": {"cidr": "20.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 443}]},
        "lets it reach every host"),
    "intake that may not ask for queues": (intake.intake, BY_NAME, "CiliumNetworkPolicy/intake-egress-by-name",
        "spec|egress|1|toFQDNs|0", GONE, "no policy lets it reach *.queue.core.windows.net"),
    "receivers inside": (intake.intake, SENDS, "NetworkPolicy/frontend", "spec|egress|1|to|0|ipBlock|except",
        ["169.254.0.0/16"], "Deployment/frontend: the NetworkPolicy frontend lets it reach 168.63.129.16/32, 10."),
    "receivers inside, without any exception": (intake.intake, SENDS, "NetworkPolicy/frontend",
        "spec|egress|1|to|0|ipBlock|except", GONE, "lets it reach 169.254.0.0/16"),
    "the intake's receivers inside": (intake.intake, "overlays/azure with callbacks, intake", MAY,
        "spec|egress|1|to|0|ipBlock|except|1", GONE, "Deployment/intake: the NetworkPolicy intake lets it reach 10.0"),
    "receivers out of reach": (intake.intake, "overlays/azure with callbacks, fqdn-egress",
        "CiliumNetworkPolicy/callbacks-by-name", "spec|egress|1|toFQDNs", [], "no policy lets it reach a receiver"),
    "receivers on this machine": (intake.intake, SENDS, "ConfigMap/frontend", "data|CALLBACKS_ALLOW_PRIVATE", "1",
        "may send to addresses inside"),
    "receivers in a ConfigMap": (safety.secrets, SENDS, "ConfigMap/frontend", "data|CALLBACKS",
        '{"pbx": {"secrets": ["whsec_bm90LWEtc2VjcmV0"]}}', "looks like a key"),
    "receivers in a file": (safety.secrets, SENDS, FRONT, f"{ONE}|env|-2",
        {"name": "INTAKE_KEY", "value": "pbx"}, "INTAKE_KEY is written out"),
    "receivers of another Secret": (references.references, SENDS, FRONT, f"{ONE}|env|-2|valueFrom|secretKeyRef|key",
        "RECEIVERS", "no Secret tosia with RECEIVERS"),
    "no limits": (safety.resources, AZURE, TRITON, f"{ONE}|resources|limits", GONE, "has no limits of memory"),
    "no requests": (safety.resources, CPU, TRITON, f"{POD}|initContainers|0|resources|requests", GONE,
        "release has no requests of cpu"),
    "requests beyond limits": (safety.resources, AZURE, FRONT, f"{ONE}|resources|requests|memory", "5Gi",
        "requests more memory"),
    "root": (safety.security, AZURE, FRONT, f"{POD}|securityContext|runAsNonRoot", False, "may run as root"),
    "writable root": (safety.security, AZURE, TRITON, f"{ONE}|securityContext|readOnlyRootFilesystem", False,
        "write to its root"),
    "folder of the node": (safety.security, AZURE, FRONT, f"{POD}|volumes|+", {"name": "a", "hostPath": {"path": "/"}},
        "hostPath is not"),
    "capabilities": (safety.security, AZURE, FRONT, f"{ONE}|securityContext|capabilities", GONE, "keeps capabilities"),
    "all memory shared": (safety.resources, AZURE, TRITON, f"{POD}|volumes|2|emptyDir|sizeLimit", "8Gi",
        "all the memory"),
}  # fmt: skip


def spoil(one: dict[str, Any], path: str, value: Any) -> None:
    if not path:
        for each, wanted in value.items():
            spoil(one, each, wanted)
        return
    *way, last = (int(step) if step.lstrip("-").isdecimal() else step for step in path.split("|"))
    place: Any = one
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    elif last == "+":
        place.append(value)
    else:
        place[last] = value


def test_every_check_has_a_mistake_to_find_but_one() -> None:
    """Names, which no overlay can spoil by one value: kustomize itself refuses an object that is there twice."""
    assert set(CHECKS) - {check for check, *_ in MISTAKES.values()} == {schemas.names}


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(name, marks=pytest.mark.shared) if check in BY_DEFINITIONS else name
        for name, (check, *_) in MISTAKES.items()
    ],
)
def test_a_mistake_is_found_by_its_check(mistake: str) -> None:
    check, folder, what, path, value, said = MISTAKES[mistake]
    changed = copy.deepcopy([bundle for bundle in bundles() if bundle.name in CONCERNED])
    (spoilt,) = [item for item in changed if item.name == folder]
    kind, _, name = what.partition("/")
    (found,) = [
        item
        for item in spoilt.of(kind)
        if item["metadata"]["name"] == name or (kind == "ConfigMap" and item["metadata"]["name"].startswith(f"{name}-"))
    ]
    spoil(found, path, value)
    lines = list(check(changed))
    assert any(said in line and (line.startswith(folder) or folder == POOL) for line in lines), lines


def test_nodes_without_a_gpu_need_neither_its_type_nor_its_taint() -> None:
    changed = copy.deepcopy(bundles())
    (pool,) = [item for item in changed if item.name == POOL]
    plain = copy.deepcopy(next(item for item in pool.of("NodePool") if item["metadata"]["name"] == "tosia-gpu-spot"))
    plain["metadata"]["name"] = "tosia-cpu"
    plain["spec"]["limits"] = {"cpu": "32"}
    template = plain["spec"]["template"]
    del template["metadata"], template["spec"]["taints"]
    template["spec"]["requirements"] = [item for item in template["spec"]["requirements"] if "gpu" not in item["key"]]
    pool.objects.append(plain)
    assert list(findings(changed, None)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("StringStartsWith 'releases/'\n  )\n)\nAND", "StringStartsWith 'releases/'\n    OR 1 == 1\n  )\n)\nAND"),
        ("'releases/'\n  )\n)\n", "''\n  )\n)\n"),
        ("\nAND\n", "\nOR\n"),
        ("!(ActionMatches", "(ActionMatches"),
    ],
)
def test_a_condition_that_lets_triton_read_more_is_found(tmp_path: Path, old: str, new: str) -> None:
    text = (MANIFESTS / files.CONDITION).read_text()
    assert list(files.condition(MANIFESTS)) == []
    (tmp_path / "azure").mkdir()
    (tmp_path / files.CONDITION).write_text(" ".join(text.split()))
    assert list(files.condition(tmp_path)) == [], "spaces say nothing"
    assert old in text
    (tmp_path / files.CONDITION).write_text(text.replace(old, new, 1))
    (line,) = files.condition(tmp_path)
    assert "is not the condition" in line


# What no schema takes, and what made a check stumble; the finding may be the schema's or the check's own.
STUMBLES: dict[str, tuple[str, str, str, Any]] = {
    "container without a name": (AZURE, FRONT, f"{ONE}|name", GONE),
    "port that is a number": (AZURE, FRONT, f"{ONE}|ports|0", 8080),
    "port without a number": (AZURE, FRONT, f"{ONE}|ports|0|containerPort", GONE),
    "argument that is a number": (AZURE, TRITON, f"{ONE}|args|3", 8080),
    "quantity": (AZURE, FRONT, f"{ONE}|resources|limits|cpu", "1.2.3"),
    "sleep with a unit": (AZURE, TRITON, f"{ONE}|lifecycle|preStop|exec|command|1", "15s"),
    "drain with a unit": (AZURE, FRONT, f"{ONE}|args|+", "--drain-seconds=10s"),
    "grace that is a text": (AZURE, FRONT, f"{POD}|terminationGracePeriodSeconds", "90"),
    "policy of nothing at all": (AZURE, POLICY, "spec", None),
    "peers of nothing": (AZURE, POLICY, "spec|ingress|0|from", None),
    "block without addresses": (AZURE, POLICY, "spec|egress|0|to|0|ipBlock|cidr", GONE),
    "Service without ports": (AZURE, "Service/triton", "spec|ports", GONE),
    "gateway without listeners": (AZURE, "Gateway/frontend", "spec|listeners", GONE),
    "route without rules": (AZURE, "HTTPRoute/frontend", "spec|rules", GONE),
    "parents in words": (AZURE, "HTTPRoute/frontend", "spec|parentRefs", "frontend"),
    "preference without a term": (AZURE, TRITON, f"{WEIGHT}|preference", GONE),
    "spread without a way": (AZURE, TRITON, f"{POD}|topologySpreadConstraints|0|whenUnsatisfiable", GONE),
    "surge in words": (AZURE, FRONT, "spec|strategy|rollingUpdate|maxSurge", "one"),
    "GPUs without values": (POOL, SPOT, f"{POD}|requirements|4|values", GONE),
    "ingress without a backend": (NGINX, INGRESS, "spec|rules|0|http|paths|0|backend", {"serviceName": "frontend"}),
    "certificates of nothing": (NGINX, INGRESS, "spec|tls", None),
    "no version": (AZURE, FRONT, "apiVersion", GONE),
    "labels of nothing": (AZURE, "Namespace/tosia", "metadata|labels", None),
    "scaler of no target": (AZURE, SCALER, "spec|scaleTargetRef", GONE),
    "scaler of no triggers": (AZURE, SCALER, "spec|triggers", GONE),
    "most replicas in words": (AZURE, SCALER, "spec|maxReplicaCount", "six"),
    "rule without an expression": (AZURE, RULES, "spec|groups|0|rules|0|expr", GONE),
    "group without rules": (AZURE, RULES, "spec|groups|0|rules", GONE),
    "monitor without endpoints": (AZURE, "PodMonitor/triton", "spec|podMetricsEndpoints", GONE),
    "dashboard that is none": (AZURE, "ConfigMap/tosia-dashboard", "data|tosia.json", "no JSON"),
    "pool without a template": (POOL, SPOT, "spec|template", GONE),
    "taint without an effect": (POOL, SPOT, f"{POD}|taints|0|effect", GONE),
    "requirement without an operator": (POOL, SPOT, f"{POD}|requirements|0|operator", GONE),
}


@pytest.mark.parametrize("mistake", STUMBLES)
def test_what_is_not_even_made_right_is_a_finding_and_no_trace(mistake: str) -> None:
    folder, what, path, value = STUMBLES[mistake]
    changed = copy.deepcopy([bundle for bundle in bundles() if bundle.name in CONCERNED])
    (spoilt,) = [item for item in changed if item.name == folder]
    kind, _, name = what.partition("/")
    found = next(item for item in spoilt.of(kind) if item["metadata"]["name"].startswith(name))
    spoil(found, path, value)
    assert list(findings(changed, None))


def test_pods_that_no_policy_closes_are_found() -> None:
    changed = [
        Bundle(bundle.name, [part for part in bundle.objects if part["kind"] != "NetworkPolicy"])
        for bundle in bundles()
    ]
    lines = [line for line in findings(changed, None) if "no NetworkPolicy closes it" in line]
    assert {line.split(": ")[1] for line in lines} >= {"Deployment/frontend", "Deployment/triton", "Job/perf-analyzer"}


def test_each_pair_of_components_is_judged() -> None:
    own = components_of(MANIFESTS / OVERLAY)
    there = {path.name for path in (MANIFESTS / "components").iterdir()}
    assert own == {"gateway"}, "components/nginx takes its place"
    names = {bundle.name for bundle in bundles()}
    for first, second in itertools.combinations(sorted(there - own), 2):
        assert f"overlays/azure with {first}, {second}" in names
    alone = {name for folder in FOLDERS if folder.startswith("overlays/") for name in components_of(MANIFESTS / folder)}
    assert alone == there


def test_a_component_that_no_overlay_names_is_found_and_judged_alone(tmp_path: Path) -> None:
    root = tmp_path / "k8s"
    shutil.copytree(MANIFESTS, root)
    shutil.copytree(root / "components" / "no-spare-gpu", root / "components" / "two-more")
    patch = root / "components" / "two-more" / "old-pod-first.yaml"
    text = patch.read_text()
    assert text.count("maxSurge: 0, maxUnavailable: 1") == 1
    patch.write_text(text.replace("maxSurge: 0, maxUnavailable: 1", "maxSurge: 2, maxUnavailable: 0"))
    assert any("components/two-more: no overlay names it" in line for line in files.files(root, bundles()))
    added = {names for names in combinations(root) if "two-more" in names}
    assert {("two-more",), ("nginx", "two-more"), ("scale-to-zero", "two-more")} <= added
    (line,) = placement.placement([render_combination(kubectl(), root, ("two-more",))])
    assert line.startswith("overlays/azure with two-more: Deployment/triton: rolls with maxSurge 2")


OTHER_FILES = (
    ("overlays/azure/kustomization.yaml", 'newTag: "1"', "newTag: latest", "is not pinned"),
    ("overlays/azure/store-secrets.yaml", "name: frontend\nspec", "name: front-end\nspec", "can't be rendered"),
    ("components/scale-to-zero/kustomization.yaml", "name: triton}", "name: tritons}", "it changes nothing"),
    (
        "components/scale-to-zero/kustomization.yaml",
        "patches:\n",
        # It renders alone; components/no-spare-gpu has changed what it asks for.
        "patches:\n  - patch: '[{op: test, path: /spec/strategy/rollingUpdate/maxSurge, value: 1}]'\n"
        "    target: {kind: Deployment, name: triton}\n",
        "overlays/azure with no-spare-gpu, scale-to-zero: can't be rendered",
    ),
    ("monitoring/kustomization.yaml", "  - pod-monitors.yaml\n", "", "no kustomization names it"),
    ("monitoring/rules.yaml", "absent(tosia_build_info", "absent((tosia_build_info", "promtool check"),
    (
        "azure/blob-lifecycle.json",
        '"baseBlob": {"delete": {"days',
        '"baseBlob": {"delete": {"hours',
        "baseBlob",
    ),
)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("base/frontend/service.yaml", "targetPort: http", "targetPort: web", "targetPort web"),
        *(pytest.param(*other_file, marks=pytest.mark.system) for other_file in OTHER_FILES),
    ],
)
def test_a_mistake_in_a_file_fails_the_verb(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str,
    new: str,
    said: str,
) -> None:
    """`make manifests` as CI would run it, on a copy."""
    root = tmp_path / "k8s"
    shutil.copytree(MANIFESTS, root, ignore=shutil.ignore_patterns("__pycache__"))
    text = (root / file).read_text()
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new))
    if "rules" in file:
        promtool()
    else:
        monkeypatch.setenv("PATH", str(tmp_path))  # promtool takes its time
    assert main(["--kubectl", kubectl(), "--root", str(root), "--crds", str(definitions())]) == 1
    assert said in capsys.readouterr().out


@pytest.mark.system
def test_without_definitions_it_says_so_and_ci_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    assert main(["--kubectl", kubectl()]) == 0
    said = capsys.readouterr().err
    assert "without definitions" in said
    assert "promtool is missing" in said
    monkeypatch.setenv("CI", "true")
    assert main(["--kubectl", kubectl()]) == 2
    assert "definitions of custom kinds are missing" in capsys.readouterr().err
    assert main(["--kubectl", "no-kubectl"]) == 2


@pytest.mark.system
@pytest.mark.shared
def test_the_verb_itself_says_what_it_has_judged() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "k8s.tools.validate", "--kubectl", kubectl(), "--crds", str(definitions())],
        cwd=CHECKOUT,
        env={"PATH": "", "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")
    judged = [*FOLDERS, *COMBINATIONS, "candidates are judged with what they stand beside, and on fqdn-egress, too"]
    assert f"{len(judged)} renderings" in run.stderr
