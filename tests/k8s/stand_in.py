"""A stand-in for an API server with its controllers, behind kubectl's command line.

No API server runs here. This one keeps objects in memory, gives Deployments their ReplicaSets, revisions (renumbered by
`rollout undo`, as the real controller does) and pods, and answers `get`, `apply`, `delete`, `patch`, `set env` and
`rollout undo` in the API's documented form. It validates nothing, and knows no quotas, admission or time: those are for
`make test-cluster` on a real one. Rendering is the real kubectl's.

As a program (`stand_in.py ARGUMENTS...`) it keeps its objects in the file $STATE.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KINDS = {
    "namespace": "Namespace",
    "secret": "Secret",
    "configmap": "ConfigMap",
    "deployment": "Deployment",
    "replicaset": "ReplicaSet",
    "pod": "Pod",
    "job": "Job",
    "node": "Node",
    "service": "Service",
    "serviceaccount": "ServiceAccount",
    "ingress": "Ingress",
    "networkpolicy": "NetworkPolicy",
    "daemonset": "DaemonSet",
    "statefulset": "StatefulSet",
    "crd": "CustomResourceDefinition",
    "nodepool": "NodePool",
    "nodeclaim": "NodeClaim",
    "aksnodeclass": "AKSNodeClass",
    "scaledobject": "ScaledObject",
    "triggerauthentication": "TriggerAuthentication",
    "gateway": "Gateway",
    "httproute": "HTTPRoute",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "poddisruptionbudget": "PodDisruptionBudget",
    "priorityclass": "PriorityClass",
    "ciliumnetworkpolicy": "CiliumNetworkPolicy",
}
CLUSTER_WIDE = {
    *("Namespace", "Node", "CustomResourceDefinition", "NodePool", "NodeClaim", "AKSNodeClass", "PriorityClass")
}
DEFINITIONS = {
    "ScaledObject": "scaledobjects.keda.sh",
    "TriggerAuthentication": "triggerauthentications.keda.sh",
    "PodMonitor": "podmonitors.monitoring.coreos.com",
    "PrometheusRule": "prometheusrules.monitoring.coreos.com",
    "NodePool": "nodepools.karpenter.sh",
    "NodeClaim": "nodeclaims.karpenter.sh",
    "AKSNodeClass": "aksnodeclasses.karpenter.azure.com",
    "Gateway": "gateways.gateway.networking.k8s.io",
    "HTTPRoute": "httproutes.gateway.networking.k8s.io",
    "CiliumNetworkPolicy": "ciliumnetworkpolicies.cilium.io",
    "ClusterIssuer": "clusterissuers.cert-manager.io",
}
REVISION = "deployment.kubernetes.io/revision"
REVISIONS = "deployment.kubernetes.io/revision-history"
OWN_FIELDS = ("uid", "resourceVersion", "generation", "managedFields", "creationTimestamp")


class Answer(Exception):
    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


class StandIn:
    """bad: images whose pods never get ready; unschedulable: Deployments whose new pods find no node"""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}  # "Kind/namespace/name" -> the object
        self.applied: dict[str, Object] = {}  # what the manager `tosia` has applied
        self.others: dict[str, list[tuple[str, Object]]] = {}
        self.bad: list[str] = []
        self.unschedulable: list[str] = []
        self.definitions: list[str] = list(DEFINITIONS.values())
        self.version = 100
        self.calls: list[list[str]] = []

    # Its own state, for the program below.

    def state(self) -> Object:
        return self.__dict__

    # kubectl's command line.

    def answer(self, arguments: list[str], stdin: str = "") -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        self.calls.append(arguments)
        flags = [word for word in arguments if word.startswith("-") and word != "-"]
        words = [word for word in arguments if not word.startswith("-")]
        if "-f" in arguments:
            words = [word for word in words if word != arguments[arguments.index("-f") + 1]]
        options = dict(flag.lstrip("-").partition("=")[::2] for flag in flags)
        namespace = options.get("namespace", "default")
        try:
            handler = getattr(self, f"_{words[0].replace('-', '_')}", None)
            if handler is None:
                raise Answer(f"stand-in: {words[0]} is unknown")
            out = handler(words[1:], options, namespace, stdin)
            self._control()
        except Answer as answer:
            self._control()
            return (answer.code, "", f"{answer.text}\n") if answer.code else (0, answer.text, "")
        return (0, out, "") if isinstance(out, str) else (out[0], out[1], "")

    def _version(self, *_: Any) -> str:
        return json.dumps({"serverVersion": {"major": "1", "minor": "36"}})

    def _config(self, *_: Any) -> str:
        return "stand-in\n"

    def _logs(self, words: list[str], *_: Any) -> str:
        return f"log of {words[0]}\n"

    def _wait(self, *_: Any) -> str:
        return ""

    def _get(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        kinds, names = words[0].split(","), words[1:]
        if "/" in words[0]:
            kinds, names = [words[0].split("/")[0]], [words[0].split("/")[1]]
        output = options.get("o", options.get("output", "wide"))
        found = [item for kind in kinds for item in self._of(kind, namespace, options)]
        if names:
            found = [item for item in found if item["metadata"]["name"] in names]
            if not found and "ignore-not-found" in options:
                return ""
            if not found:
                raise Answer(f'Error from server (NotFound): {words[0]} "{names[0]}" not found')
        shown = [self._shown(item, options) for item in found]
        whole = shown[0] if names and len(shown) == 1 else {"apiVersion": "v1", "kind": "List", "items": shown}
        if output == "json":
            return json.dumps(whole)
        if output == "name":
            groups = {"CustomResourceDefinition": "customresourcedefinition.apiextensions.k8s.io"}
            return "".join(
                f"{groups.get(item['kind'], item['kind'].lower())}/{item['metadata']['name']}\n" for item in found
            )
        if output.startswith("jsonpath="):
            return jsonpath(whole, output.removeprefix("jsonpath="))
        if output.startswith("go-template="):
            return "".join(f"{key}\n" for key in whole.get("data", {}))
        return "".join(f"{item['kind'].lower()}/{item['metadata']['name']}\n" for item in found)

    def _of(self, word: str, namespace: str, options: dict[str, str]) -> list[Object]:
        kind = self._kind(word)
        if kind == "CustomResourceDefinition":
            return [{"kind": kind, "metadata": {"name": name}} for name in self.definitions]
        everywhere = kind in CLUSTER_WIDE or "all-namespaces" in options
        found = [
            item
            for key, item in self.objects.items()
            if key.startswith(f"{kind}/") and (everywhere or item["metadata"].get("namespace") == namespace)
        ]
        for pair in options.get("selector", options.get("l", "")).split(","):
            key, _, value = pair.partition("=")
            if key:
                found = [item for item in found if item["metadata"].get("labels", {}).get(key) == value]
        field, _, value = options.get("field-selector", "").partition("=")
        if field == "metadata.name":
            found = [item for item in found if item["metadata"]["name"] == value]
        return found

    def _kind(self, word: str) -> str:
        word = word.lower().partition(".")[0]
        singular = {
            **{"ingresses": "ingress", "networkpolicies": "networkpolicy", "aksnodeclasses": "aksnodeclass"},
            "priorityclasses": "priorityclass",
        }
        found = KINDS.get(singular.get(word, word)) or KINDS.get(word.removesuffix("s"))
        definition = DEFINITIONS.get(found or "")
        if found is None or (definition and definition not in self.definitions):
            raise Answer(f'error: the server doesn\'t have a resource type "{word}"')
        return found

    def _shown(self, item: Object, options: dict[str, str]) -> Object:
        shown = copy.deepcopy(item)
        if "show-managed-fields" not in options:
            shown["metadata"].pop("managedFields", None)
        return shown

    def _apply(self, _: list[str], options: dict[str, str], namespace: str, stdin: str) -> str:
        assert "server-side" in options, "apply by the client repeats what it is sent in an annotation"
        said = []
        for item in yaml.safe_load_all(stdin):
            if not item:
                continue
            definition = DEFINITIONS.get(item["kind"])
            if definition and definition not in self.definitions:
                raise Answer(f'error: no matches for kind "{item["kind"]}"')
            if options.get("dry-run") != "server":
                self._put(item, namespace)
            said.append(f"{item['kind'].lower()}/{item['metadata']['name']} serverside-applied")
        return "\n".join(said) + "\n"

    def _put(self, item: Object, namespace: str) -> None:
        if item["kind"] not in CLUSTER_WIDE:
            item["metadata"].setdefault("namespace", namespace)
        key = _key(item)
        if item["kind"] == "Job":
            item.setdefault("status", {"conditions": [{"type": "Complete", "status": "True"}]})
        self.applied[key] = item
        # What `rollout undo` restored is ours again, as far as we name it.
        self._merge(key)

    def _merge(self, key: str) -> None:
        others = self.others.get(key, [])
        merged: Object = {}
        for _, fields in others:
            merged = merge(merged, fields)
        merged = merge(merged, self.applied.get(key, {}))
        was = self.objects.get(key)
        merged["metadata"]["managedFields"] = self._managed(key)
        if was is not None:
            for name in OWN_FIELDS:
                if name in was["metadata"] and name != "managedFields":
                    merged["metadata"][name] = was["metadata"][name]
            if number := was["metadata"].get("annotations", {}).get(REVISION):
                merged["metadata"].setdefault("annotations", {})[REVISION] = number
            if "status" in was:
                merged["status"] = was["status"]
            if was.get("spec", {}).get("replicas") is not None and "replicas" not in merged.get("spec", {}):
                merged["spec"]["replicas"] = was["spec"]["replicas"]
        self._store(key, merged)

    def _managed(self, key: str) -> list[Object]:
        return [
            {"manager": "tosia", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields_of(ours)}
            for ours in (self.applied.get(key),)
            if ours
        ] + [
            {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields_of(fields)}
            for manager, fields in self.others.get(key, [])
        ]

    def _store(self, key: str, item: Object) -> None:
        was = self.objects.get(key)
        metadata = item["metadata"]
        if was is None:
            metadata["uid"] = f"uid-{self.version}-{key}"
            metadata["generation"] = 1
        elif was.get("spec") != item.get("spec"):
            metadata["generation"] = was["metadata"].get("generation", 1) + 1
        if was != item:
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
        self.objects[key] = item

    def _create(self, _: list[str], options: dict[str, str], namespace: str, stdin: str) -> str:
        for item in yaml.safe_load_all(stdin):
            contexts = [container.get("securityContext", {}) for container in item["spec"]["containers"]]
            if any(context.get("privileged") for context in contexts):
                raise Answer('Error from server (Forbidden): pods "a" is forbidden: violates PodSecurity "restricted"')
        return ""

    def _diff(self, _: list[str], options: dict[str, str], namespace: str, stdin: str) -> tuple[int, str]:
        changed = []
        for item in yaml.safe_load_all(stdin):
            if item and item["kind"] not in CLUSTER_WIDE:
                item["metadata"].setdefault("namespace", namespace)
            if item and self.applied.get(_key(item)) != item:
                changed.append(f"diff {_key(item)}\n")
        return (1 if changed else 0), "".join(changed)

    def _delete(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        kinds, names = words[0].split(","), words[1:]
        said = []
        for kind in kinds:
            for item in self._of(kind, namespace, options):
                if not names or item["metadata"]["name"] in names:
                    said.append(_key(item))
                    self._remove(item)
        return "".join(f"{key} deleted\n" for key in said)

    def _remove(self, item: Object) -> None:
        key, name = _key(item), item["metadata"]["name"]
        if item["kind"] == "Namespace":
            for other in list(self.objects):
                if other.split("/")[1] == name:
                    self._forget(other)
        self._forget(key)
        for child in list(self.objects.values()):  # as the garbage collector: what it owned goes with it
            if any(one["uid"] == item["metadata"].get("uid") for one in child["metadata"].get("ownerReferences", [])):
                self._remove(child)

    def _forget(self, key: str) -> None:
        for kept in (self.objects, self.applied, self.others):
            kept.pop(key, None)  # type: ignore[attr-defined]

    def _set(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        assert words[0] == "env"
        kind, name = words[1].split("/")
        (item,) = [one for one in self._of(kind, namespace, {}) if one["metadata"]["name"] == name]
        variable, separator, value = words[2].partition("=")
        changed, key = copy.deepcopy(item), _key(item)
        (container,) = changed["spec"]["template"]["spec"]["containers"]
        if separator:
            fields = {"containers": [{"name": container["name"], "env": [{"name": variable, "value": value}]}]}
            own = {"spec": {"template": {"spec": fields}}}
            self.others.setdefault(key, []).append((options.get("field-manager", "kubectl-set"), own))
            there = [one for one in container["env"] if one["name"] == variable]
            if there:
                there[0]["value"] = value
            else:
                container["env"].append({"name": variable, "value": value})
        else:
            variable = variable.removesuffix("-")
            container["env"] = [one for one in container["env"] if one["name"] != variable]
            self.others[key] = [one for one in self.others.get(key, []) if variable not in json.dumps(one)]
        changed["metadata"]["managedFields"] = self._managed(key)
        self._store(key, changed)
        return f"{words[1]} env updated\n"

    def _scale(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        kind, name = words[0].split("/")
        item = self.objects[f"{self._kind(kind)}/{namespace}/{name}"]
        changed = copy.deepcopy(item)
        changed["spec"]["replicas"] = int(options["replicas"])
        self._store(_key(item), changed)
        return f"{words[0]} scaled\n"

    def _rollout(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        name = words[1].split("/")[1]
        if words[0] != "undo":
            raise Answer(f"stand-in: rollout {words[0]} is unknown")
        wanted = int(options.get("to-revision", "0"))
        deployment = self.objects[f"Deployment/{namespace}/{name}"]
        sets = self._sets(deployment)
        if not wanted:
            raise Answer("stand-in: say which revision")
        found = [item for item in sets if item["metadata"]["annotations"][REVISION] == str(wanted)]
        if not found:
            raise Answer(f"error: unable to find specified revision {wanted} in history")
        template = copy.deepcopy(found[0]["spec"]["template"])
        template["metadata"]["labels"].pop("pod-template-hash")
        changed = copy.deepcopy(deployment)
        changed["spec"]["template"] = template
        self._store(_key(deployment), changed)
        return f"deployment.apps/{name} rolled back\n"

    def _patch(self, words: list[str], options: dict[str, str], namespace: str, _: str) -> str:
        if options.get("subresource") != "status":
            raise Answer("stand-in: only the status is patched")
        (item,) = [one for one in self._of(words[0], namespace, {}) if one["metadata"]["name"] == words[1]]
        item.setdefault("status", {}).update(json.loads(options["p"])["status"])
        return ""

    # The controllers.

    def _sets(self, deployment: Object) -> list[Object]:
        return [
            item
            for item in self.objects.values()
            if item["kind"] == "ReplicaSet"
            and item["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
        ]

    def _control(self) -> None:
        for deployment in [item for item in self.objects.values() if item["kind"] == "Deployment"]:
            self._roll(deployment)

    def _roll(self, deployment: Object) -> None:
        spec, metadata = deployment["spec"], deployment["metadata"]
        spec.setdefault("replicas", 1)
        namespace, name = metadata["namespace"], metadata["name"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        sets = self._sets(deployment)
        numbers = [int(item["metadata"]["annotations"][REVISION]) for item in sets]
        key = f"ReplicaSet/{namespace}/{name}-{digest}"
        if key not in self.objects:
            template = copy.deepcopy(spec["template"])
            template["metadata"]["labels"]["pod-template-hash"] = digest
            selector = {"matchLabels": template["metadata"]["labels"]}
            own = {"template": template, "selector": selector}
            self.objects[key] = _child(deployment, "ReplicaSet", f"{name}-{digest}", own)
            self.objects[key]["metadata"]["labels"] = template["metadata"]["labels"]
            self.objects[key]["metadata"]["annotations"] = {REVISION: str(max(numbers, default=0) + 1)}
        current = self.objects[key]
        annotations = current["metadata"]["annotations"]
        if numbers and int(annotations[REVISION]) < max(numbers):
            history = [*annotations.get(REVISIONS, "").split(","), annotations[REVISION]]
            annotations[REVISIONS] = ",".join(filter(None, history))
            annotations[REVISION] = str(max(numbers) + 1)
        metadata.setdefault("annotations", {})[REVISION] = annotations[REVISION]
        image = spec["template"]["spec"]["containers"][0]["image"]
        blocked = image in self.bad or name in self.unschedulable
        for number in range(spec["replicas"]):
            self._pod(current, number, ready=not blocked, scheduled=name not in self.unschedulable)
        olds = [item for item in self._sets(deployment) if item is not current]
        if not blocked or spec["replicas"] == 0:
            for item in olds:
                self._end_pods(item)
        for item in [*olds, current]:
            pods = self._pods(item)
            ready = sum(pod["status"]["conditions"][-1]["status"] == "True" for pod in pods)
            item["spec"]["replicas"] = len(pods)
            item["status"] = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        self._end_pods(current, above=spec["replicas"])
        totals = [item["status"] for item in [*olds, current]]
        done = not blocked
        deployment["status"] = {
            "observedGeneration": metadata["generation"],
            "replicas": sum(status["replicas"] for status in totals),
            "updatedReplicas": current["status"]["replicas"],
            "availableReplicas": sum(status["availableReplicas"] for status in totals),
            "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
                if done
                else {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
            ],
        }

    def _pods(self, replica_set: Object) -> list[Object]:
        uid = replica_set["metadata"]["uid"]
        return [
            item
            for item in self.objects.values()
            if item["kind"] == "Pod" and item["metadata"]["ownerReferences"][0]["uid"] == uid
        ]

    def _end_pods(self, replica_set: Object, above: int = 0) -> None:
        for pod in self._pods(replica_set)[above:]:
            self.objects.pop(_key(pod))

    def _pod(self, owner: Object, number: int, *, ready: bool, scheduled: bool) -> None:
        name = f"{owner['metadata']['name']}-{number:05d}"
        key = f"Pod/{owner['metadata']['namespace']}/{name}"
        if key in self.objects and not ready:
            return  # a pod that runs goes on
        pod = self.objects.get(key) or _child(owner, "Pod", name, copy.deepcopy(owner["spec"]["template"]["spec"]))
        pod["metadata"]["labels"] = owner["spec"]["template"]["metadata"]["labels"]
        container = pod["spec"]["containers"][0]["name"]
        conditions: list[Object] = [{"type": "PodScheduled", "status": str(scheduled)}]
        if not scheduled:
            message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
            conditions[0] |= {"reason": "Unschedulable", "message": message}
        state = {"running": {}} if ready else {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}}
        pod["status"] = {
            "phase": "Running" if ready else "Pending",
            "conditions": [*conditions, {"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": container, "ready": ready, "state": state}] if scheduled else [],
        }
        self.objects[key] = pod


def _child(owner: Object, kind: str, name: str, spec: Object) -> Object:
    metadata = owner["metadata"]
    reference = {"kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    child = {"name": name, "namespace": metadata["namespace"], "uid": f"uid-{metadata['uid']}-{name}"}
    return {"kind": kind, "metadata": {**child, "ownerReferences": [reference]}, "spec": spec}


def _key(item: Object) -> str:
    return f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def merge(under: Any, over: Any) -> Any:
    """Merge as server-side apply does: lists of named items by name, other lists as a whole. What is applied keeps its
    order; items of others stay behind it.
    """
    if isinstance(under, dict) and isinstance(over, dict):
        return {key: merge(under.get(key), over.get(key)) for key in {**under, **over}}
    if _is_named(under) and _is_named(over):
        both = {item["name"]: item for item in under}
        names = {item["name"] for item in over}
        return [merge(both.get(item["name"]), item) for item in over] + [
            copy.deepcopy(item) for item in under if item["name"] not in names
        ]
    return copy.deepcopy(under if over is None else over)


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def fields_of(value: Any) -> Object:
    """Return FieldsV1 of an object's fields."""
    if isinstance(value, dict):
        return {f"f:{key}": fields_of(item) for key, item in value.items() if key not in ("apiVersion", "kind")}
    if _is_named(value):
        found: Object = {f"k:{json.dumps({'name': item['name']})}": {".": {}, **fields_of(item)} for item in value}
        return found
    return {}


