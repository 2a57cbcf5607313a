"""Images, secrets, resources, security, disruption, network: errors that a cluster accepts and that fail later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from k8s.tools.validate.objects import Bundle, Object, Pod, matches, strings
from k8s.tools.validate.tuned import is_front_end, is_intake, tuning_of

_TAG = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)*:(?P<tag>[\w][\w.-]{0,127})(@sha256:[0-9a-f]{64})?")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_MOVING = {"latest", "stable", "main", "master", "edge", "dev", "nightly"}
_SECRET_NAME = re.compile(r"(?i)(key|secret|password|passwd|token|connection|credential)s?$")
_SECRET_VALUE = re.compile(
    r"(?i:(account|sharedaccess)key\s*=\s*\S)"
    r"|(?i:sharedaccesssignature\s*=)"
    r"|[?&]sig=[\w%]{10,}"
    r"|(?<![\w+/=])[A-Za-z0-9+/]{86}==(?![\w+/=])"  # a storage or Cosmos DB key
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|whsec_[\w+/=]{8,}"  # what messages to a receiver are signed with
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."  # a JWT
)
_HAS_ONNX_RUNTIME = re.compile(r"(.*/)?(tosia-frontend|frontend|tritonserver)([:@](?!.*-sdk).*)?")
LEVELS = {"tosia": "restricted", "tosia-gateway": "baseline", "gpu-resources": "privileged"}
_PLAIN_VOLUMES = {
    "configMap",
    "emptyDir",
    "projected",
    "secret",
    "downwardAPI",
    "persistentVolumeClaim",
    "ephemeral",
    "csi",
    "name",
}


def images(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that images are pinned, by a tag that does not move, or by a digest."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                image = str(container.get("image", ""))
                tagged = _TAG.fullmatch(image)
                if not _DIGEST.fullmatch(image) and (tagged is None or tagged["tag"].lower() in _MOVING):
                    yield bundle.says(pod.owner, f"the image {image or '(none)'} of {container['name']} is not pinned")


def secrets(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that no secret is rendered: a manifest's text appears in git, in diffs, and in terminals."""
    for bundle in bundles:
        for item in bundle.objects:
            if item["kind"] == "Secret":
                yield bundle.says(
                    item, "a Secret is rendered: secrets go from the environment to the API server (k8s/tools/deploy)"
                )
            for text in strings(item):
                if _SECRET_VALUE.search(text):
                    yield bundle.says(item, f"holds what looks like a key, beginning with {text[:6]!r}")
            if item["kind"] == "ConfigMap":
                for key, value in (item.get("data") or {}).items():
                    if _SECRET_NAME.search(key) and value:
                        yield bundle.says(item, f"{key} belongs in a Secret")
        for pod in bundle.pods():
            for container in pod.containers:
                for variable in container.get("env", []):
                    if _SECRET_NAME.search(variable["name"]) and variable.get("value"):
                        yield bundle.says(pod.owner, f"{variable['name']} is written out: take it from a Secret")


