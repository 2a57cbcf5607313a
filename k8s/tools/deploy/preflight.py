"""What is checked before a deployment changes anything, so that nothing ends half way."""

from __future__ import annotations

import re

from k8s.tools.deploy import deployments
from k8s.tools.deploy.cluster import STORE_KEYS
from k8s.tools.deploy.deployments import Snapshot
from k8s.tools.deploy.environment import CHECKOUT, EnvironmentProblem, Target, Values
from k8s.tools.deploy.history import History
from k8s.tools.deploy.kubectl import Kubectl, Refused
from k8s.tools.deploy.needs import NODEPOOL, missing_definitions, needs
from k8s.tools.deploy.release import known_configs


def check(kubectl: Kubectl, values: Values, manifests: str, known: History) -> None:
    """values: completed by what the cluster remembers. Raises: EnvironmentProblem, Refused, KubectlError."""
    _check_given_once(values)
    if values.triton is not None:
        check_release(values.triton["repository"], manifests, known)
    if not values.target.on_azure:
        return
    definitions = kubectl.names("crd")
    if definitions is not None:  # otherwise we may not list them, and the API server says what it lacks
        lacking = missing_definitions(needs(values.target, manifests), definitions)
        if lacking:
            raise Refused(_lacking([(need.what, need.remedy) for need in lacking]))


def check_nodepool(kubectl: Kubectl, target: Target) -> None:
    """Raises: Refused without auto-provisioning's definitions."""
    definitions = kubectl.names("crd") if target.nodepool else None
    if definitions is not None and (lacking := missing_definitions(list(NODEPOOL), definitions)):
        raise Refused(_lacking([(need.what, need.remedy) for need in lacking]))


def check_pruning(kubectl: Kubectl, moment: Snapshot) -> None:
    """Raises: Refused where keys would leave the Secret while pods still read them."""
    deployment = moment.deployments.get("frontend")
    if deployment is None:
        return
    current = moment.current("frontend")
    serving = [item for item in moment.replica_sets("frontend") if deployments.available(item)]
    readers = [item for item in (*serving, *([current] if current else [])) if _reads_keys(kubectl, item)]
    if readers or not deployments.has_proved(deployment):
        raise Refused(
            f"PRUNE_KEYS=1 would take {' and '.join(STORE_KEYS)} from the Secret before front ends with an identity "
            "are rolled out: deploy without it first. Nothing was changed."
        )


def _reads_keys(kubectl: Kubectl, item: dict[str, object]) -> bool:
    maps = [kubectl.read("configmap", name).get("data") or {} for name in deployments.config_maps(item)]
    return any(data.get("TOSIA_STORES") == "azure" and data.get("TOSIA_IDENTITY") != "workload" for data in maps)


def _check_given_once(values: Values) -> None:
    """Refuse what neither the environment nor the cluster knows: the manifests' placeholders would be deployed."""
    if not values.target.on_azure:
        return
    missing = []
    if values.triton_client_id is None:
        missing.append("TRITON_CLIENT_ID (without an identity Triton can't read the container)")
    if values.settings["TOSIA_IDENTITY"] == "workload" and values.frontend_client_id is None:
        missing.append("FRONTEND_CLIENT_ID (without an identity the front end can't reach its stores)")
    if values.intake is not None and values.intake.client_id is None:
        missing.append("INTAKE_CLIENT_ID (without an identity the intake can't reach its queue)")
    if values.intake is not None and values.intake.scaler_client_id is None:
        missing.append("INTAKE_SCALER_CLIENT_ID (without an identity KEDA can't count its messages)")
    if values.host is None:
        missing.append("INGRESS_HOST (else a placeholder is served)")
    if missing:
        raise EnvironmentProblem(f"the cluster does not know these, so give them once: {', '.join(missing)}.")


def check_release(path: str, manifests: str, known: History) -> None:
    """Refuse a release that lacks the configuration which Triton is told to take: it would take another in silence.

    Raises: Refused.
    """
    wanted = re.search(r"--model-config-name=([a-z0-9_-]+)", manifests)
    if wanted is None:
        return
    names = known_configs(path, CHECKOUT)
    names = known.configs.get(path) if names is None else names
    if names is not None and wanted.group(1) not in names:
        raise Refused(
            f"the release {path} has no configs/{wanted.group(1)}.pbtxt, and Triton would serve config.pbtxt without "
            "a word (docs/gpu.md): `make export` makes one that has. Nothing was changed."
        )


def _lacking(parts: list[tuple[str, str]]) -> str:
    by_remedy: dict[str, list[str]] = {}
    for what, remedy in parts:
        by_remedy.setdefault(remedy, []).append(what)
    named = "; ".join(f"{' and '.join(what)}: {remedy}" for remedy, what in by_remedy.items())
    return f"the cluster lacks {named}. Nothing was changed; `make -C k8s doctor` lists all."
