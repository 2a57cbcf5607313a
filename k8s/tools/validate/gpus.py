"""GPU nodes: a driver that the image's CUDA can use, whole GPUs, node images that do not change by themselves."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from k8s.tools.validate.objects import Bundle, Object

VERSIONS = Path(__file__).resolve().parents[2] / "versions.json"  # drivers and CUDA, with source and date

# A size may have a part of such a GPU (NV6ads_A10_v5: a sixth), and sku-gpu-count calls that 1, too: only names tell.
WHOLE_SIZES = {"A10": {"Standard_NV36ads_A10_v5", "Standard_NV36adms_A10_v5", "Standard_NV72ads_A10_v5"}}
FIXED_FAMILIES = {"Ubuntu2204", "Ubuntu2404", "AzureLinux"}
REGISTRY = re.compile(r"[a-z0-9]+\.azurecr\.io/.+")


def gpus(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check GPU types, image families, and that what is to be streamed to nodes can be."""
    streaming = False
    for bundle in bundles:
        for pool in bundle.of("NodePool"):
            for problem in _of_pool(pool, _versions(VERSIONS)):
                yield bundle.says(pool, problem)
        for node_class in bundle.of("AKSNodeClass"):
            family = node_class["spec"].get("imageFamily", "Ubuntu")
            if family not in FIXED_FAMILIES:
                yield bundle.says(node_class, f"imageFamily {family} floats: its next release comes with an upgrade")
            streaming |= node_class["spec"].get("artifactStreaming", {}).get("enabled") is True
    if streaming:
        yield from _not_streamed(bundles)


def _of_pool(pool: Object, versions: Any) -> Iterator[str]:
    requirements = {item["key"]: item for item in pool["spec"]["template"]["spec"]["requirements"]}
    named = requirements.get("karpenter.azure.com/sku-gpu-name", {})
    if named.get("operator") != "In" or not named.get("values"):
        yield "names no GPU type (sku-gpu-name In): any may come, with any driver"
        return
    cuda = versions["triton"]["cuda"]
    needed = versions["cuda_needs_driver"][cuda.partition(".")[0]]["driver"]
    sizes = requirements.get("karpenter.azure.com/sku-name", {})
    for gpu in named["values"]:
        known = versions["gpu_drivers"].get(gpu)
        if known is None:
            yield f"{gpu} is not in k8s/versions.json, so that nobody knows its driver"
        elif _number(known["driver"]) < _number(needed):
            yield f"{gpu} nodes have driver {known['driver']} ({known['date']}); Triton's CUDA {cuda} needs {needed}"
        whole = WHOLE_SIZES.get(gpu)
        if whole is not None and not (sizes.get("operator") == "In" and set(sizes.get("values", [])) <= whole):
            yield f"may take a part of an {gpu}: sku-gpu-count does not tell, so name sizes with whole GPUs in sku-name"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _not_streamed(bundles: Sequence[Bundle]) -> Iterator[str]:
    """An image is streamed from a registry of Azure, by its tag."""
    for bundle in bundles:
        for pod in bundle.pods():
            for container in pod.containers:
                image = str(container.get("image", ""))
                if "nvidia.com/gpu" not in container.get("resources", {}).get("limits", {}):
                    continue
                if not REGISTRY.fullmatch(image):
                    yield bundle.says(pod.owner, f"{image} is not streamed: it is in no registry of Azure")
                elif "@" in image:
                    yield bundle.says(pod.owner, f"{image} is not streamed: it is named by a digest")


@functools.cache
def _versions(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
