"""The Deployments of one moment, with their ReplicaSets and pods, as `kubectl get -o=json` describes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from k8s.tools.deploy.kubectl import Kubectl, Object

DEPLOYMENTS = ("triton", "frontend")  # in their order of readiness: the front end must have reached Triton
CANDIDATE = "candidate-triton"  # a Triton with another release; no part of DEPLOYMENTS: `all` and `rollback` leave it
INTAKE = "intake"  # what takes recordings from a queue (components/intake); of the front end's image, without callers
CANDIDATE_URL = "CANDIDATE_TRITON_URL"  # by which a front end knows of it
REVISION = "deployment.kubernetes.io/revision"
_CONFIG_NAME = re.compile(r"--model-config-name=([a-z0-9_-]+)")
_STOPPED = {"NodeAffinity", "Evicted", "Terminated", "Shutdown", "NodeShutdown"}  # pods that end with their node


def read(kubectl: Kubectl) -> Snapshot:
    """Ask the cluster. Raises: KubectlError where it can't be reached."""
    return snapshot(kubectl.read("deployments,replicasets,pods"))


def snapshot(answer: Object) -> Snapshot:
    """Read a List of Deployments, ReplicaSets and Pods."""
    items: list[Object] = answer.get("items") or []
    by_kind = {kind: [item for item in items if item.get("kind") == kind] for kind in ("ReplicaSet", "Pod")}
    found = {item["metadata"]["name"]: item for item in items if item.get("kind") == "Deployment"}
    return Snapshot(found, by_kind["ReplicaSet"], by_kind["Pod"])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. deployments: by name, also those of others in our namespace"""

    deployments: dict[str, Object] = field(default_factory=dict)
    all_replica_sets: list[Object] = field(default_factory=list)
    all_pods: list[Object] = field(default_factory=list)

    def replica_sets(self, name: str) -> list[Object]:
        """Return a Deployment's ReplicaSets, oldest revision first."""
        owner = self.deployments.get(name)
        return sorted((item for item in self.all_replica_sets if owner and _owned(item, owner)), key=revision)

    def pods(self, replica_set: Object) -> list[Object]:
        """Return a ReplicaSet's pods, without those that have ended or are about to."""
        found = [item for item in self.all_pods if _owned(item, replica_set)]
        return [
            item
            for item in found
            if "deletionTimestamp" not in item["metadata"] and item.get("status", {}).get("reason") not in _STOPPED
        ]

    def current(self, name: str) -> Object | None:
        """Return the ReplicaSet of the newest template; None until the controller has made it."""
        deployment = self.deployments.get(name)
        if deployment is None or not is_settled(deployment):
            return None
        # Going back gives the old ReplicaSet the newest number, so the number alone names no state for long.
        newest = [item for item in self.replica_sets(name) if revision(item) == revision(deployment)]
        return newest[0] if newest and revision(deployment) else None


def revision(item: Object) -> int:
    """Return the revision of a Deployment or a ReplicaSet; 0 where it has none yet."""
    text = item["metadata"].get("annotations", {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def wanted(deployment: Object) -> int:
    """Return the number of pods that a Deployment should have."""
    return int(deployment.get("spec", {}).get("replicas", 1))


def available(item: Object) -> int:
    """Return the number of available pods of a Deployment or a ReplicaSet."""
    return int(item.get("status", {}).get("availableReplicas", 0))


def is_settled(deployment: Object) -> bool:
    """Whether the controller has seen the newest template: before that, its status is about an older one."""
    status = deployment.get("status", {})
    return int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 1))


def is_rolled_out(deployment: Object) -> bool:
    """Whether all wanted pods have the newest template and are available, and there is at least one."""
    status, count = deployment.get("status", {}), wanted(deployment)
    numbers = [int(status.get(key, 0)) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return is_settled(deployment) and count > 0 and numbers[0] == numbers[1] == count and numbers[2] >= count


def has_proved(deployment: Object) -> bool:
    """Whether the newest template was rolled out at some time and serves: an autoscaler may be adding pods now."""
    status = deployment.get("status", {})
    only_new = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    complete = condition(deployment, "Progressing").get("reason") == "NewReplicaSetAvailable"
    settled = is_settled(deployment) and available(deployment) > 0
    return is_rolled_out(deployment) or (settled and only_new and complete)


def condition(item: Object, kind: str) -> Object:
    """Return a condition of a Deployment, a pod or a node; {} where there is none."""
    conditions: list[Object] = item.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), {})


def template(item: Object) -> Object:
    """Return the pod's spec in a Deployment or a ReplicaSet."""
    found: Object = item.get("spec", {}).get("template", {}).get("spec", {})
    return found


def image(item: Object) -> str:
    """Return the image of the first container; empty where there is none."""
    containers = template(item).get("containers") or [{}]
    return str(containers[0].get("image", ""))


def config_name(item: Object) -> str | None:
    """Return what Triton is told by --model-config-name; None: it reads config.pbtxt."""
    arguments = [str(word) for container in template(item).get("containers", []) for word in container.get("args", [])]
    found = [match.group(1) for match in map(_CONFIG_NAME.fullmatch, arguments) if match]
    return found[0] if found else None


def config_maps(item: Object) -> list[str]:
    """Return the ConfigMaps without which a pod of this template does not start."""
    pod = template(item)
    found: list[Object] = [volume["configMap"] for volume in pod.get("volumes", []) if "configMap" in volume]
    for container in (*pod.get("initContainers", []), *pod.get("containers", [])):
        found += [source["configMapRef"] for source in container.get("envFrom", []) if "configMapRef" in source]
        sources = [variable.get("valueFrom", {}) for variable in container.get("env", [])]
        found += [source["configMapKeyRef"] for source in sources if "configMapKeyRef" in source]
    return list(dict.fromkeys(str(one["name"]) for one in found if not one.get("optional") and one.get("name")))


def release_image(item: Object) -> str:
    """Return the image whose release Triton serves (overlays/cpu); empty where it reads one by its path."""
    steps = template(item).get("initContainers", [])
    return next((str(step.get("image", "")) for step in steps if step.get("name") == "release"), "")


def candidate_url(item: Object) -> str:
    """Return the address of the candidate that a front end of this template knows; empty: it knows of none."""
    variables = [entry for container in template(item).get("containers", []) for entry in container.get("env", [])]
    return next((str(entry.get("value", "")) for entry in variables if entry.get("name") == CANDIDATE_URL), "")


def secret_keys(item: Object) -> list[str]:
    """Return the keys of our Secret without which a pod of this template does not start."""
    pod = template(item)
    sources = [
        variable.get("valueFrom", {}).get("secretKeyRef", {})
        for container in (*pod.get("initContainers", []), *pod.get("containers", []))
        for variable in container.get("env", [])
    ]
    return [str(source["key"]) for source in sources if source.get("name") == "tosia" and not source.get("optional")]


def _owned(item: Object, owner: Object) -> bool:
    uid = owner["metadata"].get("uid")
    return any(reference.get("uid") == uid for reference in item["metadata"].get("ownerReferences", []))