def jsonpath(value: Any, path: str) -> str:
    """Evaluate the paths that the tool uses; no more than these."""
    if path.startswith("{range"):
        return ""
    (body,) = re.findall(r"^\{(.*)\}$", path)
    if body.startswith(".."):
        steps = re.findall(r"\w+", body)
        found = [item[steps[0]] for item in _walk(value) if isinstance(item, dict) and steps[0] in item]
        return " ".join(str(item[steps[1]]) for item in found)
    found = [value]
    for step in re.findall(r"\.((?:\\.|[^.\\\[])+)|\[([^\]]+)\]", body):
        name, index = step[0].replace("\\", ""), step[1]
        following: list[Any] = []
        for item in found:
            if name and isinstance(item, dict) and name in item:
                following.append(item[name])
            elif index == "*" and isinstance(item, list):
                following += item
            elif index.isdecimal() and isinstance(item, list) and len(item) > int(index):
                following.append(item[int(index)])
            elif index.startswith("?") and isinstance(item, list):
                (wanted,) = re.findall(r'@\.name=="([^"]+)"', index)
                following += [one for one in item if one["name"] == wanted]
        found = following
    return " ".join(str(item) for item in found)


def _walk(value: Any) -> list[Any]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value, *(item for child in below for item in _walk(child))]


