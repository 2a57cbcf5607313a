"""Fields of our Deployments that others have set, by `managedFields`: server-side apply does not remove them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from k8s.tools.deploy.deployments import CANDIDATE, CANDIDATE_URL, DEPLOYMENTS, INTAKE, Snapshot, candidate_url
from k8s.tools.deploy.history import History, name_of
from k8s.tools.deploy.kubectl import Object

OURS = "tosia"
UNDO = "kubectl"  # the manager of what `kubectl rollout undo` restores; `set` and `edit` have names of their own
# Of no consequence: the autoscalers' number, and what `kubectl rollout restart` leaves.
_IGNORED = ("spec.replicas", "spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt")
# Set by the candidate's verbs, or by going back to a state that had it; `of_candidate` says where it misleads.
_OF_CANDIDATE = f"spec.template.spec.containers[frontend].env[{CANDIDATE_URL}]"
_SHORT = ("spec.template.spec.", "spec.template.", "spec.")


def drift(deployment: Object) -> list[tuple[str, str]]:
    """Return (manager, field) for each field that is set and is not ours, in order."""
    entries: list[Object] = deployment["metadata"].get("managedFields") or []
    ours = {
        path
        for entry in entries
        if entry.get("manager") == OURS
        for chain in _chains(entry.get("fieldsV1", {}), ())
        for path in chain
    }
    return sorted(
        {
            (str(entry.get("manager")), next(path for path in chain[1:] if path not in ours))
            for entry in entries
            # `status` is the controllers', `scale` the autoscalers'.
            if entry.get("manager") != OURS and not entry.get("subresource")
            for chain in _chains(entry.get("fieldsV1", {}), ())
            if chain[0] == "spec" and len(chain) > 1 and chain[-1] not in _IGNORED and chain[-1] not in ours
        }
    )


def lines(moment: Snapshot, history: History) -> list[str]:
    """Return one line for each Deployment that has such fields."""
    found = []
    for name in (*DEPLOYMENTS, INTAKE, CANDIDATE):
        fields = drift(moment.deployments[name]) if name in moment.deployments else []
        fields = [(manager, path) for manager, path in fields if path != _OF_CANDIDATE]
        current = name_of(moment.current(name))
        if current and current == history.back_at.get(name):
            fields = [(manager, path) for manager, path in fields if manager != UNDO]
        if fields:
            managers = ", ".join(dict.fromkeys(manager for manager, _ in fields))
            paths = ", ".join(dict.fromkeys(_short(path) for _, path in fields))
            found.append(f"{name} has fields that are not the checkout's: {paths} (set by {managers}).")
    return found


def of_candidate(moment: Snapshot) -> list[str]:
    """Return a line where the front end and the cluster disagree on whether there is a candidate, as after going back
    to a state of before it.
    """
    front_end, there = moment.deployments.get("frontend"), CANDIDATE in moment.deployments
    url = "" if front_end is None else candidate_url(front_end)
    if url and not there:
        return [
            f"frontend looks for a candidate at {url}, and none is deployed: `make -C k8s candidate-stop "
            "SURE=candidate` takes that away, too."
        ]
    if there and front_end is not None and not url:
        return [
            f"frontend knows of no candidate, but {CANDIDATE} is deployed: `make -C k8s candidate RELEASE=...` tells "
            "it, `make -C k8s candidate-stop SURE=candidate` takes the candidate away."
        ]
    return []


def _chains(fields: Object, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield each leaf as the paths that lead to it, its own at the end."""
    for key, below in fields.items():
        if key == ".":
            continue
        kind, _, name = key.partition(":")
        where = above[-1] if above else ""
        path = f"{where}.{name}".removeprefix(".") if kind == "f" else f"{where}[{_item(name)}]"
        chain = (*above, path)
        if below.keys() - {"."}:
            yield from _chains(below, chain)
        else:
            yield chain


def _item(key: str) -> str:
    """Return a list item's name, as in `env[API_KEY]`."""
    try:
        keys = json.loads(key)
    except ValueError:
        return key
    return "/".join(str(value) for value in keys.values()) if isinstance(keys, dict) else str(keys)


def _short(path: str) -> str:
    return next((path.removeprefix(start) for start in _SHORT if path.startswith(start)), path)
