"""The way in by Gateway API: a Gateway that ends TLS, a route of everything to the front end, a redirect from HTTP.

Some of it is CEL in the definitions, which no schema holds; some a cluster would accept and then not work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from k8s.tools.validate.agreement import limits_of
from k8s.tools.validate.objects import Bundle, Object, matches
from runtime.config import load_limits

CLASS = "approuting-istio"
FRONT_END = "frontend"
_SPACE = "kubernetes.io/metadata.name"
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def gateways(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check Gateways, their routes, and that there is one way in."""
    for bundle in bundles:
        there = bundle.of("Gateway")
        for gateway in there:
            for problem in (*_of_gateway(gateway), *_of_redirect(bundle, gateway)):
                yield bundle.says(gateway, problem)
        for route in bundle.of("HTTPRoute"):
            for problem in (*_of_parents(bundle, route), *_of_rules(bundle, route)):
                yield bundle.says(route, problem)
        if there and bundle.of("Ingress"):
            yield f"{bundle.name}: has a Gateway and an Ingress: one way in, or certificates and hosts are there twice"


def _of_gateway(gateway: Object) -> Iterator[str]:
    if gateway["spec"]["gatewayClassName"] != CLASS:
        yield f"its class is {gateway['spec']['gatewayClassName']}, not {CLASS}"
    if "cert-manager.io/cluster-issuer" not in (gateway["metadata"].get("annotations") or {}):
        yield "no issuer makes its certificate"
    listeners = gateway["spec"]["listeners"]
    if sorted((listener["protocol"], listener["port"]) for listener in listeners) != [("HTTP", 80), ("HTTPS", 443)]:
        yield "has other listeners than HTTP on 80 and HTTPS on 443"
    if len({listener["name"] for listener in listeners}) < len(listeners):
        yield "two listeners have one name"
    hosts = {listener.get("hostname") for listener in listeners}
    if len(hosts) != 1 or None in hosts:
        yield "its listeners must have the same host: cert-manager makes a certificate for a named one only"
    for listener in listeners:
        tls = listener.get("tls", {})
        if listener["protocol"] == "HTTP" and tls:
            yield f"the listener {listener['name']} is HTTP and has TLS"
        if listener["protocol"] == "HTTPS":
            if tls.get("mode", "Terminate") != "Terminate":
                yield f"the listener {listener['name']} must end TLS (Terminate), not pass it on"
            if not any(one.get("kind", "Secret") == "Secret" for one in tls.get("certificateRefs", [])):
                yield f"the listener {listener['name']} names no certificate (certificateRefs)"
        if listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same") == "All":
            yield f"the listener {listener['name']} takes routes of every namespace, so that any could take the host"


def _of_redirect(bundle: Bundle, gateway: Object) -> Iterator[str]:
    for listener in gateway["spec"]["listeners"]:
        routes = [route for route in bundle.of("HTTPRoute") if listener["name"] in _sections(route, gateway)]
        served = [route for route in routes if any("backendRefs" in rule for rule in route["spec"]["rules"])]
        if listener["protocol"] == "HTTP" and served:
            yield "serves calls without TLS: a route with a backend is attached to its HTTP listener"
        if listener["protocol"] == "HTTP" and not any(_redirects(route) for route in routes):
            yield "does not redirect HTTP to HTTPS"
        if listener["protocol"] == "HTTPS" and not served:
            yield "leads nowhere: no route with a backend is attached to its HTTPS listener"


def _sections(route: Object, gateway: Object) -> set[str]:
    metadata = gateway["metadata"]
    everything = {listener["name"] for listener in gateway["spec"]["listeners"]}
    found: set[str] = set()
    for parent in route["spec"].get("parentRefs", []):
        space = parent.get("namespace", route["metadata"].get("namespace"))
        if (parent["name"], space) == (metadata["name"], metadata.get("namespace")):
            found |= {parent["sectionName"]} if "sectionName" in parent else everything
    return found


def _redirects(route: Object) -> bool:
    return any(
        item["type"] == "RequestRedirect" and item["requestRedirect"].get("scheme") == "https"
        for rule in route["spec"]["rules"]
        for item in rule.get("filters", [])
    )


def _of_parents(bundle: Bundle, route: Object) -> Iterator[str]:
    space = route["metadata"].get("namespace")
    for parent in route["spec"].get("parentRefs", []):
        found = [
            gateway
            for gateway in bundle.of("Gateway")
            if (gateway["metadata"]["name"], gateway["metadata"].get("namespace"))
            == (parent["name"], parent.get("namespace", space))
        ]
        if not found:
            yield f"there is no Gateway {parent['name']} in {parent.get('namespace', space)}"
            continue
        listeners = {item["name"]: item for item in found[0]["spec"]["listeners"]}
        listener = listeners.get(parent.get("sectionName", ""))
        if listener is None:
            yield f"its parent has no listener {parent.get('sectionName')}"
            continue
        if not _allows(listener, found[0], str(space)):
            yield f"the listener {listener['name']} takes no routes of {space}"
        if route["spec"].get("hostnames") != [listener.get("hostname")]:
            yield f"its hosts are {route['spec'].get('hostnames')}, the listener's is {listener.get('hostname')}"


def _allows(listener: Object, gateway: Object, space: str) -> bool:
    allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
    if allowed.get("from", "Same") == "Selector":
        return matches(allowed.get("selector"), {_SPACE: space})
    return bool(allowed.get("from") == "All" or gateway["metadata"].get("namespace") == space)


def _of_rules(bundle: Bundle, route: Object) -> Iterator[str]:
    limits = limits_of(bundle) or load_limits()[1]
    for rule in route["spec"]["rules"]:
        paths = [item.get("path", {}) for item in rule.get("matches", [{}])]
        if any((path.get("type", "PathPrefix"), path.get("value", "/")) != ("PathPrefix", "/") for path in paths):
            yield "leads a part of the paths, not all below /"
        if "backendRefs" not in rule:
            continue
        for backend in rule["backendRefs"]:
            service = bundle.named("Service", backend["name"])
            if service is None or backend["name"] != FRONT_END:
                yield f"leads to the Service {backend['name']}, not to {FRONT_END}"
            elif backend.get("port") not in [port["port"] for port in service["spec"]["ports"]]:
                yield f"Service {backend['name']} has no port {backend.get('port')}"
            if backend.get("namespace", route["metadata"].get("namespace")) != route["metadata"].get("namespace"):
                yield "leads into another namespace, which needs a ReferenceGrant"
        seconds = _seconds(rule.get("timeouts", {}).get("request", ""))
        if seconds is None:
            yield "has no timeout of a request (timeouts.request), so that the proxy's own holds"
        elif 0 < seconds <= limits.request_deadline_s:
            yield f"timeouts.request ends a request before limits.request_deadline_s, {limits.request_deadline_s:g} s"


def _seconds(duration: str) -> float | None:
    """Return a duration of Gateway API in seconds; None where it is none. 0: without end."""
    parts = re.findall(r"(\d+)(h|ms|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)