def kustomize(arguments: list[str], real: str, rendered: Path, manifests: str) -> tuple[int, str]:
    """Render with the real kubectl; what was rendered is kept for whoever asks for the same again."""
    folder = Path(arguments[arguments.index("kustomize") + 1])
    own = str(folder).startswith(manifests)
    text = str(folder) if own else "".join(file.read_text() for file in sorted(folder.iterdir()))
    kept = rendered / hashlib.sha256(text.encode()).hexdigest()
    if not kept.exists():
        run = subprocess.run([real, "kustomize", str(folder)], capture_output=True, text=True, check=False)
        if run.returncode:
            sys.stderr.write(run.stderr)
            return run.returncode, ""
        kept.with_suffix(f".{os.getpid()}").write_text(run.stdout)
        kept.with_suffix(f".{os.getpid()}").rename(kept)
    return 0, kept.read_text()


def main(arguments: list[str]) -> int:
    if "kustomize" in arguments:
        code, out = kustomize(arguments, os.environ["REAL"], Path(os.environ["RENDERED"]), os.environ["MANIFESTS"])
        sys.stdout.write(out)
        return code
    state = Path(os.environ["STATE"])
    with state.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = StandIn()
        if state.exists():
            server.__dict__.update(json.loads(state.read_text()))
        stdin = sys.stdin.read() if "-f" in arguments else ""
        code, out, error = server.answer(arguments, stdin)
        state.write_text(json.dumps(server.state()))
    sys.stdout.write(out)
    sys.stderr.write(error)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
