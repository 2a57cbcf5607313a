"""What the cluster must have, by what the manifests hold: no requirement of a kind that is not sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from k8s.tools.deploy.environment import Target

AUTO = "az aks update --node-provisioning-mode Auto, or NODEPOOL=none with pools of your own (docs/deploy.md)"
PROMETHEUS = "install kube-prometheus-stack (docs/deploy.md)"


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement.

    resource: `kind name` of an object that `kubectl get` finds if the requirement is met; namespace: if it is not ours
    kinds: it is needed where one of these is sent; empty: always, on Azure
    """

    what: str
    resource: tuple[str, str]
    remedy: str
    namespace: str = "tosia"
    kinds: tuple[str, ...] = ()


NEEDS = (
    Need("metrics server", ("apiservice", "v1beta1.metrics.k8s.io"), "AKS brings it; elsewhere install metrics-server"),
    Need("KEDA", ("crd", "scaledobjects.keda.sh"), "az aks update --enable-keda", kinds=("ScaledObject",)),
    Need(
        "Prometheus operator",
        ("crd", "podmonitors.monitoring.coreos.com"),
        PROMETHEUS,
        kinds=("PodMonitor",),
    ),
    Need(
        "rules for Prometheus",
        ("crd", "prometheusrules.monitoring.coreos.com"),
        PROMETHEUS,
        kinds=("PrometheusRule",),
    ),
    Need(
        "Prometheus",
        ("service", "kube-prometheus-stack-prometheus"),
        "the release must be called kube-prometheus-stack, in the namespace monitoring",
        "monitoring",
    ),
    Need(
        "Gateway API",
        ("crd", "gateways.gateway.networking.k8s.io"),
        "AKS: application routing on Gateway API (docs/deploy.md)",
        kinds=("Gateway",),
    ),
    Need(
        "routes of Gateway API",
        ("crd", "httproutes.gateway.networking.k8s.io"),
        "AKS: application routing on Gateway API (docs/deploy.md)",
        kinds=("HTTPRoute",),
    ),
    Need("cert-manager", ("crd", "clusterissuers.cert-manager.io"), "install cert-manager (docs/deploy.md)"),
    Need("issuer of certificates", ("clusterissuer", "letsencrypt"), "make a ClusterIssuer called letsencrypt"),
    Need(
        "workload identity",
        ("mutatingwebhookconfiguration", "azure-wi-webhook-mutating-webhook-configuration"),
        "az aks update --enable-oidc-issuer --enable-workload-identity",
    ),
    Need(
        "Cilium",
        ("crd", "ciliumnetworkpolicies.cilium.io"),
        "a cluster with --network-dataplane cilium and --enable-acns",
        kinds=("CiliumNetworkPolicy",),
    ),
)
NODEPOOL = (
    Need("node auto-provisioning", ("crd", "nodepools.karpenter.sh"), AUTO, kinds=("NodePool",)),
    Need("AKS node classes", ("crd", "aksnodeclasses.karpenter.azure.com"), AUTO, kinds=("AKSNodeClass",)),
)


def needs(target: Target, manifests: str) -> list[Need]:
    """Return the requirements of a deployment. manifests: as they are rendered"""
    if not target.on_azure:
        return []
    kinds = set(re.findall(r"^kind: (\w+)$", manifests, re.MULTILINE))
    named = [
        Need(what, (kind, name), remedy)
        for what, kind, field, remedy in (
            ("ingress controller", "ingressclass", "ingressClassName", "install a controller of that class"),
            ("class of gateways", "gatewayclass", "gatewayClassName", "AKS: application routing on Gateway API"),
            ("storage class", "storageclass", "storageClassName", "the Azure Files CSI driver"),
        )
        for name in sorted(set(re.findall(rf"^ +{field}: ([\w.-]+)$", manifests, re.MULTILINE)))
    ]
    own = [need for need in NEEDS if not need.kinds or kinds & set(need.kinds)]
    return [*own, *named, *(NODEPOOL if target.nodepool else ())]


def missing_definitions(wanted: list[Need], definitions: set[str]) -> list[Need]:
    """Return the requirements without whose definition `apply` would stop half way.

    definitions: names of CustomResourceDefinitions
    """
    return [need for need in wanted if need.kinds and need.resource[1] not in definitions]
