"""Values of earlier deployments that the cluster stores, so that they need not be given again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from k8s.tools.deploy.environment import GIVEN
from k8s.tools.deploy.kubectl import Kubectl

DEPLOYMENTS = ("triton", "frontend")  # in their order of readiness: the front end must have reached Triton
LAST = "last-deployment"  # a ConfigMap: deployment -> its previous revision; or UNDONE
UNDONE = "undone"
CLIENT_ID = "azure.workload.identity/client-id"
_REVISION = r"{.metadata.annotations.deployment\.kubernetes\.io/revision}"


def client_id(kubectl: Kubectl, account: str) -> str | None:
    """Return the identity of a service account."""
    path = "{.metadata.annotations." + CLIENT_ID.replace(".", r"\.") + "}"
    return _matching(r"[0-9a-fA-F-]{36}", kubectl.field("serviceaccount", account, path))


def host(kubectl: Kubectl) -> str | None:
    """Return the host name of the route or, without one, of the ingress; None while it is the placeholder."""
    # The kind itself may be unknown, which must not look like a cluster that can't be reached.
    route = kubectl.field("crd", "httproutes.gateway.networking.k8s.io", "{.metadata.name}")
    host = kubectl.field("httproute", "frontend", "{.spec.hostnames[0]}") if route else ""
    found = _matching(r"[-a-z0-9.]+", host or kubectl.field("ingress", "frontend", "{.spec.rules[0].host}"))
    return None if found is None or found.endswith(".example") else found


def front_end_settings(kubectl: Kubectl) -> str | None:
    """Return the settings file of the deployed front end, if an earlier FRONTEND_CONFIG gave it."""
    path = '{.spec.template.spec.volumes[?(@.name=="settings")].configMap.name}'
    name = _matching(r"settings-[a-z0-9]+", kubectl.field("deployment", "frontend", path))
    text = "" if name is None else kubectl.field("configmap", name, r"{.data.settings\.yml}")
    return f"{text}\n" if text.startswith(GIVEN) else None


def secrets_version(kubectl: Kubectl) -> str | None:
    """Return a version that changes with the secrets and does not reveal them."""
    return _matching(r"[0-9]+", kubectl.field("secret", "tosia", "{.metadata.resourceVersion}"))


@dataclass(frozen=True, slots=True)
class Revision:
    """number: of the last rollout; generation: counts every change of the Deployment at once. None: there is none."""

    number: str | None
    generation: str | None


def revisions(kubectl: Kubectl) -> dict[str, Revision]:
    """Return the revision of each Deployment."""
    return {
        name: Revision(
            _matching(r"[0-9]+", kubectl.field("deployment", name, _REVISION)),
            _matching(r"[0-9]+", kubectl.field("deployment", name, "{.metadata.generation}")),
        )
        for name in DEPLOYMENTS
    }


def remember(kubectl: Kubectl, before: dict[str, Revision]) -> None:
    """Store the changed Deployments and their previous revisions, if any has changed. Raises: KubectlError."""
    after = revisions(kubectl)
    changed = {
        name: item.number
        for name, item in before.items()
        if item.number is not None and item.generation != after[name].generation
    }
    if changed:
        _write(kubectl, changed)


def remembered(kubectl: Kubectl) -> dict[str, str]:
    """Return Deployment -> the revision before the last change."""
    found = {name: _matching(r"[0-9]+", kubectl.field("configmap", LAST, f"{{.data.{name}}}")) for name in DEPLOYMENTS}
    return {name: number for name, number in found.items() if number is not None}


def remember_undone(kubectl: Kubectl) -> None:
    """Store that the change is undone, so that a second rollback does not undo the first. Raises: KubectlError."""
    _write(kubectl, {UNDONE: "yes"})


def is_undone(kubectl: Kubectl) -> bool:
    """Whether the last change is already undone."""
    return kubectl.field("configmap", LAST, f"{{.data.{UNDONE}}}") == "yes"


def _write(kubectl: Kubectl, data: dict[str, str]) -> None:
    metadata = {"name": LAST, "namespace": "tosia", "labels": {"app.kubernetes.io/part-of": "tosia"}}
    kubectl.apply_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _matching(pattern: str, text: str) -> str | None:
    return text if re.fullmatch(pattern, text) else None
