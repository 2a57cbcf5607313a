"""What must be true of a server's answers: pure functions over parsed JSON. Each returns what is wrong; empty: nothing.

The forms are the API's own: a Deployment, or a List, as `kubectl get -o=json` prints them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from k8s.tools.deploy.deployments import condition, image, is_rolled_out, snapshot
from k8s.tools.deploy.kubectl import Object


def deploys(deployment: Object, tag: str) -> list[str]:
    """The Deployment wants the image with this tag."""
    found = image(deployment).rpartition(":")[2]
    return [] if found == tag else [f"the image's tag is {found or 'missing'}, not {tag}"]


def is_complete(deployment: Object) -> list[str]:
    """The Deployment is rolled out, with at least one pod."""
    status = deployment.get("status", {})
    numbers = ", ".join(f"{key} {status.get(key, 0)}" for key in ("replicas", "updatedReplicas", "availableReplicas"))
    return [] if is_rolled_out(deployment) else [f"{deployment['metadata']['name']} is not rolled out: {numbers}"]


def is_unchanged(before: Object, after: Object) -> list[str]:
    """Two Lists hold the same objects, and no spec or data of one was written between them."""
    was, now = _versions(before), _versions(after)
    found = [f"{name} is new" for name in sorted(now.keys() - was.keys())]
    found += [f"{name} is gone" for name in sorted(was.keys() - now.keys())]
    return found + [f"{name} was changed" for name in sorted(was.keys() & now.keys()) if was[name] != now[name]]


def holds_the_same(before: Object, after: Object) -> list[str]:
    """Two Lists hold objects of the same names."""
    was, now = (set(_versions(one)) for one in (before, after))
    return [f"{name} is new" for name in sorted(now - was)] + [f"{name} is gone" for name in sorted(was - now)]


def _versions(answer: Object) -> dict[str, object]:
    """Return what changes when somebody writes; where there is a status, the controllers write that."""
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"].get("generation")
        if "status" in item
        else item["metadata"].get("resourceVersion")
        for item in answer.get("items") or []
    }


def holds_keys(secret: Object, wanted: Collection[str]) -> list[str]:
    """The Secret has these keys and no others."""
    there = set(secret.get("data") or {})
    found = [f"the Secret lacks {key}" for key in sorted(set(wanted) - there)]
    return found + [f"the Secret still has {key}" for key in sorted(there - set(wanted))]


def is_empty(answer: Object) -> list[str]:
    """Nothing is there any more."""
    items = answer.get("items", [answer] if answer else [])
    return [f"{item['kind']}/{item['metadata']['name']} is still there" for item in items]


def runs_on(answer: Object, nodes: Object, label: str, values: Collection[str]) -> list[str]:
    """Each scheduled pod of a List is on a node whose label has one of these values, and there is one."""
    labels = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in nodes.get("items") or []}
    places = [item.get("spec", {}).get("nodeName") for item in answer.get("items") or []]
    found = [] if any(places) else ["no pod is on a node"]
    return found + [
        f"a pod is on {place}, where {label} is {labels.get(place, {}).get(label)}"
        for place in places
        if place and labels.get(place, {}).get(label) not in values
    ]


def is_unschedulable(answer: Object) -> list[str]:
    """At least one pod of a List has no node, and the scheduler says why."""
    waiting = [condition(item, "PodScheduled") for item in answer.get("items") or []]
    named = [one for one in waiting if one.get("status") == "False" and one.get("message")]
    return [] if named else ["no pod is named as unschedulable"]


def fits_beside(job: Object, *, cores: float, taken: float) -> list[str]:
    """A Job's pod fits on a node of so many cores, of which others take some."""
    containers = job["spec"]["template"]["spec"]["containers"]
    asked = sum(_cores(str(item.get("resources", {}).get("requests", {}).get("cpu", "0"))) for item in containers)
    return [] if asked <= cores - taken else [f"the Job asks for {asked:g} cores, and {cores - taken:g} are free"]


def _cores(text: str) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def one_revision_each(answer: Object, name: str) -> list[str]:
    """No two ReplicaSets of a Deployment have the same revision, and the newest is the Deployment's own."""
    moment = snapshot(answer)
    numbers = [
        item["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
        for item in moment.replica_sets(name)
    ]
    found = [] if len(set(numbers)) == len(numbers) else [f"two ReplicaSets of {name} share a revision: {numbers}"]
    return found if moment.current(name) else [*found, f"no ReplicaSet is {name}'s newest"]


def says(text: str, pattern: str) -> list[str]:
    """A verb printed a line that matches."""
    there = any(re.search(pattern, line) for line in text.splitlines())
    return [] if there else [f"no line says {pattern!r}; the last ones: {' | '.join(text.splitlines()[-3:])}"]


def ended_with(code: int, wanted: Collection[int]) -> list[str]:
    return [] if code in wanted else [f"the exit code is {code}, not {' or '.join(map(str, wanted))}"]


def is_admitted(text: str) -> list[str]:
    """The server neither refused a pod for its profile nor warned of one."""
    return [line.strip() for line in text.splitlines() if "violate" in line and "PodSecurity" in line]
