"""The intake in the cluster and in Azure: what is rendered, and what the script asks Azure for.

Azure's command line is a stand-in that records what it is given: nothing of Azure can run here.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from frontend.configuration.settings import read_settings
from k8s.tools.deploy.components import parts
from k8s.tools.deploy.environment import COMPONENTS
from k8s.tools.validate import intake
from k8s.tools.validate.combinations import render_combination
from k8s.tools.validate.objects import Bundle, strings
from k8s.tools.validate.tuned import variables
from laptop.service import CHECKOUT
from tests.docs.blocks import blocks
from tests.k8s.rendering import FOLDERS, MANIFESTS, bundle, kubectl, one

NAMES = {
    "GROUP": "tosia",
    "CLUSTER": "tosia",
    "ACCOUNT": "tosiastore",
    "COSMOS": "tosia-records",
    "CONTAINER": "calls",
}
AZ = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
asked = sys.argv[1:]
if "--query" in asked:
    query = asked[asked.index("--query") + 1]
    name = asked[asked.index("--name") + 1]
    print("/accounts/" + name if query == "id" else query + " of " + name)
else:
    print("{}")
"""


def asked_of_azure(folder: Path, script: str) -> list[list[str]]:
    """What a script asks Azure's command line for, without what it only looks up."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "az").write_text(AZ)
    (folder / "bin" / "az").chmod(0o755)
    record = folder / "record"
    record.unlink(missing_ok=True)
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "RECORD": str(record), **NAMES}
    subprocess.run(["bash", "-c", script], cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    return [call for call in calls if "show" not in call]


def value(call: list[str], option: str) -> str:
    return call[call.index(option) + 1]


def test_the_roles_are_the_least_that_the_intake_and_its_scaler_need(tmp_path: Path) -> None:
    calls = asked_of_azure(tmp_path, (MANIFESTS / intake.ROLES).read_text())
    given = {
        (
            value(call, "--assignee-object-id").removeprefix("principalId of "),
            value(call, "--role"),
            value(call, "--scope"),
        )
        for call in calls
        if call[:3] == ["role", "assignment", "create"]
    }
    queue = "/accounts/tosiastore/queueServices/default/queues/calls-landed"
    assert given == {
        ("intake", "Storage Queue Data Contributor", queue),
        ("intake", "Storage Queue Data Contributor", f"{queue}-poison"),
        ("intake", "Storage Blob Data Contributor", "/accounts/tosiastore/blobServices/default/containers/calls"),
        ("intake-scaler", "Storage Queue Data Reader", queue),
    }
    (records,) = [call for call in calls if call[:2] == ["cosmosdb", "sql"]]
    assert value(records, "--principal-id") == "principalId of intake"


def test_an_identitys_tokens_are_those_of_the_pods_that_are_rendered(tmp_path: Path) -> None:
    calls = asked_of_azure(tmp_path, (MANIFESTS / intake.ROLES).read_text())
    subjects = {
        value(call, "--identity-name"): value(call, "--subject") for call in calls if "federated-credential" in call
    }
    account = one("overlays/intake", "ServiceAccount", "intake")["metadata"]
    assert subjects == {
        "intake": f"system:serviceaccount:{account['namespace']}:{account['name']}",
        "intake-scaler": "system:serviceaccount:kube-system:keda-operator",
    }
    settings = one("overlays/intake", "ConfigMap", "intake")["data"]
    queues = {value(call, "--name") for call in calls if call[:3] == ["storage", "queue", "create"]}
    assert queues == {settings["INTAKE_QUEUE"], f"{settings['INTAKE_QUEUE']}-poison"}


def test_the_page_of_the_intake_asks_azure_for_the_same_queues_and_subscription(tmp_path: Path) -> None:
    page = [block for block in blocks(CHECKOUT / "docs" / "intake.md", "sh") if "az storage queue create" in block]
    of_page = asked_of_azure(tmp_path / "page", "\n".join(page))
    of_script = asked_of_azure(tmp_path / "script", (MANIFESTS / intake.ROLES).read_text())
    assert len(of_page) == 3
    for call in of_page:
        assert call in of_script


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('grant intake "Storage Queue Data Contributor" "$QUEUES/$QUEUE-poison"\n', "", "intake lacks the role"),
        ('"$QUEUES/$QUEUE-poison"\n#', '"$QUEUES"\n#', "which it does not need"),
        ("Storage Queue Data Reader", "Storage Queue Data Contributor", "intake-scaler gets the role"),
        ("Storage Blob Data Contributor", "Storage Blob Data Owner", "Storage Blob Data Owner"),
        ("/containers/$CONTAINER", "", "lacks the role Storage Blob Data Contributor"),
        ("identity intake tosia", "az role assignment create --role Owner\nidentity intake tosia", "in another way"),
    ],
)
def test_a_role_that_is_missing_or_too_much_is_found(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (MANIFESTS / intake.ROLES).read_text()
    assert list(intake.roles(MANIFESTS)) == []
    (tmp_path / "azure").mkdir()
    assert old in text
    head, _, tail = text.rpartition(old)
    (tmp_path / intake.ROLES).write_text(head + new + tail)
    assert any(said in line for line in intake.roles(tmp_path)), list(intake.roles(tmp_path))


def test_where_it_is_off_there_is_nothing_of_it() -> None:
    for folder in (name for name in FOLDERS if name not in ("overlays/intake", "overlays/callbacks")):
        for item in bundle(folder).objects:
            if item["kind"] in ("PrometheusRule",) or item["metadata"]["name"] == "tosia-dashboard":
                continue  # rules of series that are not there say nothing
            found = [text for text in strings(item) if re.search("intake|INTAKE|CALLBACKS", text)]
            assert found == [], (folder, item["kind"], item["metadata"]["name"])


def test_a_folder_without_azure_with_it_is_found() -> None:
    cpu = bundle("overlays/cpu")
    takes = [item for item in bundle("overlays/intake").objects if item["metadata"]["name"].startswith("intake")]
    mixed = Bundle("overlays/cpu", copy.deepcopy([*cpu.objects, *takes]))
    settings = next(item for item in mixed.of("ConfigMap") if item["metadata"]["name"].startswith("frontend-"))
    deployment = mixed.named("Deployment", "intake")
    assert deployment is not None
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = settings[
        "metadata"
    ]["name"]
    lines = list(intake.intake([mixed]))
    assert any("overlays/cpu has no intake" in line for line in lines), lines


def test_its_pods_start_with_the_settings_of_the_front_end_and_have_no_key() -> None:
    rendered = bundle("overlays/intake")
    (pod,) = [pod for pod in rendered.pods() if pod.owner["metadata"]["name"] == "intake"]
    (container,) = pod.containers
    found = {
        name: text.replace("ACCOUNT", "a").replace("CONTAINER", "calls")
        for name, text in variables(rendered, container).items()
    }
    settings = read_settings({**found, "TOSIA_CONFIG": ""}, serves=False)
    assert settings.intake is not None
    assert (settings.intake.queue, settings.intake.connection) == ("calls-landed", None)
    assert settings.azure is not None
    assert settings.azure.needs_identity
    assert settings.azure.cosmos_key is None
    assert settings.triton_url == "dns:///triton:8001"
    front = one("overlays/intake", "Deployment", "frontend")["spec"]["template"]["spec"]
    for field in ("securityContext", "volumes", "nodeSelector", "tolerations"):
        assert pod.spec[field] == front[field]
    assert container["securityContext"] == front["containers"][0]["securityContext"]


def test_fqdn_egress_closes_what_others_open_in_whatever_order_they_are_named() -> None:
    assert parts(MANIFESTS, ["fqdn-egress", "traces", "callbacks", "intake"]) == [
        "intake",
        "callbacks",
        "traces",
        "fqdn-egress",
        "intake/traces",
        "intake/fqdn-egress",
        "callbacks/fqdn-egress",
    ]
    assert parts(MANIFESTS, ["nginx"]) == ["nginx"]
    free = tuple(name for name in COMPONENTS if name not in ("gateway", "nginx"))
    every = render_combination(kubectl(), MANIFESTS, tuple(reversed(free)))
    assert list(intake.intake([every])) == []
    for name in ("frontend", "intake"):
        policy = every.named("NetworkPolicy", name)
        assert policy is not None
        assert [rule["ports"] for rule in policy["spec"]["egress"]] == [[{"protocol": "TCP", "port": 8001}]]
