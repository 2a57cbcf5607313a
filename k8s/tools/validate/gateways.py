"""The way in by Gateway API: a Gateway that ends TLS, a route of everything to the front end, a redirect from HTTP.

Some of it is CEL in the definitions, which no schema holds; some a cluster would accept and then not work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from k8s.tools.validate.agreement import limits_of
from k8s.tools.validate.objects import Bundle, Object, matches
from k8s.tools.validate.references import namespaces_of
from runtime.config import load_limits

CLASS = "approuting-istio"
FRONT_END = "frontend"
SPACES = {"tosia", "tosia-gateway"}
# Azure's load balancer asks a port whose appProtocol is http for `GET /` of its own address, and a listener of one host
# answers 404: it would take every node out (Azure/AKS issue 3646).
PROBES = {f"service.beta.kubernetes.io/port_{port}_health-probe_protocol": "tcp" for port in (80, 443)}
_EVERYTHING: list[Object] = [{"path": {"type": "PathPrefix", "value": "/"}}]
_TO_HTTPS = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}
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
        for route in bundle.of("GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"):
            yield bundle.says(route, "is another way in: an HTTPRoute to the front end is the only one")
        if there and bundle.of("Ingress"):
            yield f"{bundle.name}: has a Gateway and an Ingress: one way in, or certificates and hosts are there twice"


def _of_gateway(gateway: Object) -> Iterator[str]:
    if gateway["spec"]["gatewayClassName"] != CLASS:
        yield f"its class is {gateway['spec']['gatewayClassName']}, not {CLASS}"
    if "cert-manager.io/cluster-issuer" not in (gateway["metadata"].get("annotations") or {}):
        yield "no issuer makes its certificate"
    own = (gateway["spec"].get("infrastructure") or {}).get("annotations") or {}
    for name in sorted(PROBES.keys() - {key for key, value in own.items() if PROBES.get(key) == value}):
        yield f"infrastructure.annotations lacks {name}: tcp, so that the load balancer's GET / gets 404"
    listeners = gateway["spec"]["listeners"]
    if sorted((listener["protocol"], listener["port"]) for listener in listeners) != [("HTTP", 80), ("HTTPS", 443)]:
        yield "has other listeners than HTTP on 80 and HTTPS on 443"
    if len({listener["name"] for listener in listeners}) < len(listeners):
        yield "two listeners have one name"
    hosts = {listener.get("hostname") for listener in listeners}
    if len(hosts) != 1 or None in hosts:
        yield "its listeners must have the same host: cert-manager makes a certificate for a named one only"
    if any("*" in str(host) for host in hosts):
        yield "its host is a wildcard, which the authority never proves by HTTP-01"
    for listener in listeners:
        tls = listener.get("tls", {})
        if listener["protocol"] == "HTTP" and tls:
            yield f"the listener {listener['name']} is HTTP and has TLS"
        if listener["protocol"] == "HTTPS":
            if tls.get("mode", "Terminate") != "Terminate":
                yield f"the listener {listener['name']} must end TLS (Terminate), not pass it on"
            if not any(one.get("kind", "Secret") == "Secret" for one in tls.get("certificateRefs", [])):
                yield f"the listener {listener['name']} names no certificate (certificateRefs)"
        if _takes_any(listener.get("allowedRoutes", {}).get("namespaces", {})):
            yield f"the listener {listener['name']} takes routes of every namespace, so that any could take the host"


def _takes_any(allowed: Object) -> bool:
    """Whether other namespaces than ours may attach routes. A selector must name ours: {} selects all of them."""
    if allowed.get("from", "Same") != "Selector":
        return bool(allowed.get("from") == "All")
    named = set(namespaces_of(allowed.get("selector") or {}))
    return not named or not named <= SPACES


def _of_redirect(bundle: Bundle, gateway: Object) -> Iterator[str]:
    for listener in gateway["spec"]["listeners"]:
        routes = [route for route in bundle.of("HTTPRoute") if listener["name"] in _sections(route, gateway)]
        served = [route for route in routes if any("backendRefs" in rule for rule in route["spec"]["rules"])]
        if len(routes) > 1:
            yield f"the listener {listener['name']} has {len(routes)} routes of ours, which fight for its host"
        if listener["protocol"] == "HTTPS" and any(_redirects(route) for route in routes):
            yield "redirects HTTPS to itself"
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
    """A route has one rule, in one of two exact forms: whatever else Gateway API can do changes or loses calls."""
    rules = route["spec"]["rules"]
    if len(rules) != 1:
        yield f"has {len(rules)} rules: one, of everything"
    for rule in rules:
        if rule.get("matches", _EVERYTHING) != _EVERYTHING:
            yield "leads a part of the requests, not all below /"
        if "backendRefs" in rule:
            yield from _of_served(bundle, route, rule)
        elif rule.keys() - {"matches"} != {"filters"} or rule["filters"] != [_TO_HTTPS]:
            yield "has no backend, and is not the redirect to https either (301, same host, no port)"


def _of_served(bundle: Bundle, route: Object, rule: Object) -> Iterator[str]:
    for key in sorted(rule.keys() - {"matches", "timeouts", "backendRefs"}):
        yield f"has {key}: the front end gets calls as they came, and nobody else gets them"
    if len(rule["backendRefs"]) != 1:
        yield f"has {len(rule['backendRefs'])} backends: the front end alone"
    for backend in rule["backendRefs"]:
        service = bundle.named("Service", backend["name"])
        if service is None or backend["name"] != FRONT_END:
            yield f"leads to the Service {backend['name']}, not to {FRONT_END}"
        elif backend.get("port") not in [port["port"] for port in service["spec"]["ports"]]:
            yield f"Service {backend['name']} has no port {backend.get('port')}"
        if backend.get("namespace", route["metadata"].get("namespace")) != route["metadata"].get("namespace"):
            yield "leads into another namespace, which needs a ReferenceGrant"
        for key in sorted(backend.keys() - {"name", "port", "namespace"}):
            yield f"its backend has {key}: a Service by name and port, with all of the weight"
    limits = limits_of(bundle) or load_limits()[1]
    timeouts = rule.get("timeouts", {})
    for key in sorted(timeouts.keys() - {"request"}):
        yield f"has timeouts.{key}: timeouts.request alone, so that the front end answers first"
    seconds = _seconds(timeouts.get("request", ""))
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
