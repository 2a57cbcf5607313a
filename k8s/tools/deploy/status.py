"""What is wanted and what runs: the newest template may have no ready pod while an older one serves."""

from __future__ import annotations

from collections.abc import Mapping

from k8s.tools.deploy import deployments, drift, history
from k8s.tools.deploy.deployments import CANDIDATE, DEPLOYMENTS, INTAKE, Snapshot, revision, wanted
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
    named = releases(kubectl, moment)
    for line in [*lines(moment, known.back_at, named), *of_candidate(moment, named)]:
        print(line)
    for line in [*drift.lines(moment, known), *drift.of_candidate(moment)]:
        print(line)


def releases(kubectl: Kubectl, moment: Snapshot) -> dict[str, str]:
    """Return ConfigMap of Triton -> its release, for all that serve or served. Raises: KubectlError."""
    found: dict[str, str] = {}
    for name in (*DEPLOYMENTS, CANDIDATE):
        for item in [moment.deployments.get(name), *moment.replica_sets(name)]:
            for config_map in _of_triton(item) if item else []:
                if config_map not in found:
                    found[config_map] = kubectl.field("configmap", config_map, "{.data.repository}")
    return found


def release_of(kubectl: Kubectl, item: Object) -> str:
    """Return the path of the release that a Triton serves, or the image that holds it. Raises: KubectlError."""
    paths = [kubectl.field("configmap", name, "{.data.repository}") for name in _of_triton(item)]
    return next(iter(paths), deployments.release_image(item))


def of_candidate(moment: Snapshot, releases: Mapping[str, str]) -> list[str]:
    """Return what of a candidate is wanted and what runs; empty where there is none. releases: as in `lines`"""
    if CANDIDATE not in moment.deployments:
        return []
    return _of_deployment(moment, CANDIDATE, releases, note="", none_ready=" ready: nobody waits for it")


def lines(moment: Snapshot, back_at: Mapping[str, str], releases: Mapping[str, str]) -> list[str]:
    """Return what is wanted and what runs. releases: ConfigMap of Triton -> its release"""
    found = []
    for name in DEPLOYMENTS:
        deployment = moment.deployments.get(name)
        if deployment is None:
            found.append(f"{name}: not deployed")
            continue
        went_back = name_of(moment.current(name)) == back_at.get(name, "-")
        note = " (rolled back)" if went_back else ""
        found += _of_deployment(moment, name, releases, note=note, none_ready=" ready: nothing serves")
    if INTAKE in moment.deployments:
        found += _of_deployment(moment, INTAKE, releases, note="", none_ready=" ready: recordings wait in the queue")
    return found


def _of_deployment(
    moment: Snapshot, name: str, releases: Mapping[str, str], *, note: str, none_ready: str
) -> list[str]:
    deployment = moment.deployments[name]
    count = wanted(deployment)
    found = [f"{name} wanted:  {_of(deployment, releases)}, {_pods(count)}{note}"]
    serving = 0
    for item in reversed(moment.replica_sets(name)):
        ready = sum(is_ready(pod) for pod in moment.pods(item))
        serving += ready
        if ready:
            found.append(f"{name} running: {_of(item, releases)}, {_pods(ready)} ready (revision {revision(item)})")
    if not serving:
        found.append(f"{name} running: 0 pods" + ("" if count == 0 else none_ready))
    return found + [f"{name} waits:   {line}" for line in unready(moment, name)]


def _of(item: Object, releases: Mapping[str, str]) -> str:
    maps = deployments.config_maps(item)
    settings = [config_map for config_map in maps if config_map.startswith("settings-")]
    image = deployments.release_image(item)
    found = [releases[config_map] for config_map in maps if releases.get(config_map)] + ([f"of {image}"] * bool(image))
    parts = [
        deployments.image(item),
        *(f"settings {name}" for name in settings),
        *(f"release {path}" for path in found),
    ]
    return ", ".join(parts)


def _of_triton(item: Object) -> list[str]:
    return [name for name in deployments.config_maps(item) if name.startswith(("triton-", f"{CANDIDATE}-"))]


def _pods(count: int) -> str:
    return f"{count} pod{'' if count == 1 else 's'}"
