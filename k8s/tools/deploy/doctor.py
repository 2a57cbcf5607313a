"""The requirements of `apply` on the cluster, and what the cluster has beside k8s/versions.json."""

from __future__ import annotations

import json
from collections import defaultdict

from k8s.tools.deploy import deployments, drift, history, versions
from k8s.tools.deploy.environment import Target
from k8s.tools.deploy.kubectl import Kubectl, KubectlError, Object
from k8s.tools.deploy.kustomization import render_bare
from k8s.tools.deploy.needs import needs

OLDEST = versions.release(versions.part("kubernetes")["oldest"])  # of the manifests: sidecars; server-side apply
GPU = "nvidia.com/gpu"
POOL = "tosia/pool"
_PLUGINS = r'{range .items[*]}{.spec.nodeName}{" "}{.metadata.namespace}/{.metadata.name}{" "}'
_PLUGINS += r'{.spec.containers[*].image}{"\n"}{end}'


def examine(target: Target) -> int:
    """Print a line for each requirement and each difference; return 1 where something is missing, else 0.

    Raises: KubectlError without a kubectl.
    """
    kubectl = Kubectl(target.context)
    server = _server_version(kubectl)
    if server is None:
        print(
            f"missing  the cluster  context {target.context or 'current'} can't be reached: az aks get-credentials "
            "--name tosia"
        )
        return 1
    lacking = server < OLDEST
    print(_kubernetes(server))
    for need in needs(target, render_bare(kubectl, target)):
        found = Kubectl(target.context, need.namespace).ask("get", *need.resource, "--ignore-not-found", "-o=name")
        print(f"ok       {need.what}" if found else f"missing  {need.what}  {need.remedy}")
        lacking |= not found
    for line in _compared(kubectl, on_azure=target.on_azure):
        print(line)
        lacking |= line.startswith("missing")
    return int(lacking)


def _compared(kubectl: Kubectl, *, on_azure: bool) -> list[str]:
    """Return what differs from the table, and what is wrong with GPU nodes and fields; what can't be read is said."""
    try:
        moment, known = deployments.read(kubectl), history.read(kubectl)
        found = [*_images(moment), *(f"differs  {line}" for line in drift.lines(moment, known))]
        found += [f"differs  {line}" for line in drift.of_candidate(moment)]
        if on_azure:
            plugins = Kubectl(kubectl.context, "gpu-resources").read("daemonset", "nvidia-device-plugin")
            found += _plugin(plugins)
            found += gpu_nodes(kubectl.read("nodes", f"--selector={POOL}=gpu").get("items") or [])
            running = kubectl.ask(
                "get", "pods", "--all-namespaces", "--field-selector=status.phase=Running", f"-o=jsonpath={_PLUGINS}"
            )
            found += two_plugins(running)
            found += _image_family(kubectl.ask("get", "aksnodeclass", "tosia-gpu", "-o=jsonpath={.spec.imageFamily}"))
    except KubectlError as error:
        return [f"unknown  {error}"]
    return found


def _kubernetes(server: tuple[int, int]) -> str:
    row = versions.part("kubernetes")
    word = "old    " if server < OLDEST else "ok     "
    if server > versions.release(row["newest"]):
        word = "new    "
    tried = f"at least {row['oldest']}; tried with {row['version']}, schemas up to {row['newest']}"
    return f"{word}  Kubernetes  {server[0]}.{server[1]} ({tried})"


def _images(moment: deployments.Snapshot) -> list[str]:
    """Return whether Triton's image in use is the table's, of the serving one and of a candidate."""
    row = versions.table()["triton"]
    found = []
    for name, whose in (("triton", ""), (deployments.CANDIDATE, " of the candidate")):
        if name not in moment.deployments:
            continue
        tag = deployments.image(moment.deployments[name]).rpartition(":")[2]
        if tag.startswith(row["version"]):
            found.append(f"ok       {row['name']}{whose}  {tag}")
        else:
            table = f"{row['version']} is in k8s/versions.json ({row['date']})"
            found.append(f"differs  {row['name']}{whose}  {tag} is deployed, {table}")
    return found


def _plugin(daemon_set: Object) -> list[str]:
    row, tag = versions.part("device-plugin"), deployments.image(daemon_set).rpartition(":")[2]
    if not tag:
        return []
    if tag.startswith(row["version"]):
        return [f"ok       {row['name']}  {tag}"]
    return [f"differs  {row['name']}  {tag} is deployed, {row['version']} is in k8s/versions.json ({row['date']})"]


def _image_family(family: str) -> list[str]:
    row = versions.table()["node_image_family"]
    if family in ("", row["version"]):
        return []
    return [f"differs  {row['name']}  {family} is deployed, {row['version']} is in k8s/versions.json ({row['source']})"]


def gpu_nodes(nodes: list[Object]) -> list[str]:
    """Return a line for each GPU node without a GPU to schedule by, and for GPUs whose driver is too old.

    The plugin is silent on a driver that does not fit.
    """
    found = []
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels", {})
        gpu = labels.get("karpenter.azure.com/sku-gpu-name", "")
        count = str(node.get("status", {}).get("allocatable", {}).get(GPU, "0"))
        if count == "0":
            found.append(f"missing  {GPU} on node {name}  its device plugin or its driver (docs/deploy.md)")
        if gpu and versions.driver_is_enough(gpu) is False:
            row = versions.table()["gpu_drivers"][gpu]
            cuda = versions.table()["triton"]["cuda"]
            found.append(
                f"missing  a driver for CUDA {cuda} on node {name}  {gpu} gets {row['driver']} ({row['source']})"
            )
    return found


def two_plugins(text: str) -> list[str]:
    """Return a line for each node with two device plugins: each would hand out the same GPUs.

    text: a line for each running pod: its node, `namespace/name`, its images
    """
    by_node: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        node, _, rest = line.partition(" ")
        pod, _, images = rest.partition(" ")
        if any("device-plugin" in image and "nvidia" in image for image in (*images.split(), f"{pod}:{images}")):
            by_node[node].append(pod)
    return [
        f"missing  one device plugin on node {node}  there are {len(pods)}: {', '.join(pods)} (docs/deploy.md)"
        for node, pods in sorted(by_node.items())
        if len(pods) > 1
    ]


def _server_version(kubectl: Kubectl) -> tuple[int, int] | None:
    try:
        version = json.loads(kubectl.ask("version", "-o=json"))["serverVersion"]
        return int(version["major"]), int(version["minor"].rstrip("+"))
    except (ValueError, KeyError, TypeError):
        return None
