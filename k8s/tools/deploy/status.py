"""What is wanted and what runs: the newest template may have no ready pod while an older one serves."""

from __future__ import annotations

from collections.abc import Mapping

from k8s.tools.deploy import deployments, drift, history
from k8s.tools.deploy.deployments import Snapshot, revision, wanted
from k8s.tools.deploy.history import name_of
from k8s.tools.deploy.kubectl import Kubectl, Object
from k8s.tools.deploy.rollout import unready
from k8s.tools.deploy.unready import is_ready


def show(kubectl: Kubectl) -> None:
    """Print objects, then for each Deployment what is wanted, what runs, and what differs. Raises: KubectlError."""
    kubectl.run("get", "deployment,pod,horizontalpodautoscaler,poddisruptionbudget", "-o=wide")
    for kind in ("scaledobject", "ingress", "gateway,httproute"):
        if found := kubectl.ask("get", kind):
            print(found)
    moment = deployments.read(kubectl)
    known = history.read(kubectl)
    releases: dict[str, str] = {}
    for name in deployments.DEPLOYMENTS:
        for item in [moment.deployments.get(name), *moment.replica_sets(name)]:
            for config_map in deployments.config_maps(item) if item else []:
                if config_map.startswith("triton-") and config_map not in releases:
                    releases[config_map] = kubectl.field("configmap", config_map, "{.data.repository}")
    for line in lines(moment, known.back_at, releases):
        print(line)
    for line in drift.lines(moment, known):
        print(line)


def lines(moment: Snapshot, back_at: Mapping[str, str], releases: Mapping[str, str]) -> list[str]:
    """Return what is wanted and what runs. releases: ConfigMap of Triton -> its release"""
    found = []
    for name in deployments.DEPLOYMENTS:
        deployment = moment.deployments.get(name)
        if deployment is None:
            found.append(f"{name}: not deployed")
            continue
        count = wanted(deployment)
        went_back = name_of(moment.current(name)) == back_at.get(name, "-")
        note = " (rolled back)" if went_back else ""
        found.append(f"{name} wanted:  {_of(deployment, releases)}, {_pods(count)}{note}")
        serving = 0
        for item in reversed(moment.replica_sets(name)):
            ready = sum(is_ready(pod) for pod in moment.pods(item))
            serving += ready
            if ready:
                found.append(f"{name} running: {_of(item, releases)}, {_pods(ready)} ready (revision {revision(item)})")
        if not serving:
            found.append(f"{name} running: 0 pods" + ("" if count == 0 else " ready: nothing serves"))
        found += [f"{name} waits:   {line}" for line in unready(moment, name)]
    return found


def _of(item: Object, releases: Mapping[str, str]) -> str:
    maps = deployments.config_maps(item)
    settings = [config_map for config_map in maps if config_map.startswith("settings-")]
    found = [releases[config_map] for config_map in maps if releases.get(config_map)]
    parts = [
        deployments.image(item),
        *(f"settings {name}" for name in settings),
        *(f"release {path}" for path in found),
    ]
    return ", ".join(parts)


def _pods(count: int) -> str:
    return f"{count} pod{'' if count == 1 else 's'}"
