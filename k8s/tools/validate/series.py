"""Check that every series exists that rules, dashboard and scalers ask for, and that Prometheus takes the rules up."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence

from frontend.observability.metrics import Metrics
from k8s.tools.validate.objects import Bundle, Object

TRITON_METRICS = {  # of 24.10 and 26.11
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    "nv_inference_pending_request_count",
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_model_load_duration_secs",  # 26.11 only
}
CLUSTER_METRICS = {  # of kube-state-metrics and Prometheus itself, only those in use
    "up",
    "ALERTS",
    "kube_pod_status_ready",
    "kube_pod_status_phase",
    "kube_deployment_status_replicas_available",
    "kube_deployment_spec_replicas",
    "kube_node_created",
    "kube_node_spec_taint",
    "kube_node_status_allocatable",
    "kube_pod_created",
    "kube_pod_info",
    "kube_pod_status_scheduled_time",
    "kube_pod_container_state_started",
    "kube_pod_container_status_restarts_total",
    "kube_pod_status_ready_time",
}
_FUNCTIONS = {
    *(
        "abs",
        "absent",
        "avg",
        "by",
        "clamp_min",
        "histogram_quantile",
        "increase",
        "max",
        "max_over_time",
        "on",
        "or",
        "and",
        "offset",
        "bool",
        "sqrt",
    ),
    *("rate", "sum", "vector", "unless", "without", "min", "min_over_time", "count", "le", "group_left", "ignoring"),
}


def metrics(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that queries of rules, scalers and the dashboard use series that exist."""
    ours = _our_metrics()
    for bundle in bundles:
        recorded = {
            rule["record"]
            for rules in bundle.of("PrometheusRule")
            for group in rules["spec"]["groups"]
            for rule in group["rules"]
            if "record" in rule
        }
        known = ours | TRITON_METRICS | CLUSTER_METRICS | recorded
        for owner, query in _queries(bundle):
            for name in sorted(_names(query) - known):
                yield bundle.says(owner, f"asks for {name}, which nothing exports or records")


def monitoring(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check labels: kube-prometheus-stack reads only objects with its label."""
    for bundle in bundles:
        for item in bundle.of("PodMonitor", "ServiceMonitor", "PrometheusRule"):
            if (item["metadata"].get("labels") or {}).get("release") != "kube-prometheus-stack":
                yield bundle.says(item, "has no label release: kube-prometheus-stack, so Prometheus passes it over")


@functools.cache
def _our_metrics() -> set[str]:
    names = set()
    for family in Metrics().registry.collect():
        names.add(family.name)
        names |= {f"{family.name}_{end}" for end in ("total", "bucket", "sum", "count")}
    return names


def _queries(bundle: Bundle) -> Iterator[tuple[Object, str]]:
    for rules in bundle.of("PrometheusRule"):
        for group in rules["spec"]["groups"]:
            for rule in group["rules"]:
                yield rules, rule["expr"]
    for scaler in bundle.of("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                yield scaler, trigger["metadata"]["query"]
    for item in bundle.of("ConfigMap"):
        if "grafana_dashboard" in item["metadata"].get("labels", {}):
            boards = [json.loads(text) for name, text in item["data"].items() if name.endswith(".json")]
            for panel in (panel for board in boards for panel in board["panels"]):
                for target in panel.get("targets", []):
                    yield item, target["expr"]


def _names(query: str) -> set[str]:
    """Return the series in a PromQL expression: identifiers outside of braces, brackets, strings, and label lists."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", query)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*", bare)) - _FUNCTIONS
