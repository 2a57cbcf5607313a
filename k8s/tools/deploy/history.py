"""The states of each Deployment that were once fully rolled out, noted in a ConfigMap.

`kubectl rollout undo` gives the restored template the newest number, so a number names no state for long. A state is
named by its ReplicaSet, whose name is a digest of the template and survives any renumbering.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from k8s.tools.deploy.deployments import DEPLOYMENTS, Snapshot, available, has_proved, revision, template, wanted
from k8s.tools.deploy.kubectl import Kubectl, Object

NAME = "last-deployment"  # the ConfigMap
MOST = 10  # states that are kept of each Deployment: as many as `revisionHistoryLimit`
RELEASES = 20  # releases whose configurations are kept


@dataclass(frozen=True, slots=True)
class History:
    """What is known of earlier deployments.

    good: Deployment -> ReplicaSets that were fully rolled out, the last one deployed at the end
    before: Deployment -> the ReplicaSet to which undoing the last change leads
    back_at: Deployment -> the ReplicaSet to which the last rollback went; newer ones in `good` were left on purpose
    configs: release's path -> names that --model-config-name may have with it
    left: Deployment -> ReplicaSets that a rollback has left, and nobody has deployed again
    """

    good: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    back_at: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def observe(self, moment: Snapshot) -> History:
        """Note which Deployments are fully rolled out now, and forget ReplicaSets that the cluster has pruned."""
        good, left = dict(self.good), dict(self.left)
        for name, deployment in moment.deployments.items():
            if name not in DEPLOYMENTS:
                continue
            there = {item["metadata"]["name"] for item in moment.replica_sets(name)}
            names = [known for known in good.get(name, ()) if known in there]
            current = name_of(moment.current(name))
            if current and has_proved(deployment) and not (current in names and current == self.back_at.get(name)):
                names = [*(known for known in names if known != current), current]
            good[name] = tuple(names[-MOST:])
            proved = current if current and has_proved(deployment) else ""
            left[name] = tuple(item for item in left.get(name, ()) if item in there and item != proved)
        return replace(self, good=good, left=left)

    def changed(self, was: Snapshot, now: Snapshot) -> History:
        """Note what an `apply` has changed. self: has observed `was`"""
        changed = [
            name
            for name in DEPLOYMENTS
            if name in was.deployments
            and name in now.deployments
            and template(was.deployments[name]) | _annotations(was.deployments[name])
            != template(now.deployments[name]) | _annotations(now.deployments[name])
        ]
        if not changed:
            return self
        good, before, back_at = dict(self.good), dict(self.before), dict(self.back_at)
        served = {name: self._served(was, name) for name in DEPLOYMENTS if name in was.deployments}
        # Triton's entry is what serves: a newer one may wait for a GPU. Where the front end that was wanted did not
        # serve, undoing leads to the last states that did, together.
        if all(served.values()) and served.get("frontend", "") == name_of(was.current("frontend")):
            before = served
        for name in changed:
            left = back_at.pop(name, "")
            if left and left == name_of(was.current(name)) and left in good.get(name, ()):
                good[name] = good[name][: good[name].index(left) + 1]
        return replace(self, good=good, before=before, back_at=back_at)

    def went_back(self, moment: Snapshot, targets: Mapping[str, str]) -> History:
        """Note to which ReplicaSets a rollback goes, and which it leaves."""
        left = dict(self.left)
        for name, target in targets.items():
            good = self.good.get(name, ())
            newer = good[good.index(target) + 1 :] if target in good else ()
            found = (*left.get(name, ()), *newer, name_of(moment.current(name)))
            left[name] = tuple(dict.fromkeys(item for item in found if item and item != target))
        return replace(self, back_at={**self.back_at, **targets}, left=left)

    def with_release(self, path: str, names: tuple[str, ...] | None) -> History:
        """Note a release's configurations, where they are known."""
        if names is None or self.configs.get(path) == names:
            return self
        kept = {known: value for known, value in self.configs.items() if known != path}
        return replace(self, configs=dict([*kept.items(), (path, names)][-RELEASES:]))

    def older(self, moment: Snapshot, name: str) -> Object | None:
        """Return the newest ReplicaSet that was good, and was deployed before the current one."""
        there = {item["metadata"]["name"]: item for item in moment.replica_sets(name) if revision(item)}
        good, current = self.good.get(name, ()), name_of(moment.current(name))
        older = good[: good.index(current)] if current in good else good
        return next(
            (there[known] for known in reversed(older) if known in there and known not in self.left.get(name, ())), None
        )

    def data(self) -> dict[str, str]:
        """Return the ConfigMap's `data`."""
        found = {f"good-{name}": " ".join(names) for name, names in self.good.items() if names}
        found |= {f"before-{name}": known for name, known in self.before.items()}
        found |= {f"back-at-{name}": known for name, known in self.back_at.items()}
        found |= {f"left-{name}": " ".join(names) for name, names in self.left.items() if names}
        return found | ({"configs": json.dumps(self.configs)} if self.configs else {})

    def _served(self, was: Snapshot, name: str) -> str:
        """Return what served: the newest good ReplicaSet with an available pod, or what sleeps; empty: nothing did."""
        if wanted(was.deployments[name]) == 0:
            return name_of(was.current(name))
        good = self.good.get(name, ())
        serving = [item for item in was.replica_sets(name) if name_of(item) in good and available(item)]
        return name_of(serving[-1]) if serving else ""


def read(kubectl: Kubectl) -> History:
    """Read the ConfigMap; an empty history where there is none. Raises: KubectlError."""
    data: dict[str, str] = kubectl.read("configmap", NAME).get("data") or {}
    try:
        configs = {str(path): tuple(map(str, names)) for path, names in json.loads(data.get("configs", "{}")).items()}
    except (ValueError, AttributeError, TypeError):
        configs = {}  # edited by hand
    return History(
        {name: tuple(data[f"good-{name}"].split()) for name in DEPLOYMENTS if f"good-{name}" in data},
        {name: data[f"before-{name}"] for name in DEPLOYMENTS if f"before-{name}" in data},
        {name: data[f"back-at-{name}"] for name in DEPLOYMENTS if f"back-at-{name}" in data},
        configs,
        {name: tuple(data[f"left-{name}"].split()) for name in DEPLOYMENTS if f"left-{name}" in data},
    )


def write(kubectl: Kubectl, history: History, *, instead_of: History) -> None:
    """Write the ConfigMap, if anything in it has changed. Raises: KubectlError."""
    if history.data() == instead_of.data():
        return
    metadata = {"name": NAME, "namespace": "tosia", "labels": {"app.kubernetes.io/part-of": "tosia"}}
    kubectl.apply_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": history.data()})


def name_of(replica_set: Object | None) -> str:
    """Return a ReplicaSet's name; empty where there is none."""
    return "" if replica_set is None else str(replica_set["metadata"]["name"])


def _annotations(deployment: Object) -> Object:
    return {"annotations": deployment["spec"]["template"].get("metadata", {}).get("annotations", {})}
