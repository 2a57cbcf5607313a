"""What the manifests and config.yml give a pod, read from them: a default is written once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from planning.simulation import Admission
from runtime.config import ROOT, load_limits

MANIFESTS = ROOT / "k8s" / "manifests"


@dataclass(frozen=True, slots=True)
class Deployment:
    """front_ends, tritons: least and most pods of the autoscalers; deadline_s and what follows: see `Limits`

    workers: of a front-end pod
    front_end_cores: one a worker: two pods fill a node of four (base/frontend/deployment.yaml), so no more is sure
    triton_cores: of a Triton pod without a GPU
    """

    front_ends: tuple[int, int]
    tritons: tuple[int, int]
    workers: int
    front_end_cores: float
    triton_cores: float
    admission: Admission
    deadline_s: float
    max_duration_s: float
    retention_days: float


def deployment() -> Deployment:
    """Read the manifests and config.yml. Raises: ConfigError, OSError, yaml.YAMLError, KeyError."""
    front_end = _document(MANIFESTS / "scaling" / "frontend.yaml")["spec"]
    triton = _document(MANIFESTS / "scaling" / "triton.yaml")["spec"]
    workers = int(_document(MANIFESTS / "base" / "frontend" / "settings.yml")["service"]["workers"])
    pod = _document(MANIFESTS / "triton-on-cpu" / "triton.yaml")["spec"]["template"]["spec"]
    limits = load_limits()[1]
    return Deployment(
        front_ends=(front_end["minReplicas"], front_end["maxReplicas"]),
        tritons=(triton["minReplicaCount"], triton["maxReplicaCount"]),
        workers=workers,
        front_end_cores=float(workers),
        triton_cores=float(pod["containers"][0]["resources"]["limits"]["cpu"]),
        admission=Admission(limits.max_in_flight, limits.max_wait_s, limits.always_per_worker),
        deadline_s=limits.request_deadline_s,
        max_duration_s=limits.max_duration_s,
        retention_days=limits.retention_days,
    )


def _document(path: Path) -> Any:
    return next(item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item)
