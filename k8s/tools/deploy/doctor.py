"""The requirements of `apply` on the cluster, and a check of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from k8s.tools.deploy.environment import Target
from k8s.tools.deploy.kubectl import Kubectl

OLDEST = (1, 29)  # k8s/manifests/tensorrt-plan uses sidecar containers; server-side apply


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement.

    resource: `kind name` of an object that `kubectl get` finds if the requirement is met; namespace: if it is not ours
    """

    what: str
    resource: tuple[str, str]
    remedy: str
    namespace: str = "tosia"


ALWAYS = (
    Need("metrics server", ("apiservice", "v1beta1.metrics.k8s.io"), "AKS brings it; elsewhere install metrics-server"),
    Need("KEDA", ("crd", "scaledobjects.keda.sh"), "az aks update --enable-keda"),
    Need(
        "Prometheus operator",
        ("crd", "podmonitors.monitoring.coreos.com"),
        "install kube-prometheus-stack (docs/deploy.md)",
    ),
    Need(
        "rules for Prometheus",
        ("crd", "prometheusrules.monitoring.coreos.com"),
        "install kube-prometheus-stack (docs/deploy.md)",
    ),
    Need(
        "Prometheus",
        ("service", "kube-prometheus-stack-prometheus"),
        "the release must be called kube-prometheus-stack, in the namespace monitoring",
        "monitoring",
    ),
    Need("ingress controller", ("ingressclass", "nginx"), "install an NGINX ingress controller whose class is nginx"),
    Need("cert-manager", ("crd", "clusterissuers.cert-manager.io"), "install cert-manager (docs/deploy.md)"),
    Need("issuer of certificates", ("clusterissuer", "letsencrypt"), "make a ClusterIssuer called letsencrypt"),
    Need(
        "workload identity",
        ("mutatingwebhookconfiguration", "azure-wi-webhook-mutating-webhook-configuration"),
        "az aks update --enable-oidc-issuer --enable-workload-identity",
    ),
)
NODEPOOL = (
    Need(
        "node auto-provisioning",
        ("crd", "nodepools.karpenter.sh"),
        "az aks update --node-provisioning-mode Auto, or NODEPOOL=none",
    ),
    Need(
        "AKS node classes",
        ("crd", "aksnodeclasses.karpenter.azure.com"),
        "az aks update --node-provisioning-mode Auto, or NODEPOOL=none",
    ),
)
BY_COMPONENT = {
    "fqdn-egress": (
        Need(
            "Cilium",
            ("crd", "ciliumnetworkpolicies.cilium.io"),
            "a cluster with --network-dataplane cilium and --enable-acns",
        ),
    ),
}


def needs(target: Target) -> list[Need]:
    """Return the requirements of this deployment."""
    if not target.on_azure:
        return []
    parts = {*target.components, target.overlay}
    extra = [need for name in sorted(parts) for need in BY_COMPONENT.get(name, ())]
    return [*ALWAYS, *(NODEPOOL if target.nodepool else ()), *extra]


def examine(target: Target) -> int:
    """Print a line for each requirement; return 0 if all are met, else 1. Raises: KubectlError without a kubectl."""
    server = _server_version(Kubectl(target.context))
    if server is None:
        print(
            f"missing  the cluster  context {target.context or 'current'} can't be reached: az aks get-credentials "
            "--name tosia"
        )
        return 1
    lacking = server < OLDEST
    print(
        f"{'old    ' if lacking else 'ok     '}  Kubernetes  {server[0]}.{server[1]} (at least {OLDEST[0]}.{OLDEST[1]})"
    )
    for need in needs(target):
        found = Kubectl(target.context, need.namespace).ask("get", *need.resource, "--ignore-not-found", "-o=name")
        print(f"ok       {need.what}" if found else f"missing  {need.what}  {need.remedy}")
        lacking |= not found
    return int(lacking)


def _server_version(kubectl: Kubectl) -> tuple[int, int] | None:
    try:
        version = json.loads(kubectl.ask("version", "-o=json"))["serverVersion"]
        return int(version["major"]), int(version["minor"].rstrip("+"))
    except (ValueError, KeyError, TypeError):
        return None
