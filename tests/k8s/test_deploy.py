"""`k8s.tools.deploy` with a stub kubectl: it records what it is given, renders with the real one, and answers as a
cluster would.

Three tests go through `make -C k8s`, the others call what it runs; what the real kubectl has rendered is kept for those
that ask for the same again.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from export.releases.publish import path_of
from export.releases.repository import read_release
from frontend.configuration.settings import SettingsError, read_settings
from frontend.configuration.variables import VARIABLES
from k8s.tools.deploy.__main__ import main
from k8s.tools.deploy.environment import GIVEN, EnvironmentProblem, read_values
from k8s.tools.deploy.release import release_path
from laptop.service import CHECKOUT
from tests.k8s.rendering import MANIFESTS, kubectl
from tests.k8s.stand_in import DEFINITIONS

KEY = base64.b64encode(b"not a key of anybody's, but as long as one is, so that it looks alike..").decode()
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=tosiastore;AccountKey={KEY};EndpointSuffix=core.windows.net"
SEED = {
    "API_KEY": "clinic:a-secret-of-the-clinic",
    "BLOB_CONNECTION": CONNECTION,
    "BLOB_CONTAINER": "calls",
    "COSMO_ENDPOINT": "https://tosia.documents.azure.com:443/",
    "COSMO_KEY": KEY,
    "BUILD_NUMBER": "42",
}
WORKLOAD = {
    "API_KEY": SEED["API_KEY"],
    "TOSIA_IDENTITY": "workload",
    "BLOB_ENDPOINT": "https://tosiastore.blob.core.windows.net",
    "BLOB_CONTAINER": "calls",
    "COSMO_ENDPOINT": SEED["COSMO_ENDPOINT"],
    "BUILD_NUMBER": "42",
}
PLAIN = (SEED["API_KEY"], KEY, CONNECTION)
SECRETS = (*PLAIN, *(base64.b64encode(item.encode()).decode() for item in PLAIN))
CLIENT_ID = "11111111-2222-3333-4444-555555555555"

# What a healthy cluster answers, where a test says nothing else.
HEALTHY = {
    "get crd -o=name": " ".join(
        f"customresourcedefinition.apiextensions.k8s.io/{name}" for name in DEFINITIONS.values()
    ),
    "get deployments,replicasets,pods": json.dumps(
        {
            "kind": "List",
            "items": [
                {
                    "kind": "Deployment",
                    "metadata": {"name": name, "generation": 1, "uid": name},
                    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": name}]}}},
                    "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
                }
                for name in ("triton", "frontend")
            ],
        }
    ),
}
REMEMBERED = {"serviceaccount": CLIENT_ID, "get ingress frontend": "api.tosia.org"}

STUB = """#!/bin/bash
# A stub: records arguments and stdin, renders with the real kubectl, answers `get` from files and fails where it is
# told to.
if [ "$1" = kustomize ]; then
  case "$2" in "$MANIFESTS"/*) key=$2;; *) key=$(cat "$2"/*);; esac
  kept="$RENDERED/$(sha256sum <<< "$key" | cut -d ' ' -f 1)"
  if [ ! -e "$kept" ]; then "$REAL" "$@" > "$kept.$$" || exit; mv "$kept.$$" "$kept"; fi
  exec cat "$kept"
fi
n=$(ls "$RECORD" | wc -l)
printf '%s\\n' "$@" > "$RECORD/$(printf %03d $n).arguments"
case " $* " in *" -f - "*) cat > "$RECORD/$(printf %03d $n).stdin";; esac
for word in "$@"; do case "$word" in -*) ;; *) words="$words $word";; esac; done
[ -n "$FAIL" ] && [[ "$words" == *"$FAIL"* ]] && { echo "stub: refused" >&2; exit 1; }
while IFS='|' read -r pattern answer; do
  [ -n "$pattern" ] && [[ "$*" == *$pattern* ]] && { printf '%s' "$answer"; exit 0; }
done < "$ANSWERS"
exit 0
"""


@dataclass
class Call:
    arguments: list[str]
    stdin: str

    @property
    def text(self) -> str:
        return " ".join(self.arguments)

    @property
    def objects(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(self.stdin) if item}


class Cluster:
    """`make -C k8s VERB`, or what it runs, against the stub."""

    def __init__(
        self, folder: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ):
        self.folder = folder
        self.record, self.temporary = folder / "record", folder / "temporary"
        self._rendered, self._monkeypatch, self._capfd = rendered, monkeypatch, capfd
        (folder / "bin").mkdir()
        self.temporary.mkdir()
        stub = folder / "bin" / "kubectl"
        stub.write_text(STUB)
        stub.chmod(0o755)
        self.answers: dict[str, str] = {}
        self.defaults = {**HEALTHY, **REMEMBERED}

    def make(self, verb: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "-C", str(MANIFESTS.parent), verb],
            env={**self._prepared(""), **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def deploy(self, verb: str, environ: Mapping[str, str], fail: str = "") -> subprocess.CompletedProcess[str]:
        """In this process; an error that nobody has foreseen is raised here."""
        with self._monkeypatch.context() as patch:
            for name, value in self._prepared(fail).items():
                patch.setenv(name, value)
            patch.delenv("KUBECTL", raising=False)
            patch.setattr(tempfile, "tempdir", str(self.temporary))
            self._capfd.readouterr()
            code = main([verb], environ)
        said = self._capfd.readouterr()
        return subprocess.CompletedProcess([verb], code, said.out, said.err)

    def _prepared(self, fail: str) -> dict[str, str]:
        """The stub's environment, its record empty."""
        self.record.mkdir(exist_ok=True)
        for file in self.record.iterdir():
            file.unlink()
        answers = {**self.answers, **{key: value for key, value in self.defaults.items() if key not in self.answers}}
        (self.folder / "answers").write_text("".join(f"{key}|{value}\n" for key, value in answers.items()))
        own = {"REAL": kubectl(), "RECORD": str(self.record), "ANSWERS": str(self.folder / "answers"), "FAIL": fail}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        places = {"PATH": path, "TMPDIR": str(self.temporary), "HOME": str(self.folder)}
        return {**own, **places, "MANIFESTS": str(MANIFESTS), "RENDERED": str(self._rendered)}

    def calls(self, word: str = "") -> list[Call]:
        found = []
        for file in sorted(self.record.glob("*.arguments")):
            stdin = file.with_suffix(".stdin")
            found.append(Call(file.read_text().splitlines(), stdin.read_text() if stdin.exists() else ""))
        return [call for call in found if not word or word in call.arguments]

    def applied(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {key: item for call in self.calls("apply") for key, item in call.objects.items()}


def opened(secret: dict[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real kubectl has rendered, by what it was given. k8s/ stays as it is meanwhile."""
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture
def cluster(
    tmp_path: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Cluster:
    return Cluster(tmp_path, rendered, monkeypatch, capfd)


def test_all_deploys_with_the_documented_variables(cluster: Cluster) -> None:
    run = cluster.make("all", SEED)
    assert run.returncode == 0, run.stderr
    applied = cluster.applied()
    front_end = applied["Deployment", "frontend"]["spec"]["template"]["spec"]["containers"][0]
    assert front_end["image"] == "tosia.azurecr.io/frontend:42"
    (name,) = [name for kind, name in applied if kind == "ConfigMap" and name.startswith("triton-")]
    assert applied["ConfigMap", name]["data"] == {
        "repository": f"as://tosiastore/calls/{release_path(CHECKOUT / 'model_repository')}",
        "account": "tosiastore",
    }
    assert {
        ("NodePool", "tosia-gpu-on-demand"),
        ("NodePool", "tosia-gpu-spot"),
        ("AKSNodeClass", "tosia-gpu"),
    } <= applied.keys()
    assert ("DaemonSet", "nvidia-device-plugin") in applied
    order = [key for call in cluster.calls("apply") for key in call.objects]
    assert order[0] == ("Namespace", "tosia")
    assert order.index(("Secret", "tosia")) < order.index(("Deployment", "frontend"))
    assert [line for line in run.stderr.splitlines() if "is rolled out" in line] == [
        f"deploy: {name} is rolled out: {name}, pods: 1." for name in ("triton", "frontend")
    ]
    assert all(call.arguments[0] == "--context=tosia" for call in cluster.calls())


def test_what_is_applied_is_what_the_front_end_reads(cluster: Cluster) -> None:
    for environ, keys in ((SEED, True), (WORKLOAD, False)):
        assert cluster.deploy("all", environ).returncode == 0
        applied = cluster.applied()
        (name,) = [name for kind, name in applied if kind == "ConfigMap" and name.startswith("frontend-")]
        variables = {**applied["ConfigMap", name]["data"], **opened(applied["Secret", "tosia"])}
        assert variables.keys() <= VARIABLES.keys()
        settings = read_settings(variables)
        assert settings.azure is not None
        assert (settings.azure.cosmos_key is not None, settings.azure.needs_identity) == (keys, not keys)
        assert settings.triton_url == "dns:///triton:8001"
        assert settings.azure.blob_container == "calls"


def test_secrets_go_to_stdin_alone(cluster: Cluster) -> None:
    run = cluster.deploy("all", SEED)
    holders = [call for call in cluster.calls() if any(secret in call.stdin for secret in SECRETS)]
    assert len(holders) == 1
    assert list(holders[0].objects) == [("Secret", "tosia")]
    assert opened(holders[0].objects["Secret", "tosia"]) == {
        name: SEED[name] for name in ("API_KEY", "BLOB_CONNECTION", "COSMO_KEY")
    }
    for call in cluster.calls():
        assert not any(secret in call.text for secret in SECRETS)
        if call.stdin:
            assert "--server-side" in call.arguments, "apply by the client repeats what it is sent in an annotation"
    assert not any(secret in run.stdout + run.stderr for secret in SECRETS)
    assert list(cluster.temporary.iterdir()) == []


def test_no_file_ever_holds_a_secret(cluster: Cluster) -> None:
    """While kubectl renders: what lies in the folder that it is given, and in every other temporary one."""
    stub = cluster.folder / "bin" / "kubectl"
    begins = 'if [ "$1" = kustomize ]; then\n'
    assert begins in STUB
    spy = 'cp -r "$TMPDIR" "$RECORD/../seen.$$"; cp -r "$2" "$RECORD/../rendered.$$"\n'
    stub.write_text(STUB.replace(begins, begins + spy))
    assert cluster.make("all", SEED).returncode == 0
    copies = [*cluster.folder.glob("seen.*"), *cluster.folder.glob("rendered.*")]
    files = [file for copy in copies for file in copy.rglob("*") if file.is_file()]
    assert any("tosiastore" in file.read_text() for file in files), "the values of this deployment were there"
    assert not any(secret in file.read_text() for file in files for secret in SECRETS)


def test_without_keys_by_workload_identity(cluster: Cluster) -> None:
    run = cluster.deploy("all", {**WORKLOAD, "TRITON_CLIENT_ID": CLIENT_ID, "FRONTEND_CLIENT_ID": CLIENT_ID})
    assert run.returncode == 0, run.stderr
    applied = cluster.applied()
    assert opened(applied["Secret", "tosia"]) == {"API_KEY": SEED["API_KEY"]}
    for account in ("frontend", "triton"):
        annotations = applied["ServiceAccount", account]["metadata"]["annotations"]
        assert annotations == {"azure.workload.identity/client-id": CLIENT_ID}
    assert "identity" not in run.stderr


def test_everything_that_is_missing_is_named_in_one_line_and_nothing_is_applied(cluster: Cluster) -> None:
    run = cluster.make("all", {})
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("deploy:")]
    for name in SEED:
        assert f"{name} is missing" in line
    assert cluster.calls() == []
    run = cluster.make("all", {"TOSIA_IDENTITY": "workload"})
    assert "COSMO_KEY" not in run.stderr
    assert "BLOB_CONNECTION" not in run.stderr
    assert cluster.calls() == []


@pytest.mark.parametrize("name", SEED)
def test_each_one_is_missed(cluster: Cluster, name: str) -> None:
    run = cluster.deploy("all", {key: value for key, value in SEED.items() if key != name})
    assert (run.returncode, cluster.calls()) == (2, [])
    assert f"{name} is missing" in run.stderr
    assert run.stderr.count("is missing") == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BUILD_NUMBER", "latest", "not a number"),
        ("BLOB_CONNECTION", "AccountKey=a==", "names no storage account"),
        ("BLOB_CONNECTION", "AccountName=tosiastore;AccountKey=", "holds no key"),
        ("BLOB_CONNECTION", f"DefaultEndpointsProtocol=http;AccountName=tosiastore;AccountKey={KEY}", "not https"),
        ("COSMO_KEY", "not base64!", "COSMO_KEY is not a key"),
        ("COSMO_ENDPOINT", "https://[::1", "not an address"),
        ("COSMO_DATABASE", "a\nb", "not a database's name"),
        ("API_KEY", "a b", "API_KEY can't be used"),
        ("API_KEY", "x:1,x:2", "names a key twice"),
        ("BLOB_CONTAINER", "Calls", "not a container's name"),
        ("COSMO_ENDPOINT", "http://tosia.documents.azure.com", "not an address"),
        ("TOSIA_IDENTITY", "managed", "TOSIA_IDENTITY is 'managed'"),
        ("RELEASE", "releases/3", "not a path"),
        ("INGRESS_HOST", "https://tosia.org", "not a host's name"),
        ("TRITON_CLIENT_ID", "triton", "not a client id"),
        ("OVERLAY", "gcp", "one of azure"),
        ("COMPONENTS", "scale-to-one", "scale-to-zero"),
        ("NODEPOOL", "yes", "auto or none"),
        ("API_KEY", "a\nb", "line break"),
        ("ALLOW_UNVALIDATED", "yes", "set it to 1"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_applied(cluster: Cluster, name: str, value: str, said: str) -> None:
    run = cluster.deploy("all", {**SEED, name: value})
    assert (run.returncode, cluster.calls()) == (2, [])
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert KEY not in run.stderr


def test_the_cluster_remembers_identities_the_host_and_rolls_the_front_end_when_secrets_change(
    cluster: Cluster,
) -> None:
    cluster.answers = {
        "serviceaccount frontend": "",
        "serviceaccount triton": CLIENT_ID,
        "crd httproutes": "httproutes.gateway.networking.k8s.io",
        "httproute frontend": "api.tosia.org",
        "secret tosia --ignore-not-found -o=jsonpath": "1234",
    }
    assert cluster.deploy("all", SEED).returncode == 0
    applied = cluster.applied()
    assert (
        applied["ServiceAccount", "triton"]["metadata"]["annotations"]["azure.workload.identity/client-id"] == CLIENT_ID
    )
    assert "annotations" not in applied["ServiceAccount", "frontend"]["metadata"]
    assert hosts_of(applied) == {"api.tosia.org"}
    template = applied["Deployment", "frontend"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {"tosia/secrets-version": "1234"}


def hosts_of(applied: dict[tuple[str, str], dict[str, Any]]) -> set[str]:
    """Every host that the way in names, whichever it is."""
    found: list[str] = []
    for (kind, _), item in applied.items():
        spec = item.get("spec", {})
        if kind == "Gateway":
            found += [listener["hostname"] for listener in spec["listeners"]]
        elif kind == "HTTPRoute":
            found += spec["hostnames"]
        elif kind == "Ingress":
            found += [spec["rules"][0]["host"], *spec["tls"][0]["hosts"]]
    return set(found)


@pytest.mark.parametrize(
    ("components", "kinds"),
    [
        ("", {"Gateway", "HTTPRoute"}),
        ("gateway", {"Gateway", "HTTPRoute"}),
        ("nginx", {"Ingress"}),
        ("nginx no-spare-gpu", {"Ingress"}),
    ],
)
def test_the_way_in_is_chosen_and_has_the_given_host(cluster: Cluster, components: str, kinds: set[str]) -> None:
    given = {**SEED, "INGRESS_HOST": "api.tosia.org", "COMPONENTS": components}
    assert cluster.deploy("apply", given).returncode == 0
    applied = cluster.applied()
    assert {kind for kind, _ in applied} & {"Gateway", "HTTPRoute", "Ingress"} == kinds
    assert hosts_of(applied) == {"api.tosia.org"}


@pytest.mark.parametrize("component", ["", "nginx"])
def test_a_host_of_before_is_kept_when_the_way_in_changes(cluster: Cluster, component: str) -> None:
    """From nginx, where the cluster may not know routes at all; each way in keeps its own host,
    whatever was left of the other one.
    """
    cluster.answers = {"ingress frontend": "old.tosia.org"}
    assert cluster.deploy("apply", {**SEED, "COMPONENTS": component}).returncode == 0
    assert hosts_of(cluster.applied()) == {"old.tosia.org"}
    assert not cluster.calls("httproute"), "kubectl fails on a kind that the cluster does not know"
    cluster.answers |= {"crd httproutes": "httproutes.gateway.networking.k8s.io", "httproute frontend": "api.tosia.org"}
    assert cluster.deploy("apply", {**SEED, "COMPONENTS": component}).returncode == 0
    assert hosts_of(cluster.applied()) == {"old.tosia.org" if component else "api.tosia.org"}


@pytest.mark.parametrize("verb", ["all", "diff"])
def test_what_is_sent_names_its_own_namespaces(cluster: Cluster, verb: str) -> None:
    """kubectl refuses objects of another namespace than its --namespace, and the gateway has one of its own."""
    assert cluster.deploy(verb, SEED).returncode == 0
    sent = [call for call in cluster.calls() if call.stdin]
    assert any(("Gateway", "frontend") in call.objects for call in sent)
    assert not [call.text for call in sent if "--namespace" in call.text]
    cluster_wide = {"Namespace", "NodePool", "AKSNodeClass"}
    objects = [item for call in sent for item in call.objects.values() if item["kind"] not in cluster_wide]
    assert not [item["kind"] for item in objects if not item["metadata"].get("namespace")]


def mounted(cluster: Cluster) -> tuple[str, str]:
    """The name of the ConfigMap that the front end has mounted, and the file in it."""
    applied = cluster.applied()
    volumes = applied["Deployment", "frontend"]["spec"]["template"]["spec"]["volumes"]
    (name,) = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "settings"]
    return name, applied["ConfigMap", name]["data"]["settings.yml"]


def test_a_settings_file_is_mounted_rolls_the_front_end_and_is_remembered(cluster: Cluster, tmp_path: Path) -> None:
    own = (MANIFESTS / "base" / "frontend" / "settings.yml").read_text()
    assert cluster.deploy("apply", SEED).returncode == 0
    name, text = mounted(cluster)
    assert text == own

    file = tmp_path / "ours.yml"
    file.write_text("limits: {request_deadline_s: 8}\n")
    given = {**SEED, "FRONTEND_CONFIG": str(file)}
    assert cluster.deploy("apply", given).returncode == 0
    other, text = mounted(cluster)
    assert other != name
    assert text == f"{GIVEN}\n{file.read_text()}"
    assert cluster.deploy("render", given).returncode == 0

    cluster.answers = {
        "deployment frontend --ignore-not-found -o=jsonpath={.spec.template": "settings-abc",
        "configmap settings-abc": GIVEN,
    }
    assert cluster.deploy("apply", SEED).returncode == 0
    assert mounted(cluster)[1] == f"{GIVEN}\n"
    assert cluster.deploy("settings", {}).stdout == f"{GIVEN}\n"
    assert cluster.deploy("apply", {**SEED, "FRONTEND_CONFIG": "default"}).returncode == 0
    assert mounted(cluster) == (name, own)

    cluster.answers["configmap settings-abc"] = "service: {workers: 1}"  # of the manifests of another checkout
    assert cluster.deploy("apply", SEED).returncode == 0
    assert mounted(cluster) == (name, own)
    assert cluster.deploy("settings", {}).stdout == own


def test_a_settings_file_that_can_not_be_read(cluster: Cluster, tmp_path: Path) -> None:
    run = cluster.deploy("apply", {**SEED, "FRONTEND_CONFIG": str(tmp_path / "nothing.yml")})
    assert run.returncode == 2
    assert "FRONTEND_CONFIG names" in run.stderr
    assert cluster.calls("apply") == []


@pytest.mark.parametrize("name", SEED)
def test_quotes_around_a_value_are_named(cluster: Cluster, name: str) -> None:
    run = cluster.deploy("all", {**SEED, name: f"'{SEED[name]}'"})
    assert run.returncode == 2
    assert f"{name} has quotes around it" in run.stderr
    assert KEY not in run.stderr


def test_what_the_shell_should_say_once_is_asked_for(cluster: Cluster) -> None:
    cluster.defaults = HEALTHY
    run = cluster.deploy("all", WORKLOAD)
    assert (run.returncode, cluster.calls("apply")) == (2, [])
    for name in ("TRITON_CLIENT_ID", "FRONTEND_CLIENT_ID", "INGRESS_HOST"):
        assert name in run.stderr
    cluster.defaults = {**HEALTHY, **REMEMBERED}
    assert "ALLOW_UNVALIDATED" in cluster.deploy("all", WORKLOAD).stderr


def test_a_release_that_is_named_is_taken_as_it_is(cluster: Cluster) -> None:
    release = "as://otherstore/models/releases/3-0123456789ab"
    assert cluster.deploy("all", {**SEED, "RELEASE": release}).returncode == 0
    (data,) = [
        item["data"]
        for (kind, name), item in cluster.applied().items()
        if kind == "ConfigMap" and name.startswith("triton-")
    ]
    assert data == {"repository": release, "account": "otherstore"}


def test_the_path_is_the_one_that_publish_prints() -> None:
    repository = CHECKOUT / "model_repository"
    assert release_path(repository) == path_of(read_release(repository))


def test_components_and_other_overlays(cluster: Cluster) -> None:
    assert cluster.deploy("apply", {**SEED, "COMPONENTS": "scale-to-zero fqdn-egress"}).returncode == 0
    applied = cluster.applied()
    assert applied["ScaledObject", "triton"]["spec"]["minReplicaCount"] == 0
    assert ("CiliumNetworkPolicy", "egress-by-name") in applied
    run = cluster.deploy("all", {"OVERLAY": "cpu", "API_KEY": "k", "BUILD_NUMBER": "7"})
    assert run.returncode == 0, run.stderr
    applied = cluster.applied()
    assert applied["Deployment", "frontend"]["spec"]["template"]["spec"]["containers"][0]["image"] == "tosia-frontend:7"
    assert not any(kind in ("NodePool", "ScaledObject", "PodMonitor", "DaemonSet") for kind, _ in applied)
    assert not any(argument.startswith("--context") for call in cluster.calls() for argument in call.arguments)


def test_without_auto_provisioning_the_device_plugin_comes_alone(cluster: Cluster) -> None:
    assert cluster.deploy("all", {**SEED, "NODEPOOL": "none"}).returncode == 0
    kinds = {kind for kind, _ in cluster.applied()}
    assert "DaemonSet" in kinds
    assert not {"NodePool", "AKSNodeClass"} & kinds


def test_it_is_safe_to_repeat(cluster: Cluster) -> None:
    assert cluster.deploy("all", SEED).returncode == 0
    first = [(call.arguments, call.stdin) for call in cluster.calls()]
    assert cluster.deploy("all", SEED).returncode == 0
    assert [(call.arguments, call.stdin) for call in cluster.calls()] == first
    assert not any(verb in arguments for arguments, _ in first for verb in ("create", "replace", "delete"))


def test_what_the_cluster_refuses_ends_it_with_what_to_do(cluster: Cluster) -> None:
    run = cluster.deploy("all", SEED, fail="apply")
    assert run.returncode != 0
    assert "stub: refused" in run.stderr
    assert len(cluster.calls("apply")) == 1, "nothing after the step that failed"
    assert "Traceback" not in run.stderr


def test_what_the_cluster_can_not_be_asked_is_not_taken_for_absent(cluster: Cluster) -> None:
    """Or the host and the identities that it has would be overwritten."""
    run = cluster.deploy("apply", SEED, fail="get")
    assert run.returncode != 0
    assert cluster.calls("apply") == []
    assert "can't be asked for" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_placeholder_is_no_host_to_remember(cluster: Cluster) -> None:
    cluster.answers = {"get ingress frontend": "api.tosia.example"}
    assert "INGRESS_HOST" in cluster.deploy("apply", SEED).stderr


@pytest.mark.parametrize(
    "text",
    [
        "k",
        "a:k",
        "a:k,b:k2",
        "a:k=$%'\"",
        "a b",
        "x:",
        ",",
        ":k",
        "a:k,",
        "x:1,x:2",
        "a:k, b:k2",
        "a:'k,b:k2",
        "a:k ,b:k2",
        "Schl\u00fcssel",
    ],
)
def test_keys_are_judged_as_the_front_end_judges_them(text: str) -> None:
    def accepted(read: Callable[[], object], refusal: type[Exception]) -> bool:
        try:
            read()
        except refusal:
            return False
        return True

    own = {"TOSIA_STORES": "embedded", "TRITON_URL": "triton:8001", "API_KEY": text}
    assert accepted(lambda: read_values({**SEED, "API_KEY": text}), EnvironmentProblem) is accepted(
        lambda: read_settings(own), SettingsError
    )


def test_diff_sends_the_same_and_changes_nothing(cluster: Cluster) -> None:
    no_keys = {name: value for name, value in SEED.items() if name not in ("API_KEY", "COSMO_KEY")}
    assert cluster.deploy("diff", no_keys).returncode == 0
    (call,) = cluster.calls("diff")
    assert ("Deployment", "frontend") in call.objects
    assert ("Secret", "tosia") not in call.objects
    assert cluster.calls("apply") == []
    sent = call.stdin
    assert cluster.deploy("apply", no_keys).returncode == 0
    assert cluster.calls("apply")[0].stdin == sent


def test_make_says_differs_in_its_last_line_since_its_exit_code_does_not(cluster: Cluster) -> None:
    """make turns every code but 0 into 2."""
    stub = cluster.folder / "bin" / "kubectl"
    for code, last in ((0, "deploy: no difference."), (1, "deploy: differs.")):
        rule = f'[[ "$*" == *" diff "* ]] && exit {code}\n'
        stub.write_text(STUB.replace("while IFS", rule + "while IFS"))
        run = cluster.make("diff", SEED)
        assert run.returncode == (2 if code else 0)
        assert last in run.stderr


def test_doctor_names_what_is_missing_and_how_to_get_it(cluster: Cluster) -> None:
    run = cluster.deploy("doctor", {})
    assert run.returncode != 0
    assert "az aks get-credentials" in run.stdout
    cluster.defaults = {}
    cluster.answers = {"version": json.dumps({"serverVersion": {"major": "1", "minor": "36"}}), "apiservice": "found"}
    run = cluster.deploy("doctor", {})
    assert run.returncode != 0
    for what in (
        "KEDA",
        "Prometheus operator",
        "Gateway API",
        "class of gateways",
        "cert-manager",
        "workload identity",
        "node auto-provisioning",
    ):
        assert f"missing  {what}" in run.stdout
    assert "ok       metrics server" in run.stdout
    cluster.answers["get"] = "found"
    run = cluster.deploy("doctor", {"COMPONENTS": "fqdn-egress"})
    assert run.returncode == 0, run.stdout
    assert "Cilium" in run.stdout


def test_jobs_are_run_anew_and_their_failure_is_ours(cluster: Cluster) -> None:
    cluster.answers = {"status.conditions": "SuccessCriteriaMet Complete"}
    assert cluster.deploy("perf", {}).returncode == 0
    assert ("Job", "perf-analyzer") in cluster.applied()
    assert cluster.calls()[0].arguments[2:4] == ["delete", "job"]
    assert cluster.calls("logs")
    cluster.answers = {"status.conditions": "FailureTarget Failed"}
    assert cluster.deploy("tensorrt-plan", SEED).returncode != 0
    applied = cluster.applied()
    (name,) = [name for kind, name in applied if kind == "ConfigMap"]
    assert applied["ConfigMap", name]["data"] == {
        "source": release_path(CHECKOUT / "model_repository"),
        "container": "calls",
        "endpoint": "https://tosiastore.blob.core.windows.net",
    }
    images = {
        initContainer["image"]
        for initContainer in applied["Job", "tensorrt-plan"]["spec"]["template"]["spec"]["initContainers"]
    }
    assert "tosia.azurecr.io/frontend:42" in images
    assert cluster.calls("logs")


def test_whoever_deploys_needs_no_environment_of_ours() -> None:
    """Standard library only, which a Python without site packages shows."""
    command = [
        "python3",
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import k8s.tools.deploy.__main__",
    ]
    subprocess.run(command, check=True, capture_output=True)
