"""Spans of front end and Triton: they meet at one collector that both may reach, and no caller decides how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from frontend.configuration.traces import read_traces
from k8s.tools.validate.objects import Bundle, Pod, matches
from k8s.tools.validate.probes import serves_triton
from k8s.tools.validate.tuned import is_front_end, is_intake, variables

_FLAG = "--trace-config="
_RARELY = 1_000_000  # of the requests without a context; Triton itself would take 1,000
_NAMESPACE = "kubernetes.io/metadata.name"


def traces(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check that Triton makes spans if, and only if, the front end does, for sampled calls alone; and that both reach
    the collector.
    """
    for bundle in bundles:
        for pod in bundle.pods():
            for container in filter(is_intake, pod.containers):
                found = read_traces(variables(bundle, container), [])
                if found is not None and not _may_reach(bundle, pod, found.endpoint):
                    yield bundle.says(pod.owner, f"no NetworkPolicy lets it reach {found.endpoint}")
        front = [pod for pod in bundle.pods() if any(is_front_end(item) for item in pod.containers)]
        for pod in front:
            (container,) = filter(is_front_end, pod.containers)
            found = read_traces(variables(bundle, container), [])  # another check reports what is wrong
            endpoint = None if found is None else found.endpoint
            if found is not None and found.sampler.startswith("parentbased_"):
                yield bundle.says(pod.owner, f"{found.sampler} follows callers: they would decide what is sampled")
            if endpoint is not None and not _may_reach(bundle, pod, endpoint):
                yield bundle.says(pod.owner, f"no NetworkPolicy lets it reach {endpoint}")
            for other in bundle.pods():
                if other.labels.get("app.kubernetes.io/name") == "triton":
                    for problem in _of_triton(bundle, other, endpoint):
                        yield bundle.says(other.owner, problem)


def _of_triton(bundle: Bundle, pod: Pod, endpoint: str | None) -> Iterator[str]:
    (container,) = filter(serves_triton, pod.containers)
    flags = [item.removeprefix(_FLAG) for item in container.get("args", []) if str(item).startswith(_FLAG)]
    said = dict(flag.removeprefix("opentelemetry,").partition("=")[::2] for flag in flags)
    if endpoint is None:
        if flags:
            yield "makes spans, but the front end makes none that they could belong to"
        return
    wanted = {"mode": "opentelemetry", "level": "TIMESTAMPS", "count": "-1", "url": endpoint}
    for name, value in wanted.items():
        if said.get(name) != value:
            yield f"its trace-config {name} is {said.get(name)}: its spans join the front end's with {value}"
    rate = said.get("rate", "")
    if not rate.isdecimal() or int(rate) < _RARELY:
        yield f"its trace-config rate is {rate or '1000'}: it makes spans for calls that are not sampled"
    if not _may_reach(bundle, pod, endpoint):
        yield f"no NetworkPolicy lets it reach {endpoint}"


def _may_reach(bundle: Bundle, pod: Pod, endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").split(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    namespace = host[1] if len(host) > 2 and host[2] == "svc" else None
    return any(
        {"protocol": "TCP", "port": port} in rule.get("ports", [])
        and any(_is_there(peer, namespace) for peer in rule.get("to", []))
        for policy in bundle.of("NetworkPolicy")
        if matches(policy["spec"].get("podSelector"), pod.labels)
        for rule in policy["spec"].get("egress", [])
    )


def _is_there(peer: Mapping[str, Any], namespace: str | None) -> bool:
    """Whether a peer is a namespace of the cluster, or with None the world."""
    if namespace is None:
        return "ipBlock" in peer
    return ((peer.get("namespaceSelector") or {}).get("matchLabels") or {}).get(_NAMESPACE) == namespace
