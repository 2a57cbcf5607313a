"""Manifests must agree with the code, config.yml and the nodes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from frontend.__main__ import parse_arguments
from frontend.configuration.deadlines_limits_intervals import SETTING_OF
from frontend.configuration.traces import VARIABLES_OF_TRACES
from frontend.configuration.tuning import Tuning
from frontend.configuration.variables import VARIABLES
from k8s.tools.deploy.deployments import CANDIDATE, CANDIDATE_URL, INTAKE, candidate_url
from k8s.tools.validate.gpus import is_of_gpus
from k8s.tools.validate.objects import Bundle, Object, Pod
from k8s.tools.validate.placement import needs_gpu, surge_of
from k8s.tools.validate.probes import LIVE, MODEL_READY, of_triton, serves_triton
from k8s.tools.validate.safety import quantity
from k8s.tools.validate.tuned import is_front_end, is_intake, tuning_of
from runtime.config import Limits, load_limits

SERVER_BYTES = 512 * 2**20  # the server, the process that workers are forked from, and what idle workers share: 350 MB

TRITON_FLAGS = {  # of 24.10 and 26.11, as far as they make sense here; tests/k8s asks the server itself
    *("--model-repository", "--model-control-mode", "--disable-auto-complete-config", "--model-config-name"),
    *("--exit-timeout-secs", "--exit-on-error", "--strict-readiness", "--load-model", "--backend-config"),
    *("--http-port", "--grpc-port", "--metrics-port", "--http-address", "--grpc-address", "--metrics-address"),
    *(
        "--grpc-max-connection-age",
        "--grpc-max-connection-age-grace",
        "--grpc-keepalive-time",
        "--grpc-keepalive-timeout",
    ),
    *("--grpc-restricted-protocol", "--http-restricted-api", "--http-thread-count", "--buffer-manager-thread-count"),
    *(
        "--allow-http",
        "--allow-grpc",
        "--allow-metrics",
        "--allow-gpu-metrics",
        "--metrics-interval-ms",
        "--metrics-config",
    ),
    *("--log-verbose", "--log-format", "--log-info", "--trace-config", "--cache-config", "--rate-limit"),
    *("--pinned-memory-pool-byte-size", "--cuda-memory-pool-byte-size", "--model-load-thread-count"),
}
# Variables of the front end's pod beside its own.
OF_LIBRARIES = {"ORT_DISABLE_TELEMETRY", *VARIABLES_OF_TRACES}
_ENDPOINTS = {
    "frontend": {"/healthz", "/readyz"},
    INTAKE: {"/metrics"},
    "triton": {LIVE, MODEL_READY},
    CANDIDATE: {LIVE, MODEL_READY},
}


def configuration(bundles: Sequence[Bundle], config_file: Path) -> Iterator[str]:
    """Check limits of the ingress, names of settings, arguments of the front end, and repeated values of config.yml."""
    config, limits = _read(config_file)
    for bundle in bundles:
        for ingress in bundle.of("Ingress"):
            for problem in _of_ingress(ingress, limits_of(bundle) or limits):
                yield bundle.says(ingress, problem)
        for item in bundle.of("ConfigMap"):
            for name, text in (item.get("data") or {}).items():
                if name == "config.yml":
                    for problem in _keys(yaml.safe_load(text), config, "config.yml"):
                        yield bundle.says(item, problem)
        for pod in bundle.pods():
            name = pod.labels.get("app.kubernetes.io/name", "")
            for container in pod.containers:
                if is_front_end(container) or is_intake(container):
                    for problem in _of_front_end(bundle, pod, container):
                        yield bundle.says(pod.owner, problem)
                if serves_triton(container):
                    for problem in of_triton(container):
                        yield bundle.says(pod.owner, problem)
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    path = container.get(probe, {}).get("httpGet", {}).get("path")
                    if path is not None and name in _ENDPOINTS and path not in _ENDPOINTS[name]:
                        yield bundle.says(pod.owner, f"the {probe} asks {path}, which is no health endpoint of {name}")


@functools.cache
def _read(config_file: Path) -> tuple[Any, Limits]:
    return yaml.safe_load(config_file.read_text(encoding="utf-8")), load_limits(config_file)[1]


def nodes(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that pods with a GPU and the device plugin tolerate the GPU nodes' taints, and that the scaler has enough
    nodes.
    """
    pools = [pool for bundle in bundles for pool in bundle.of("NodePool") if is_of_gpus(pool)]
    for bundle in bundles:
        for pod in bundle.pods():
            plugin = pod.owner["kind"] == "DaemonSet"
            if not plugin and not any(
                "nvidia.com/gpu" in container.get("resources", {}).get("limits", {}) for container in pod.containers
            ):
                continue
            for pool in pools:
                template = pool["spec"]["template"]
                for taint in template["spec"].get("taints", []):
                    if not _tolerates(pod, taint):
                        yield bundle.says(
                            pod.owner, f"does not tolerate {taint['key']} of NodePool {pool['metadata']['name']}"
                        )
                labels = template.get("metadata", {}).get("labels", {})
                for key, value in (pod.spec.get("nodeSelector") or {}).items():
                    if not _can_have(template, labels, key, value):
                        yield bundle.says(
                            pod.owner, f"wants nodes with {key}={value}; NodePool {pool['metadata']['name']} has none"
                        )
        for pool in filter(is_of_gpus, bundle.of("NodePool")):
            if "nvidia.com/gpu" not in pool["spec"].get("limits", {}):
                yield bundle.says(pool, "has no limit on GPUs")
            if not pool["spec"]["template"]["spec"].get("taints"):
                yield bundle.says(pool, "has no taint: anything may take a GPU node")
        gpus = sum(quantity(pool["spec"].get("limits", {}).get("nvidia.com/gpu")) or 0 for pool in pools)
        for scaler in bundle.of("ScaledObject"):
            most = scaler["spec"].get("maxReplicaCount", 100)
            scaled = bundle.named("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
            on_gpus = scaled is not None and needs_gpu(Pod(scaled, {}, scaled["spec"]["template"]["spec"]))
            wanted = most + (0 if scaled is None else surge_of(scaled, most))
            if pools and on_gpus and wanted > gpus:
                yield bundle.says(
                    scaler, f"asks for up to {wanted} GPUs, a rollout included, where the node pools stop at {gpus:.0f}"
                )


def scaled_to_zero(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that a front end has the setting for a sleeping Triton if, and only if, Triton may be scaled to zero."""
    for bundle in bundles:
        for scaler in bundle.of("ScaledObject"):
            if scaler["spec"]["scaleTargetRef"]["name"] != "triton":
                continue
            to_zero = scaler["spec"].get("minReplicaCount", 0) == 0
            told = any((item.get("data") or {}).get("TRITON_MAY_SLEEP") == "1" for item in bundle.of("ConfigMap"))
            if to_zero != told:
                yield bundle.says(
                    scaler,
                    f"minReplicaCount is {0 if to_zero else 'above 0'}, but TRITON_MAY_SLEEP is "
                    f"{'' if told else 'not '}1",
                )


def addresses(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that TRITON_URL and CANDIDATE_TRITON_URL each name their headless Service of the folder, and its port."""
    for bundle in bundles:
        for item in bundle.of("ConfigMap"):
            url = (item.get("data") or {}).get("TRITON_URL")
            if url is not None:
                yield from _address(bundle, item, "TRITON_URL", url, "triton")
        for item in bundle.of("Deployment"):
            url = candidate_url(item)
            if url:
                yield from _address(bundle, item, CANDIDATE_URL, url, CANDIDATE)


def _address(bundle: Bundle, item: Object, variable: str, url: str, expected: str) -> Iterator[str]:
    host, _, port = url.removeprefix("dns:///").partition(":")
    service = bundle.named("Service", host.partition(".")[0])
    if service is None:
        yield bundle.says(item, f"{variable} is {url}, but there is no such Service")
    elif service["metadata"]["name"] != expected:
        yield bundle.says(item, f"{variable} is {url}, but it must lead to {expected}")
    elif not any(str(known["port"]) == port for known in service["spec"]["ports"]):
        yield bundle.says(item, f"{variable} is {url}, but that Service has no port {port}")
    elif service["spec"].get("clusterIP") != "None":
        yield bundle.says(service, "is not headless: one connection would stay with one pod for ever")
    elif not url.startswith("dns:///"):
        yield bundle.says(item, f"{variable} is no dns:/// address: one connection would stay with one pod for ever")


def triton(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that Triton's flags exist, and that a repository in Blob Storage has its account, identity and folder."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                if serves_triton(container):
                    for problem in _of_triton(bundle, pod, container):
                        yield bundle.says(pod.owner, f"{container['name']}: {problem}")


def _of_triton(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    arguments = dict(argument.partition("=")[::2] for argument in container.get("args", []))
    for flag in sorted(arguments.keys() - TRITON_FLAGS):
        yield f"{flag} is no flag of Triton that we know"
    for flag in ("--grpc-restricted-protocol", "--http-restricted-api"):
        closed = arguments.get(flag, "").partition(":")[0].split(",")
        if bundle.of("Service") and not {"model-repository", "shared-memory"} <= set(closed):
            yield f"{flag} leaves model-repository or shared-memory open"
    if arguments.get("--model-control-mode") != "none":
        yield "--model-control-mode is not none: whoever reaches it could load a model"
    variables = {item["name"]: _value(bundle, item) for item in container.get("env", [])}
    repository = re.sub(
        r"\$\((\w+)\)", lambda found: variables.get(found[1], ""), arguments.get("--model-repository", "")
    )
    if not repository.startswith("as://"):
        return
    account = repository.removeprefix("as://").partition("/")[0]
    if variables.get("AZURE_STORAGE_ACCOUNT") != account:
        yield f"AZURE_STORAGE_ACCOUNT is {variables.get('AZURE_STORAGE_ACCOUNT')}, but the repository lies in {account}"
    if variables.get("AZURE_STORAGE_AUTH_TYPE") != "default":
        yield "AZURE_STORAGE_AUTH_TYPE is not default, so that no identity is used"
    if pod.labels.get("azure.workload.identity/use") != "true":
        yield "its pod has no label azure.workload.identity/use, so that it gets no identity"
    folder = variables.get("TRITON_AZURE_MOUNT_DIRECTORY")
    if folder not in {mount["mountPath"] for mount in container.get("volumeMounts", []) if not mount.get("readOnly")}:
        yield f"TRITON_AZURE_MOUNT_DIRECTORY is {folder}, where nothing can be written"
    if str(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu")) != "1":
        yield "has not one GPU"


def _value(bundle: Bundle, variable: Object) -> str:
    wanted = (variable.get("valueFrom") or {}).get("configMapKeyRef")
    if wanted is None:
        return str(variable.get("value", ""))
    return str((bundle.named("ConfigMap", wanted["name"]) or {}).get("data", {}).get(wanted["key"], ""))


def _of_ingress(ingress: Object, limits: Limits) -> Iterator[str]:
    annotations = ingress["metadata"].get("annotations", {})
    for name in ("nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/client-max-body-size"):
        found = _nginx_bytes(annotations.get(name))
        if found != limits.max_body_bytes:
            yield f"{name} is {annotations.get(name)}, but limits.max_body_bytes is {limits.max_body_bytes}"
    for name in ("nginx.ingress.kubernetes.io/proxy-read-timeout", "nginx.org/proxy-read-timeout"):
        seconds = float(str(annotations.get(name, "60")).removesuffix("s"))
        if seconds <= limits.request_deadline_s:
            yield f"{name} ends a request before limits.request_deadline_s, {limits.request_deadline_s:g} s"


def _nginx_bytes(text: str | None) -> int | None:
    found = re.fullmatch(r"(\d+)([kKmMgG]?)", str(text))
    return None if found is None else int(found[1]) * 1024 ** " kmg".index(found[2].lower() or " ")


def limits_of(bundle: Bundle) -> Limits | None:
    """Return the limits of the folder's front end."""
    for pod in bundle.pods():
        for container in filter(is_front_end, pod.containers):
            tuning, _ = tuning_of(bundle, pod, container)
            return None if tuning is None else tuning.limits
    return None


def _of_front_end(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    tuning, wrong = tuning_of(bundle, pod, container)
    yield from wrong
    if tuning is None:
        return
    options = parse_arguments(container.get("args", []))
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    wanted = (
        {"metrics": options.metrics_port}
        if is_intake(container)
        else {"http": options.port, "metrics": options.metrics_port}
    )
    if ports != wanted:
        yield f"listens on {wanted}, but its ports are {ports}"
    if options.host in ("127.0.0.1", "localhost"):
        yield "listens on loopback, where nobody can reach it"
    cores = quantity(container.get("resources", {}).get("limits", {}).get("cpu"))
    if cores is not None and not 0 < tuning.service.workers <= cores:
        yield f"has {tuning.service.workers} workers (0: one for each core of the node), but at most {cores:g} cores"
    memory = quantity(container.get("resources", {}).get("limits", {}).get("memory"))
    if memory is not None and memory < (most := most_memory_bytes(tuning)):
        yield (
            f"may take {most / 2**20:.0f} MiB, more than its limit of memory: limits.worker_memory_bytes for each of "
            f"{tuning.service.workers} workers and the one that draws, limits.max_in_flight_bytes, and the server"
        )
    names = {variable["name"] for variable in container.get("env", [])}
    for source in container.get("envFrom", []):
        found = bundle.named("ConfigMap", source.get("configMapRef", {}).get("name", ""))
        names |= (found or {}).get("data", {}).keys()
    for name in sorted(names - VARIABLES.keys() - SETTING_OF.keys() - OF_LIBRARIES):
        yield f"{name} is no setting of ours"


def most_memory_bytes(tuning: Tuning) -> int:
    """Return what a front end may take: beyond its pod's limit the kernel ends all of it, with its calls."""
    limits = tuning.limits
    return SERVER_BYTES + limits.max_in_flight_bytes + (tuning.service.workers + 1) * limits.worker_memory_bytes


def _keys(found: Any, known: Any, place: str) -> Iterator[str]:
    if not isinstance(known, Mapping):
        return
    for key, value in (found or {}).items():
        if key not in known:
            yield f"{place} has no {key}"
        else:
            yield from _keys(value, known[key], f"{place}: {key}")


def _tolerates(pod: Pod, taint: Mapping[str, str]) -> bool:
    for toleration in pod.spec.get("tolerations", []):
        if toleration.get("effect") not in (None, taint["effect"]):
            continue
        if toleration.get("operator", "Equal") == "Exists":
            if toleration.get("key") in (None, taint["key"]):
                return True
        elif toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _can_have(template: Object, labels: Mapping[str, str], key: str, value: str) -> bool:
    if key in labels:
        return labels[key] == value
    wanted = [requirement for requirement in template["spec"].get("requirements", []) if requirement["key"] == key]
    return any(item["operator"] == "Exists" or value in item.get("values", []) for item in wanted)
