"""The intake: nobody comes to it, it has an identity and no key, and KEDA counts its queue; and that whoever posts to
receivers can't post to addresses inside.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from frontend.configuration.deadlines_limits_intervals import CONFIG_VARIABLE
from frontend.configuration.settings import SettingsError, read_settings
from k8s.tools.deploy.deployments import INTAKE
from k8s.tools.validate.objects import Bundle, Object, Pod, matches
from k8s.tools.validate.tuned import is_front_end, is_intake, variables

ROLES = "azure/intake.sh"
_IDENTITY = "azure.workload.identity/use"
_QUEUES = "$QUEUES/$QUEUE"
_NEEDED = {  # identity, role, scope: what roles may do is in Microsoft's list of built-in roles, and what an operation
    # needs in "Authorize with Microsoft Entra ID" of the Queue service's REST reference
    (INTAKE, "Storage Queue Data Contributor", _QUEUES),
    (INTAKE, "Storage Queue Data Contributor", f"{_QUEUES}-poison"),
    (INTAKE, "Storage Blob Data Contributor", "$STORE/blobServices/default/containers/$CONTAINER"),
    ("intake-scaler", "Storage Queue Data Reader", _QUEUES),
}
_TRIGGER_KEYS = {
    *("accountName", "queueName", "queueLength", "activationQueueLength", "queueLengthStrategy", "cloud"),
    "endpointSuffix",
}
_OF_THE_NODE = ("169.254.0.0/16", "168.63.129.16/32")
_INSIDE = (  # as far as a policy can say it; frontend/adapters/callbacks/connection.py refuses more
    *_OF_THE_NODE,
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "0.0.0.0/8"),
    *("192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
)
_AZURE = {"*.queue.core.windows.net", "*.blob.core.windows.net", "*.documents.azure.com", "login.microsoftonline.com"}


def intake(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check the intake where there is one, and the way out of what sends to receivers."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                if is_intake(container):
                    for problem in (
                        *_settings(bundle, container),
                        *_identity(bundle, pod, container),
                        *_ways_in(bundle, pod),
                        *_scaled(bundle, pod, container),
                    ):
                        yield bundle.says(pod.owner, problem)
                if is_intake(container) or (is_front_end(container) and _sends(container)):
                    for problem in _ways_out(bundle, pod, container):
                        yield bundle.says(pod.owner, problem)


def roles(root: Path) -> Iterator[str]:
    """Check that the identities get the roles that they need, and no other."""
    text = (root / ROLES).read_text(encoding="utf-8").replace("\\\n", " ")
    found = set(re.findall(r'^grant (\S+) "([^"]+)" "([^"]+)"$', text, re.MULTILINE))
    for who, role, scope in sorted(_NEEDED - found):
        yield f"{ROLES}: {who} lacks the role {role} on {scope}"
    for who, role, scope in sorted(found - _NEEDED):
        yield f"{ROLES}: {who} gets the role {role} on {scope}, which it does not need"
    calls = len(re.findall(r"^\s*az role assignment create", text, re.MULTILINE))
    lines = len(re.findall(r"^grant ", text, re.MULTILINE))
    if (calls, lines) != (1, len(found)):
        yield f'{ROLES}: gives roles in another way than by lines like: grant IDENTITY "ROLE" "SCOPE"'


def _sends(container: Object) -> bool:
    return any(item["name"] == "CALLBACKS" for item in container.get("env", []))


def _settings(bundle: Bundle, container: Object) -> Iterator[str]:
    found = {
        name: re.sub("ACCOUNT|CONTAINER", lambda match: match[0].lower(), text)
        for name, text in variables(bundle, container).items()
    }
    if found.get("TOSIA_STORES") == "embedded":
        yield "takes storage events, but the stores are embedded: overlays/cpu has no intake"
    if not found.get("INTAKE_QUEUE"):
        yield "has no INTAKE_QUEUE"
    try:
        read_settings({**found, CONFIG_VARIABLE: ""}, serves=False)  # agreement.py checks that file
    except SettingsError as error:
        yield f"would not start: {error}"
    if "/tmp" not in {mount["mountPath"] for mount in container.get("volumeMounts", [])}:  # noqa: S108
        yield "has a read-only root and no /tmp"


def _identity(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    sources = [(item["name"], (item.get("valueFrom") or {}).get("secretKeyRef")) for item in container.get("env", [])]
    taken = {name for name, source in sources if source is not None}
    whole = any("secretRef" in source for source in container.get("envFrom", []))
    named = {item["name"] for item in container.get("env", [])}
    if whole or "API_KEY" in named:
        yield "has API_KEY, which whoever reads its memory could call with: it answers nobody"
    for name in sorted(taken - {"API_KEY", "CALLBACKS", "INTAKE_KEY"}):
        yield f"takes {name} from the Secret: its identity may do less than such a key"
    if variables(bundle, container).get("TOSIA_IDENTITY") != "workload" or pod.labels.get(_IDENTITY) != "true":
        yield f"gets no identity: TOSIA_IDENTITY=workload, and the label {_IDENTITY} of its pods"
    account = pod.spec.get("serviceAccountName")
    for other in bundle.pods():
        if other.owner != pod.owner and other.spec.get("serviceAccountName") == account:
            yield f"has the account {account} of {other.owner['metadata']['name']}, and so its identity: one of its own"


def _ways_in(bundle: Bundle, pod: Pod) -> Iterator[str]:
    for service in bundle.of("Service"):
        selector = service["spec"].get("selector")
        if selector and matches({"matchLabels": selector}, pod.labels):
            yield f"the Service {service['metadata']['name']} leads to it: it answers nobody"
    if not any(matches(item["spec"].get("selector"), pod.labels) for item in bundle.of("PodMonitor")):
        yield "no PodMonitor scrapes it, so no alert says that its queue grows old"


def _scaled(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    name = pod.owner["metadata"]["name"]
    found = [item for item in bundle.of("ScaledObject") if item["spec"]["scaleTargetRef"]["name"] == name]
    triggers = [trigger for item in found for trigger in item["spec"]["triggers"]]
    if len(triggers) != 1 or triggers[0]["type"] != "azure-queue":
        yield "is not scaled by the length of its queue alone (azure-queue)"
        return
    settings = variables(bundle, container)
    host = urlsplit(settings.get("QUEUE_ENDPOINT", "")).netloc
    metadata: dict[str, Any] = triggers[0]["metadata"]
    for key, wanted in (("queueName", settings.get("INTAKE_QUEUE")), ("accountName", host.partition(".")[0])):
        if metadata.get(key) != wanted:
            yield f"is scaled by {key} {metadata.get(key)}, and takes from {wanted}"
    for key in sorted(metadata.keys() - _TRIGGER_KEYS):
        yield f"is scaled with {key}, which azure-queue does not have with an identity"
    length = str(metadata.get("queueLength", "5"))
    if not length.isdecimal() or int(length) < 1:
        yield f"is scaled by a queueLength of {length}, which is no number of messages"
    if found[0]["spec"].get("minReplicaCount", 0) < 1:
        yield "may have no pod (minReplicaCount): nothing would say how old its queue is, and what was given up"
    yield from _authentication(bundle, (triggers[0].get("authenticationRef") or {}).get("name", ""))


def _authentication(bundle: Bundle, name: str) -> Iterator[str]:
    found = bundle.named("TriggerAuthentication", name)
    by = ((found or {}).get("spec") or {}).get("podIdentity") or {}
    if by.get("provider") != "azure-workload":
        yield "KEDA can't ask for its queue: an authenticationRef whose podIdentity is azure-workload"
    elif not by.get("identityId"):
        yield "KEDA would count with the identity of its operator: say identityId"


def _ways_out(bundle: Bundle, pod: Pod, container: Object) -> Iterator[str]:
    by_name = [
        item for item in bundle.of("CiliumNetworkPolicy") if matches(item["spec"].get("endpointSelector"), pod.labels)
    ]
    blocks = [
        (policy["metadata"]["name"], peer["ipBlock"])
        for policy in bundle.of("NetworkPolicy")
        if matches(policy["spec"].get("podSelector"), pod.labels)
        for rule in policy["spec"].get("egress", [])
        if any(port.get("port") == 443 for port in rule.get("ports", []))
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    if variables(bundle, container).get("CALLBACKS_ALLOW_PRIVATE", "0") != "0":
        yield "may send to addresses inside (CALLBACKS_ALLOW_PRIVATE), which is for a laptop"
    closed = _INSIDE if _sends(container) else _OF_THE_NODE
    for policy, block in blocks:
        if by_name:
            yield f"the NetworkPolicy {policy} lets it reach every host, beside those that it may reach by name"
        lacking = [one for one in closed if not _excepted(one, block)]
        if lacking:
            yield f"the NetworkPolicy {policy} lets it reach {', '.join(lacking)} (except)"
    hosts = {host for policy in by_name for host in _hosts(policy)}
    if is_intake(container) and not blocks and not hosts >= _AZURE:
        yield f"no policy lets it reach {', '.join(sorted(_AZURE - hosts))}"
    if _sends(container) and not blocks and not hosts - _AZURE:
        yield "no policy lets it reach a receiver"


def _excepted(inside: str, block: Object) -> bool:
    wanted = ipaddress.ip_network(inside)
    excepted = [ipaddress.ip_network(text) for text in block.get("except", [])]
    whole = ipaddress.ip_network(block["cidr"])
    return not whole.overlaps(wanted) or any(wanted.subnet_of(item) for item in excepted)  # type: ignore[arg-type]


def _hosts(policy: Object) -> Iterator[str]:
    for rule in policy["spec"].get("egress", []):
        for host in rule.get("toFQDNs", []):
            yield from host.values()
