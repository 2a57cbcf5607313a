"""Everything that `make -C k8s` has made in the cluster, deleted in an order that does not hang."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from k8s.tools.deploy.candidate import PRIORITY
from k8s.tools.deploy.deployments import INTAKE
from k8s.tools.deploy.environment import EnvironmentProblem, Target
from k8s.tools.deploy.kubectl import Kubectl, KubectlError

NAMESPACE, PLUGIN, PLUGIN_NAMESPACE = "tosia", "nvidia-device-plugin", "gpu-resources"
WAY_IN = "tosia-gateway"  # the namespace of components/gateway; there is none with the nginx controller
POOLS, NODE_CLASS = ("tosia-gpu-on-demand", "tosia-gpu-spot"), "tosia-gpu"
PART_OF = "app.kubernetes.io/part-of=tosia"
# A node is drained and given back; `terminationGracePeriod` of the pools is half an hour.
NODES_TIMEOUT, TIMEOUT = "35m", "10m"


def delete(target: Target, environ: Mapping[str, str]) -> int:
    """Delete the namespaces, node pools, node class and the device plugin; safe to repeat. Azure's data is not touched.

    Raises: EnvironmentProblem without SURE=tosia; KubectlError where something is not gone in time.
    """
    kubectl = Kubectl(target.context)
    where = target.context or kubectl.ask("config", "current-context") or "current"
    if environ.get("SURE", "") != NAMESPACE:
        raise EnvironmentProblem(
            f"this deletes the namespace {NAMESPACE} and its GPU nodes in the context {where}, with everything that "
            f"only the namespace holds (keys, settings, volumes): SURE={NAMESPACE} says so."
        )
    definitions = kubectl.names("crd")
    if definitions is None:
        raise KubectlError(f"the context {where} can't be asked what it has; nothing was deleted.")
    # Before the namespace, while KEDA can still take its finalizer off: else the namespace never ends.
    if "scaledobjects.keda.sh" in definitions:
        _delete(kubectl, "scaledobject", "triton", INTAKE)
    if "triggerauthentications.keda.sh" in definitions:
        _delete(kubectl, "triggerauthentication", INTAKE)
    # Before the nodes: its disruption budgets would keep their drain waiting.
    _delete(kubectl, "namespace", NAMESPACE, WAY_IN)
    _delete(kubectl, "priorityclass", PRIORITY)  # of a candidate; the rest of it was in the namespace
    if "nodepools.karpenter.sh" in definitions:
        _delete(kubectl, "nodepool", *POOLS, timeout=NODES_TIMEOUT)
        for pool in POOLS if "nodeclaims.karpenter.sh" in definitions else ():
            selector = f"--selector=karpenter.sh/nodepool={pool}"
            if kubectl.ask("get", "nodeclaim", selector, "-o=name"):
                kubectl.run("wait", "nodeclaim", selector, "--for=delete", f"--timeout={NODES_TIMEOUT}")
    # It stays while a node uses it.
    if "aksnodeclasses.karpenter.azure.com" in definitions:
        _delete(kubectl, "aksnodeclass", NODE_CLASS)
    _delete_plugin(Kubectl(target.context, PLUGIN_NAMESPACE))
    _say(
        f"nothing of ours is left in the context {where}. Containers, databases and identities in Azure are as before."
    )
    return 0


def _delete_plugin(kubectl: Kubectl) -> None:
    """Delete the plugin, and its namespace where nothing of others runs in it: others use the same name."""
    _delete(kubectl, "daemonset", PLUGIN)
    others = kubectl.ask("get", "daemonsets,deployments,statefulsets,jobs", "-o=name").split()
    if others:
        _say(f"the namespace {PLUGIN_NAMESPACE} stays: it holds {', '.join(others)}.")
        return
    selector = (f"--selector={PART_OF}", f"--field-selector=metadata.name={PLUGIN_NAMESPACE}")
    kubectl.run("delete", "namespace", *selector, "--ignore-not-found", f"--timeout={TIMEOUT}")


def _delete(kubectl: Kubectl, kind: str, *names: str, timeout: str = TIMEOUT) -> None:
    try:
        kubectl.run("delete", kind, *names, "--ignore-not-found", f"--timeout={timeout}")
    except KubectlError as error:
        raise KubectlError(
            f"{kind} {' '.join(names)} is not gone: `kubectl get {kind} {names[0]} -o yaml` shows its finalizers and "
            "conditions. The rest was left; run this again."
        ) from error


def _say(text: str) -> None:
    print(f"deploy: {text}", file=sys.stderr)
