"""One deployment's values on top of an overlay, as a kustomization in a temporary folder.

It contains no secrets.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k8s.tools.deploy.cluster import CLIENT_ID
from k8s.tools.deploy.components import parts
from k8s.tools.deploy.deployments import CANDIDATE, INTAKE
from k8s.tools.deploy.environment import MANIFESTS, Intake, Target, Values
from k8s.tools.deploy.kubectl import Kubectl

IMAGE = "tosia.azurecr.io/frontend"
LOCAL_IMAGE = "tosia-frontend"
HOSTS = {  # where the manifests have the host's name
    "Gateway": ("/spec/listeners/0/hostname", "/spec/listeners/1/hostname"),
    "HTTPRoute": ("/spec/hostnames/0",),
    "Ingress": ("/spec/rules/0/host", "/spec/tls/0/hosts/0"),
}
OF_JOB = "tosia/of-job"  # the label of what a Job needs, by which it is deleted


def render(kubectl: Kubectl, values: Values, *, secrets_version: str | None) -> str:
    """Render all manifests. secrets_version: a change restarts the front end's pods. Raises: KubectlError."""
    base = MANIFESTS / "overlays" / values.target.overlay
    return _rendered(kubectl, [base], _on_top(values, secrets_version), values.front_end or "")


def render_bare(kubectl: Kubectl, target: Target) -> str:
    """Render an overlay with its components, but without a deployment's values. Raises: KubectlError."""
    return _rendered(
        kubectl, [MANIFESTS / "overlays" / target.overlay], {"components": parts(MANIFESTS, target.components)}
    )


def render_candidate(kubectl: Kubectl, release: str, *, on_azure: bool, by_name: bool) -> str:
    """Render a candidate. release: its path, or the image that holds it; by_name: may it reach named hosts only?

    Raises: KubectlError.
    """
    if not on_azure:
        images = {"images": [{"name": LOCAL_IMAGE, "newTag": release.rpartition(":")[2]}]}
        return _rendered(kubectl, [MANIFESTS / "candidate" / "cpu"], images)
    path = {"repository": release, "account": release.removeprefix("as://").partition("/")[0]}
    on_top = {
        "configMapGenerator": [_merged(CANDIDATE, path)],
        "components": [MANIFESTS / "candidate" / "fqdn-egress"] if by_name else [],
    }
    return _rendered(kubectl, [MANIFESTS / "candidate" / "azure"], on_top)


def render_job(kubectl: Kubectl, job: str, build_number: str, config: dict[str, str] | None) -> str:
    """Render a Job of `k8s/<job>`, with its image and its ConfigMap, where it has them. Raises: KubectlError."""
    on_top: dict[str, Any] = {"images": [{"name": IMAGE, "newTag": build_number}]} if build_number else {}
    on_top["labels"] = [{"pairs": {OF_JOB: job}}]
    if config:
        on_top["configMapGenerator"] = [_merged(job, config)]
    return _rendered(kubectl, [MANIFESTS / job], on_top)


def _rendered(kubectl: Kubectl, resources: list[Path], on_top: dict[str, Any], front_end: str = "") -> str:
    """Render resources. front_end: the text of its settings file, if it is not the manifests' own"""
    with tempfile.TemporaryDirectory(prefix="tosia-") as name:
        folder = Path(name).resolve()  # kustomize takes relative paths only, and resolves links
        components = on_top.pop("components", [])
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(resource, folder) for resource in resources],
            "components": [os.path.relpath(MANIFESTS / "components" / component, folder) for component in components],
            **on_top,
        }
        if front_end:
            (folder / "settings.yml").write_text(front_end, encoding="utf-8")
        (folder / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        return kubectl.kustomize(str(folder))


def _on_top(values: Values, secrets_version: str | None) -> dict[str, Any]:
    image = {"name": IMAGE if values.target.on_azure else LOCAL_IMAGE, "newTag": values.build_number}
    maps = [_merged("frontend", dict(values.settings))] if values.settings else []
    if values.triton is not None:
        maps.append(_merged("triton", dict(values.triton)))
    if values.front_end:
        file = {"files": ["settings.yml"]}
        maps.append({"name": "settings", "namespace": "tosia", "behavior": "merge", **file})
    patches: list[dict[str, Any]] = []
    accounts = (
        ("frontend", values.frontend_client_id),
        ("triton", values.triton_client_id),
        (INTAKE, values.intake.client_id if values.intake else None),
    )
    for account, client_id in accounts:
        if client_id is not None:
            patches.append(
                _patch("v1", "ServiceAccount", account, {"metadata": {"annotations": {CLIENT_ID: client_id}}})
            )
    if secrets_version is not None:
        annotations = {"metadata": {"annotations": {"tosia/secrets-version": secrets_version}}}
        for name in ("frontend", *((INTAKE,) if values.intake else ())):
            patches.append(_patch("apps/v1", "Deployment", name, {"spec": {"template": annotations}}))
    if values.intake is not None:
        patches += _of_intake(values.intake)
    if values.host is not None and values.target.on_azure:
        # Whichever way in is rendered; a patch without its target changes nothing.
        for kind, paths in HOSTS.items():
            operations = [{"op": "replace", "path": path, "value": values.host} for path in paths]
            patches.append({"patch": json.dumps(operations), "target": {"kind": kind}})
    return {
        "components": parts(MANIFESTS, values.target.components),
        "images": [image],
        "configMapGenerator": maps,
        "patches": patches,
    }


def _of_intake(intake: Intake) -> list[dict[str, Any]]:
    """Return patches: where the intake's queue is, which queue KEDA counts, and with which identity. By patches also in
    its ConfigMap, since generators come before components, and so have nothing to merge with.
    """
    queue = {"accountName": intake.account, "queueName": intake.settings["INTAKE_QUEUE"]}
    patches = [
        _replaced("ConfigMap", f"{INTAKE}(-.*)?", "/data", intake.settings),
        _replaced("ScaledObject", INTAKE, "/spec/triggers/0/metadata", queue),
    ]
    if intake.scaler_client_id is not None:
        identity = {"identityId": intake.scaler_client_id}
        patches.append(_replaced("TriggerAuthentication", INTAKE, "/spec/podIdentity", identity))
    return patches


def _replaced(kind: str, name: str, place: str, values: Mapping[str, str]) -> dict[str, Any]:
    operations = [{"op": "replace", "path": f"{place}/{key}", "value": value} for key, value in values.items()]
    return {"patch": json.dumps(operations), "target": {"kind": kind, "name": name}}


def _merged(name: str, literals: dict[str, str]) -> dict[str, Any]:
    pairs = [f"{key}={value}" for key, value in literals.items()]
    return {"name": name, "namespace": "tosia", "behavior": "merge", "literals": pairs}


def _patch(version: str, kind: str, name: str, change: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, **change.pop("metadata", {})}
    whole = {"apiVersion": version, "kind": kind, "metadata": metadata, **change}
    return {"patch": json.dumps(whole), "target": {"kind": kind, "name": name}}
