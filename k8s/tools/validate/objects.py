"""Rendered objects, and functions to read them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
CUSTOM_GROUPS = {"gateway.networking.k8s.io"}  # of Kubernetes' projects, but no part of its API server
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
CLUSTER_WIDE = (
    "Namespace",
    "NodePool",
    "AKSNodeClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
    "StorageClass",
    "CustomResourceDefinition",
    "IngressClass",
    "PersistentVolume",
    "ClusterIssuer",
)


class RenderError(Exception):
    """kubectl could not render a folder; the message is kubectl's."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a workload."""

    owner: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Return all containers, including init containers."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]

    def port(self, wanted: int | str) -> bool:
        """Whether a container has that port, by number or name."""
        ports = [port for container in self.containers for port in container.get("ports", [])]
        return any(wanted in (port.get("containerPort"), port.get("name")) for port in ports)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The rendered objects of one folder. name: the folder, relative to k8s/"""

    name: str
    objects: list[Object] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.objects if item.get("kind") in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((item for item in self.of(kind) if item["metadata"]["name"] == name), None)

    def pods(self) -> list[Pod]:
        found = []
        for owner in self.of(*WORKLOADS, "Pod"):
            template = owner
            if owner["kind"] == "CronJob":
                template = owner["spec"]["jobTemplate"]["spec"]["template"]
            elif owner["kind"] != "Pod":
                template = owner["spec"]["template"]
            labels = template.get("metadata", {}).get("labels", {})
            found.append(Pod(owner, labels, template.get("spec", {})))
        return found

    def says(self, one: Object, text: str) -> str:
        """Return the line of a finding."""
        return f"{self.name}: {title(one)}: {text}"


def title(one: Object) -> str:
    return f"{one.get('kind')}/{one.get('metadata', {}).get('name')}"


def folders(root: Path) -> list[str]:
    """Return the folders of k8s/ that are applied. The others (bases, components) are rendered as parts of these."""
    applied = (
        *("overlays/*", "gpu-nodepool", "gpu-nodepool/device-plugin", "tensorrt-plan", "perf-analyzer"),
        *("candidate/azure", "candidate/cpu"),
    )
    found = [path for pattern in applied for path in root.glob(f"{pattern}/kustomization.yaml")]
    return sorted(item.parent.relative_to(root).as_posix() for item in found)


def render(kubectl: str, root: Path, name: str) -> Bundle:
    """Render one folder of k8s/. Raises: RenderError."""
    return render_folder(kubectl, root / name, name)


def render_folder(kubectl: str, folder: Path, name: str) -> Bundle:
    """Render any folder. name: as findings call it. Raises: RenderError."""
    run = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RenderError(f"{name}: {run.stderr.strip()}")
    return Bundle(name, [item for item in yaml.safe_load_all(run.stdout) if item])


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Match as Kubernetes does: an empty LabelSelector matches everything, a missing one matches nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {}) or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(matchExpression, labels) for matchExpression in selector.get("matchExpressions", []) or []
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values", [])
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[operator]


def is_custom(one: Object) -> bool:
    """Whether the object's kind is custom, not one of Kubernetes itself."""
    group = str(one.get("apiVersion")).partition("/")[0]
    return group in CUSTOM_GROUPS or ("." in group and not group.endswith("k8s.io"))


def strings(value: Any) -> Iterator[str]:
    """Yield every string in a value, including keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