def telemetry(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that no ONNX Runtime reports to its makers: every container of an image that holds one says so."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                image = str(container.get("image", ""))
                variables = {item["name"]: item.get("value") for item in container.get("env", [])}
                has_one = _HAS_ONNX_RUNTIME.fullmatch(image) or is_front_end(container)
                if has_one and variables.get("ORT_DISABLE_TELEMETRY") != "1":
                    yield bundle.says(pod.owner, f"{container['name']} may report to others: ORT_DISABLE_TELEMETRY=1")


def resources(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that each container has requests and limits of CPU and memory; GPUs are limits, in whole numbers."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                wanted = container.get("resources", {})
                for part in ("requests", "limits"):
                    for name in ("cpu", "memory"):
                        if name not in wanted.get(part, {}):
                            yield bundle.says(pod.owner, f"{container['name']} has no {part} of {name}")
                for name in ("cpu", "memory"):
                    low, high = (quantity(wanted.get(part, {}).get(name)) for part in ("requests", "limits"))
                    if low is not None and high is not None and low > high:
                        yield bundle.says(pod.owner, f"{container['name']} requests more {name} than its limit")
                for volume in container.get("volumeMounts", []):
                    yield from _memory_volume(bundle, pod, container, volume["name"])


def security(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check Kubernetes' profile `restricted` where the namespace demands it, and a read-only root."""
    for bundle in bundles:
        for item in bundle.of("Namespace"):
            wanted = LEVELS.get(item["metadata"]["name"])
            found = (item["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce")
            if found != wanted:
                yield bundle.says(item, f"enforces the profile {found}, not {wanted}")
            version = (item["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce-version", "latest")
            if not re.fullmatch(r"latest|v1\.\d+", version):
                yield bundle.says(item, f"enforces the version {version}: latest, or v1.N")
    strict = {name for name, level in LEVELS.items() if level == "restricted"} | {
        item["metadata"]["name"]
        for bundle in bundles
        for item in bundle.of("Namespace")
        if item["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") == "restricted"
    }
    for bundle in bundles:
        for pod in bundle.pods():
            if pod.owner["metadata"].get("namespace") in strict:
                for problem in _against_restricted(pod):
                    yield bundle.says(pod.owner, problem)


def network(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that policies close our pods in both directions, with named exceptions, and that only the ingress is
    open to the world.
    """
    closed = [
        policy
        for bundle in bundles
        for policy in bundle.of("NetworkPolicy")
        if set(policy["spec"].get("policyTypes", [])) == {"Ingress", "Egress"}
    ]
    ours = {
        item["metadata"]["name"]
        for bundle in bundles
        for item in bundle.of("Namespace")
        if item["metadata"]["name"] == "tosia"
    }
    for bundle in bundles:
        for pod in bundle.pods():
            namespace = pod.owner["metadata"].get("namespace")
            if namespace in ours and not any(
                policy["metadata"].get("namespace") == namespace
                and matches(policy["spec"].get("podSelector"), pod.labels)
                for policy in (
                    closed if not bundle.of("Namespace") else [item for item in closed if item in bundle.objects]
                )
            ):
                yield bundle.says(pod.owner, "no NetworkPolicy closes it in both directions")
        for policy in bundle.of("NetworkPolicy"):
            for rule in policy["spec"].get("ingress", []):
                peers = rule.get("from", [])
                if _is_way_in(policy, rule):
                    continue
                if not peers or any(peer in ({}, {"podSelector": {}}, {"namespaceSelector": {}}) for peer in peers):
                    yield bundle.says(policy, "lets everybody in")
                if not rule.get("ports"):
                    yield bundle.says(policy, "lets in on every port")
            for rule in policy["spec"].get("egress", []):
                if not rule.get("ports"):
                    yield bundle.says(policy, "lets out on every port")
        for service in bundle.of("Service"):
            if service["spec"].get("type", "ClusterIP") not in ("ClusterIP", "ExternalName"):
                yield bundle.says(
                    service, f"is open to the world ({service['spec']['type']}): the ingress is the way in"
                )


def _is_way_in(policy: Object, rule: Object) -> bool:
    """Whether a rule opens two ports of a Gateway's pods, in their own namespace, to the world."""
    selected = ((policy["spec"].get("podSelector") or {}).get("matchLabels") or {}).keys()
    ports = {port.get("port") for port in rule.get("ports", [])}
    own = policy["metadata"].get("namespace") == "tosia-gateway"
    return (
        own and selected == {"gateway.networking.k8s.io/gateway-name"} and not rule.get("from") and ports == {80, 443}
    )


def _against_restricted(pod: Pod) -> Iterator[str]:
    whole = pod.spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield f"{name} is not allowed here"
    for volume in pod.spec.get("volumes", []):
        for kind in volume.keys() - _PLAIN_VOLUMES:
            yield f"a volume of {kind} is not allowed here"
    for container in pod.containers:
        own = container.get("securityContext", {})
        name = container["name"]
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
            yield f"{name} may run as root (runAsNonRoot)"
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            yield f"{name} runs as root"
        for field in ("procMount", "seLinuxOptions", "sysctls", "windowsOptions"):
            if field in own or field in whole:
                yield f"{name} sets {field}, which is not allowed here"
        profile = own.get("appArmorProfile", whole.get("appArmorProfile", {})).get("type", "RuntimeDefault")
        if profile not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has the appArmorProfile {profile}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "host" in container.get(probe, {}).get("httpGet", {}):
                yield f"the {probe} of {name} names a host, which is not allowed here"
        if own.get("privileged"):
            yield f"{name} is privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges (allowPrivilegeEscalation)"
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            yield f"{name} keeps capabilities (drop: [ALL])"
        if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name} adds capabilities"
        if own.get("seccompProfile", whole.get("seccompProfile", {})).get("type") not in (
            "RuntimeDefault",
            "Localhost",
        ):
            yield f"{name} has no seccompProfile"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its root (readOnlyRootFilesystem)"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{name} takes a port of the node"


def disruption(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that drains are never blocked, that pods get enough time to end, and that servers have probes."""
    for bundle in bundles:
        for budget in bundle.of("PodDisruptionBudget"):
            if budget["spec"].get("maxUnavailable") in (0, "0", "0%") or budget["spec"].get("minAvailable") == "100%":
                yield bundle.says(budget, "lets no pod go: nodes could never be drained")
        for pod in bundle.pods():
            if pod.owner["kind"] != "Deployment":
                continue
            for container in pod.spec.get("containers", []):
                for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                    if probe not in container:
                        yield bundle.says(pod.owner, f"{container['name']} has no {probe}")
                live, ready = (_asked(container, probe) for probe in ("livenessProbe", "readinessProbe"))
                if live is not None and live == ready:
                    yield bundle.says(
                        pod.owner, f"{container['name']}: liveness asks what readiness asks, so an outage restarts it"
                    )
                needed = _needed_to_end(bundle, pod, container)
                if needed >= pod.spec.get("terminationGracePeriodSeconds", 30):
                    yield bundle.says(pod.owner, f"{container['name']} takes {needed:g} s to end, and is killed before")


def _asked(container: Object, probe: str) -> str | None:
    path = container.get(probe, {}).get("httpGet", {}).get("path")
    return None if path is None else str(path)


def _needed_to_end(bundle: Bundle, pod: Pod, container: Object) -> float:
    """Return the seconds of preStop, plus the shutdown time in Triton's arguments or in the front end's or the intake's
    settings.
    """
    before = container.get("lifecycle", {}).get("preStop", {})
    command = before.get("exec", {}).get("command", [])
    pause = before.get("sleep", {}).get("seconds", command[-1] if command[:1] == ["sleep"] else 0)
    total = float(pause)
    for argument in container.get("args", []):
        name, _, value = argument.partition("=")
        if name == "--exit-timeout-secs":
            total += float(value)
    if is_front_end(container):
        tuning, _ = tuning_of(bundle, pod, container)  # another check reports its errors
        total += 0.0 if tuning is None else tuning.service.drain_seconds + tuning.end_s
    if is_intake(container):
        tuning, _ = tuning_of(bundle, pod, container)
        total += 0.0 if tuning is None else tuning.limits.worker_timeout_s + tuning.end_s
    return total


def _memory_volume(bundle: Bundle, pod: Pod, container: Object, name: str) -> Iterator[str]:
    for volume in pod.spec.get("volumes", []):
        if volume["name"] == name and volume.get("emptyDir", {}).get("medium") == "Memory":
            size, limit = (
                quantity(volume["emptyDir"].get("sizeLimit")),
                quantity(container.get("resources", {}).get("limits", {}).get("memory")),
            )
            if size is None:
                yield bundle.says(pod.owner, f"the volume {name} is memory without a limit")
            elif limit is not None and size >= limit:
                yield bundle.says(pod.owner, f"the volume {name} may take all the memory of {container['name']}")


def quantity(text: object) -> float | None:
    """Return a Kubernetes quantity as a number; None where there is none."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9.]+)(m|[kMGTPE]i?|Ki)?", str(text))
    if found is None:
        return None
    factors = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
    unit = found[2] or ""
    if unit.endswith("i"):
        return float(found[1]) * 1024.0 ** ("KMGTPE".index(unit[0]) + 1)
    return float(found[1]) * factors.get(unit, 1.0)
