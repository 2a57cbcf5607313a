"""GPU nodes: a driver that the image's CUDA can use, whole GPUs, node images that do not change by themselves."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from k8s.tools.validate.objects import Bundle, Object, Pod
from k8s.tools.validate.placement import GPU

VERSIONS = Path(__file__).resolve().parents[2] / "versions.json"  # drivers and CUDA, with source and date

# A size may have a part of such a GPU (NV6ads_A10_v5: a sixth), and sku-gpu-count calls that 1, too: only names tell.
WHOLE_SIZES = {"A10": {"Standard_NV36ads_A10_v5", "Standard_NV36adms_A10_v5", "Standard_NV72ads_A10_v5"}}
PLUGIN = "nvcr.io/nvidia/k8s-device-plugin"
REGISTRY = re.compile(r"[a-z0-9]+\.azurecr\.io/.+")


def gpus(bundles: Sequence[Bundle]) -> Iterator[str]:
    """Check GPU types, image families, and that what is to be streamed to nodes can be."""
    versions = _versions(VERSIONS)
    streaming = False
    for bundle in bundles:
        for pool in filter(is_of_gpus, bundle.of("NodePool")):
            for problem in _of_pool(pool, versions):
                yield bundle.says(pool, problem)
        for node_class in bundle.of("AKSNodeClass"):
            family, wanted = node_class["spec"].get("imageFamily", "Ubuntu"), versions["node_image_family"]["version"]
            if family != wanted:
                yield bundle.says(
                    node_class, f"imageFamily is {family}, but k8s/versions.json names {wanted} (Ubuntu floats)"
                )
            streams = node_class["spec"].get("artifactStreaming", {}).get("enabled") is True
            if not streams:
                yield bundle.says(node_class, "does not stream images (artifactStreaming): Triton's is 20 GB")
            streaming |= streams
        for pod in bundle.pods():
            for problem in _of_plugin(pod, versions["parts"]["device-plugin"]["version"]):
                yield bundle.says(pod.owner, problem)
    if streaming:
        yield from _not_streamed(bundles)


def _of_pool(pool: Object, versions: Any) -> Iterator[str]:
    listed = pool["spec"]["template"]["spec"]["requirements"]
    requirements = {item["key"]: item for item in listed}
    if len(requirements) < len(listed):
        yield "requires something twice: only one of the two is judged"
    named = requirements.get("karpenter.azure.com/sku-gpu-name", {})
    if named.get("operator") != "In" or not named.get("values"):
        yield "names no GPU type (sku-gpu-name In): any may come, with any driver"
        return
    count = requirements.get("karpenter.azure.com/sku-gpu-count", {})
    if (count.get("operator"), count.get("values")) != ("In", ["1"]):
        yield "may bring nodes with several GPUs for pods that take one (sku-gpu-count In [1])"
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


def is_of_gpus(pool: Object) -> bool:
    """Whether a NodePool is meant for GPUs: it is limited, tainted or labelled so, or requires a GPU or an N size."""
    spec = pool["spec"]
    template = spec["template"]
    taints = {taint["key"] for taint in template["spec"].get("taints", [])}
    labels = template.get("metadata", {}).get("labels") or {}
    if GPU in taints | (spec.get("limits") or {}).keys() or labels.get("tosia/pool") == "gpu":
        return True
    return any(_asks_for_gpus(item) for item in template["spec"]["requirements"])


def _asks_for_gpus(requirement: Object) -> bool:
    key, values = requirement["key"], [str(value) for value in requirement.get("values", [])]
    if "gpu" in key:
        return requirement.get("operator") != "DoesNotExist" and values != ["0"]
    size = key.endswith(("/sku-family", "/sku-name")) and requirement.get("operator") == "In"
    return size and any(value.removeprefix("Standard_").startswith("N") for value in values)


def _of_plugin(pod: Pod, version: str) -> Iterator[str]:
    for container in pod.containers:
        image = str(container.get("image", ""))
        is_plugin = "device-plugin" in image or container.get("name") == "nvidia-device-plugin"
        if is_plugin and image != f"{PLUGIN}:{version}":
            yield f"{image} is not {PLUGIN}:{version}, as k8s/versions.json has it"


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
