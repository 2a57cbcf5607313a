"""Values of earlier deployments that the cluster stores, so that they need not be given again."""

from __future__ import annotations

import re
from collections.abc import Collection

from k8s.tools.deploy.environment import GIVEN, RECEIVERS
from k8s.tools.deploy.kubectl import Kubectl

STORE_KEYS = ("BLOB_CONNECTION", "COSMO_KEY")  # what the front end reads unless it has an identity
CLIENT_ID = "azure.workload.identity/client-id"


def client_id(kubectl: Kubectl, account: str) -> str | None:
    """Return the identity of a service account."""
    path = "{.metadata.annotations." + CLIENT_ID.replace(".", r"\.") + "}"
    return _matching(r"[0-9a-fA-F-]{36}", kubectl.field("serviceaccount", account, path))


def scaler_client_id(kubectl: Kubectl) -> str | None:
    """Return the identity with which KEDA counts the intake's messages."""
    # The kind itself may be unknown, which must not look like a cluster that can't be reached.
    known = kubectl.field("crd", "triggerauthentications.keda.sh", "{.metadata.name}")
    path = "{.spec.podIdentity.identityId}"
    return _matching(r"[0-9a-fA-F-]{36}", kubectl.field("triggerauthentication", "intake", path)) if known else None


def host(kubectl: Kubectl, *, by_ingress: bool) -> str | None:
    """Return the host name of the way in that is deployed or, where it is new, of the other one, which nobody prunes;
    None while it is the placeholder.
    """
    # The kind itself may be unknown, which must not look like a cluster that can't be reached.
    known = kubectl.field("crd", "httproutes.gateway.networking.k8s.io", "{.metadata.name}")
    route = kubectl.field("httproute", "frontend", "{.spec.hostnames[0]}") if known else ""
    ingress = kubectl.field("ingress", "frontend", "{.spec.rules[0].host}")
    found = _matching(r"[-a-z0-9.]+", (ingress or route) if by_ingress else (route or ingress))
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


def kept_keys(kubectl: Kubectl, given: Collection[str]) -> dict[str, str]:
    """Return the Secret's keys of Azure that are not given now, in base64: older revisions may need them.

    Raises: KubectlError.
    """
    return _kept(kubectl, set(STORE_KEYS) - set(given))


def kept_receivers(kubectl: Kubectl, given: Collection[str]) -> dict[str, str]:
    """Return what the Secret holds for callbacks and is not given now, in base64: a shell that forgets it must not end
    them in silence.

    Raises: KubectlError.
    """
    return _kept(kubectl, set(RECEIVERS) - set(given))


def _kept(kubectl: Kubectl, names: set[str]) -> dict[str, str]:
    there = kubectl.keys("secret", "tosia") & names
    return {key: kubectl.field("secret", "tosia", f"{{.data.{key}}}") for key in sorted(there)}


def _matching(pattern: str, text: str) -> str | None:
    return text if re.fullmatch(pattern, text) else None
