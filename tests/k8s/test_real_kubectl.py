"""The deploy tool with the real, pinned kubectl: what it really sends and answers, over HTTP to the stand-in.

The stand-in speaks as much of the API as kubectl needs here: discovery, lists, server-side apply, JSON patch, delete.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from k8s.tools.deploy import rollout
from k8s.tools.deploy.__main__ import main
from k8s.tools.deploy.kubectl import Kubectl
from tests.k8s.rendering import kubectl
from tests.k8s.stand_in import CLUSTER_WIDE, KINDS, StandIn

Object = dict[str, Any]
GROUPS = {
    "v1": ("Namespace", "Secret", "ConfigMap", "Pod", "Node", "Service", "ServiceAccount", "PersistentVolumeClaim"),
    "apps/v1": ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"),
    "batch/v1": ("Job",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "policy/v1": ("PodDisruptionBudget",),
    "scheduling.k8s.io/v1": ("PriorityClass",),
    "networking.k8s.io/v1": ("NetworkPolicy", "Ingress"),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "karpenter.sh/v1": ("NodePool", "NodeClaim"),
    "karpenter.azure.com/v1beta1": ("AKSNodeClass",),
    "keda.sh/v1alpha1": ("ScaledObject", "TriggerAuthentication"),
}
PLURALS = {
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "AKSNodeClass": "aksnodeclasses",
    "PriorityClass": "priorityclasses",
}
KIND = {PLURALS.get(kind, f"{kind.lower()}s"): kind for kinds in GROUPS.values() for kind in kinds}
BUILD = {"OVERLAY": "cpu", "CONTEXT": "tosia", "API_KEY": "k"}


def openapi(path: str) -> Object:
    """What kubectl asks before it sends: whether the server itself validates fields."""
    if not path:
        places = [f"api/{version}" if "/" not in version else f"apis/{version}" for version in GROUPS]
        return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash=1"} for place in places}}
    version = path.partition("/")[2]
    group, _, number = version.rpartition("/")
    parameters = [{"name": name, "in": "query"} for name in ("dryRun", "fieldValidation")]
    paths = {
        f"/{path}/{kind}/{{name}}": {
            "patch": {
                "parameters": parameters,
                "responses": {},
                "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": kind},
            }
        }
        for kind in GROUPS[version]
    }
    return {"openapi": "3.0.0", "info": {"title": "a", "version": "1"}, "paths": paths}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_side: StandIn

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _send(self, answer: Object, code: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _missing(self) -> None:
        self._send({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}, 404)

    def _body(self) -> Any:
        return yaml.safe_load(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _key(self) -> str | None:
        """The key in the stand-in of an object's address; None for any other address."""
        parts = urlsplit(self.path).path.strip("/").removesuffix("/status").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if len(parts) == 2 and parts[0] in KIND:
            return f"{KIND[parts[0]]}//{parts[1]}"
        if len(parts) == 4 and parts[2] in KIND:
            return f"{KIND[parts[2]]}/{parts[1]}/{parts[3]}"
        return None

    def _whole(self, item: Object) -> Object:
        (version,) = [version for version, kinds in GROUPS.items() if item["kind"] in kinds]
        return {"apiVersion": version, **item}

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.strip("/")
        if path.startswith("openapi/v3"):
            self._send(openapi(path.removeprefix("openapi/v3").strip("/")))
        elif path in ("api", "apis", "version") or (discovered := self._discovery(path)) is not None:
            self._send(self._root(path) if path in ("api", "apis", "version") else discovered)
        elif (key := self._key()) is not None:
            found = self.server_side.objects.get(key) or self._definition(key)
            self._send(self._whole(found)) if found else self._missing()
        else:
            self._list(path)

    def _definition(self, key: str) -> Object | None:
        kind, _, name = key.split("/")
        there = kind == "CustomResourceDefinition" and name in self.server_side.definitions
        return {"kind": kind, "metadata": {"name": name}} if there else None

    def _root(self, path: str) -> Object:
        if path == "version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}
        if path == "api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        versions = [{"groupVersion": name, "version": name.split("/")[1]} for name in GROUPS if "/" in name]
        groups = [
            {"name": one["groupVersion"].split("/")[0], "versions": [one], "preferredVersion": one} for one in versions
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _discovery(self, path: str) -> Object | None:
        version = path.partition("/")[2]
        if version not in GROUPS:
            return None
        verbs = ["get", "list", "create", "patch", "delete"]
        resources = [
            {
                "name": PLURALS.get(kind, f"{kind.lower()}s"),
                "singularName": kind.lower(),
                "namespaced": kind not in CLUSTER_WIDE,
                "kind": kind,
                "verbs": verbs,
                "shortNames": ["crd"] if kind == "CustomResourceDefinition" else [],
            }
            for kind in GROUPS[version]
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}

    def _list(self, path: str) -> None:
        parts = path.split("/")
        if parts[-1] not in KIND:
            self._missing()
            return
        query = parse_qs(urlsplit(self.path).query)
        options = {
            "selector": query.get("labelSelector", [""])[0],
            "field-selector": query.get("fieldSelector", [""])[0],
        }
        words = {kind: word for word, kind in KINDS.items()}
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else ""
        if not namespace:
            options["all-namespaces"] = ""
        kind = KIND[parts[-1]]
        found = self.server_side._of(words[kind], namespace, options)
        (version,) = [version for version, kinds in GROUPS.items() if kind in kinds]
        items = [self._whole(item) for item in found]
        self._send({"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": items})

    def do_PATCH(self) -> None:
        key, body, kind = self._key(), self._body(), self.headers["Content-Type"]
        assert key is not None
        if "apply-patch" in kind:
            self.server_side._put(body, key.split("/")[1])
        elif "json-patch" in kind:
            changed = json.loads(json.dumps(self.server_side.objects[key]))
            for operation in body:
                if operation["path"] == "/spec/template":
                    changed["spec"]["template"] = operation["value"]
            self.server_side._store(key, changed)
        elif "spec" in body:  # `kubectl set env`: a strategic merge
            (container,) = body["spec"]["template"]["spec"]["containers"]
            manager = parse_qs(urlsplit(self.path).query)["fieldManager"][0]
            for one in container["env"]:
                word = f"{one['name']}-" if one.get("$patch") == "delete" else f"{one['name']}={one['value']}"
                where = f"deployment/{key.split('/')[2]}"
                own = [f"--namespace={key.split('/')[1]}", f"--field-manager={manager}"]
                assert self.server_side.answer(["set", "env", where, word, *own])[0] == 0
        else:
            self.server_side.objects[key].setdefault("status", {}).update(body.get("status", {}))
        self.server_side._control()
        self._send(self._whole(self.server_side.objects[key]))

    def do_DELETE(self) -> None:
        self._body()
        found = self.server_side.objects.get(self._key() or "")
        if found is None:
            self._missing()
            return
        self.server_side._remove(found)
        self._send(self._whole(found))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    handler = type("OneApi", (Api,), {"server_side": stand_in})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{http.server_address[1]}"}}],
        "contexts": [{"name": "tosia", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "tosia",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECTL", kubectl())
    for name in ("LOOK_S", "STUCK_S", "ZERO_S"):
        monkeypatch.setattr(rollout, name, 0.0)
    yield stand_in
    http.shutdown()
    http.server_close()


def image(server: StandIn) -> str:
    (container,) = server.objects["Deployment/tosia/frontend"]["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def test_what_is_not_there_is_empty_and_no_error(server: StandIn) -> None:
    """Also where the namespace is missing, for which kubectl asks, too."""
    own = Kubectl("tosia")
    assert own.read("configmap", "last-deployment") == {}
    assert own.read("deployments,replicasets,pods").get("items", []) == []
    assert own.keys("secret", "tosia") == set()
    assert own.field("serviceaccount", "triton", "{.metadata.name}") == ""
    assert own.names("gateway") is None
    assert own.names("crd") == set(server.definitions)


@pytest.mark.system
def test_deploying_going_back_and_deleting(server: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    for build in ("50", "51"):
        assert main(["all"], {**BUILD, "BUILD_NUMBER": build}) == 0, capfd.readouterr().err
    own = Kubectl("tosia")
    assert own.keys("secret", "tosia") == {"API_KEY"}
    managers = [item["metadata"].get("managedFields") for item in own.read("deployments")["items"]]
    assert all(managers), "kubectl leaves them out unless it is asked for them"
    assert main(["rollback"], BUILD) == 0
    assert image(server) == "tosia-frontend:50"
    assert main(["rollback"], {**BUILD, "WHAT": "frontend"}) == 1
    assert main(["status"], BUILD) == 0
    said = capfd.readouterr().out
    assert "frontend wanted:  tosia-frontend:50" in said
    assert "frontend running: tosia-frontend:50" in said
    server.bad.append("tosia-frontend:52")
    assert main(["all"], {**BUILD, "BUILD_NUMBER": "52"}) == 1
    assert "frontend: ImagePullBackOff" in capfd.readouterr().err
    assert main(["rollback"], BUILD) == 0
    assert image(server) == "tosia-frontend:50"
    assert main(["delete"], {**BUILD, "SURE": "tosia"}) == 0
    assert server.objects == {}


def test_a_candidate_comes_and_goes(server: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    """The variable by a strategic merge patch of the manager `tosia-candidate`, and all of it deleted by its label."""
    assert main(["all"], {**BUILD, "BUILD_NUMBER": "50"}) == 0, capfd.readouterr().err
    objects = set(server.objects)
    assert main(["candidate"], {**BUILD, "RELEASE": "tosia-frontend:51"}) == 0, capfd.readouterr().err
    metadata = Kubectl("tosia").read("deployment", "frontend")["metadata"]
    assert [entry["manager"] for entry in metadata["managedFields"]] == ["tosia", "tosia-candidate"]
    assert main(["candidate-status"], BUILD) == 0
    said = capfd.readouterr().out
    assert "candidate-triton running: nvcr.io/nvidia/tritonserver:26.11-py3, release of tosia-frontend:51" in said
    assert main(["candidate-stop"], {**BUILD, "SURE": "candidate"}) == 0, capfd.readouterr().err
    metadata = Kubectl("tosia").read("deployment", "frontend")["metadata"]
    assert [entry["manager"] for entry in metadata["managedFields"]] == ["tosia"]
    left = {key for key in set(server.objects) - objects if not key.startswith(("ReplicaSet/", "Pod/"))}
    assert left == set()


def test_a_job_takes_what_it_needed_with_it(server: StandIn) -> None:
    assert main(["namespace"], BUILD) == 0
    assert main(["perf"], BUILD) == 0, "also where its log can't be read, as here"
    assert {key.split("/")[0] for key in server.objects} == {"Namespace", "Job"}


def test_a_status_is_written_as_a_kubelet_writes_it(server: StandIn) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "p", "namespace": "tosia"}, "spec": {"containers": []}}
    server.objects["Pod/tosia/p"] = pod
    change = json.dumps({"status": {"phase": "Running"}})
    arguments = ("patch", "pod", "p", "--subresource=status", "--type=strategic", f"-p={change}")
    assert Kubectl("tosia").run(*arguments) == 0
    assert server.objects["Pod/tosia/p"]["status"] == {"phase": "Running"}
