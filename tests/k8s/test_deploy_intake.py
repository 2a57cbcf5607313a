"""The intake and callbacks through `k8s.tools.deploy`, against the stand-in for an API server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.k8s.test_deploy import WORKLOAD
from tests.k8s.test_deploy_states import DEPLOYMENT, ONCE, Deployed, deployed, rendered

__all__ = ["deployed", "rendered"]  # fixtures

OWN, COUNTS = "22222222-3333-4444-5555-666666666666", "33333333-4444-5555-6666-777777777777"
IDENTITIES = {"INTAKE_CLIENT_ID": OWN, "INTAKE_SCALER_CLIENT_ID": COUNTS}
BUILD = {**DEPLOYMENT, "BUILD_NUMBER": "50"}
TAKES = {**BUILD, "COMPONENTS": "intake"}
RECEIVER = json.dumps({"pbx": {"url": "https://receiver.example/x", "secrets": ["whsec_not-a-secret-of-anybody"]}})
SENDS = {**BUILD, **IDENTITIES, "COMPONENTS": "callbacks intake"}
HERE, SECRET = "Deployment/tosia/intake", "Secret/tosia/tosia"


def spec(deployed: Deployed, key: str) -> dict[str, Any]:
    found: dict[str, Any] = deployed.server.objects[key]["spec"]
    return found


def settings(deployed: Deployed) -> dict[str, str]:
    """The ConfigMap that the intake's pods read last."""
    (container,) = spec(deployed, HERE)["template"]["spec"]["containers"]
    name = container["envFrom"][-1]["configMapRef"]["name"]
    found: dict[str, str] = deployed.server.objects[f"ConfigMap/tosia/{name}"]["data"]
    return found


def secret(deployed: Deployed) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in deployed.server.objects[SECRET]["data"].items()}


def test_it_is_deployed_with_its_build_queue_account_and_identities(deployed: Deployed) -> None:
    assert deployed.run("all", {**TAKES, **IDENTITIES, "INTAKE_QUEUE": "landed"}) == 0, deployed.err
    assert deployed.image("intake") == "50"
    assert settings(deployed) == {
        "INTAKE_QUEUE": "landed",
        "QUEUE_ENDPOINT": "https://tosiastore.queue.core.windows.net",
        "BLOB_ENDPOINT": "https://tosiastore.blob.core.windows.net",
        "TOSIA_IDENTITY": "workload",
    }
    (trigger,) = spec(deployed, "ScaledObject/tosia/intake")["triggers"]
    assert (trigger["metadata"]["queueName"], trigger["metadata"]["accountName"]) == ("landed", "tosiastore")
    assert spec(deployed, "TriggerAuthentication/tosia/intake")["podIdentity"]["identityId"] == COUNTS
    account = deployed.server.objects["ServiceAccount/tosia/intake"]["metadata"]["annotations"]
    assert account["azure.workload.identity/client-id"] == OWN
    assert "intake is rolled out" in deployed.err
    assert deployed.run("status") == 0, deployed.err
    assert "intake running: tosia.azurecr.io/frontend:50" in deployed.out


def test_another_queue_rolls_it_also_as_an_overlay(deployed: Deployed) -> None:
    names = set()
    for environ in (
        {"COMPONENTS": "intake"},
        {"COMPONENTS": "intake", "INTAKE_QUEUE": "landed"},
        {"OVERLAY": "intake"},
    ):
        assert deployed.run("all", {**BUILD, **IDENTITIES, **environ}) == 0, deployed.err
        assert settings(deployed)["INTAKE_QUEUE"] == environ.get("INTAKE_QUEUE", "calls-landed")
        (container,) = spec(deployed, HERE)["template"]["spec"]["containers"]
        names.add(container["envFrom"][-1]["configMapRef"]["name"])
    assert len(names) == 2, "a digest of what it holds"


def test_with_an_identity_the_front_ends_account_is_the_intakes(deployed: Deployed) -> None:
    environ = {**WORKLOAD, **ONCE, **IDENTITIES, "ALLOW_UNVALIDATED": "1", "COMPONENTS": "intake"}
    assert deployed.run("all", environ) == 0, deployed.err
    assert settings(deployed)["BLOB_ENDPOINT"] == WORKLOAD["BLOB_ENDPOINT"]
    assert settings(deployed)["QUEUE_ENDPOINT"] == "https://tosiastore.queue.core.windows.net"


def test_its_identities_are_asked_for_once(deployed: Deployed) -> None:
    assert deployed.run("all", TAKES) == 2
    for name in IDENTITIES:
        assert name in deployed.err
    assert deployed.server.objects == {}
    assert deployed.run("all", {**TAKES, **IDENTITIES}) == 0, deployed.err
    assert deployed.run("all", {**TAKES, "BUILD_NUMBER": "51"}) == 0, "the cluster remembers them"
    assert deployed.image("intake") == "51"
    assert spec(deployed, "TriggerAuthentication/tosia/intake")["podIdentity"]["identityId"] == COUNTS


def test_without_the_component_it_stays_and_is_said_to(deployed: Deployed) -> None:
    assert deployed.run("all", {**TAKES, **IDENTITIES}) == 0, deployed.err
    assert deployed.run("all", {**BUILD, "BUILD_NUMBER": "51"}) == 0, deployed.err
    assert "intake runs and stays as it is, since COMPONENTS does not name it" in deployed.err
    assert (deployed.image(), deployed.image("intake")) == ("51", "50")
    assert deployed.run("rollback") == 0, deployed.err
    assert "intake stays as it is: `kubectl -n tosia rollout undo deployment/intake`" in deployed.err


def test_an_intake_that_does_not_start_fails_the_wait(deployed: Deployed) -> None:
    assert deployed.run("all", {**TAKES, **IDENTITIES}) == 0, deployed.err
    deployed.server.unschedulable.append("intake")
    assert deployed.run("all", {**TAKES, "BUILD_NUMBER": "51"}) == 1
    assert "intake was not rolled out" in deployed.err
    assert "rollout undo deployment/intake" in deployed.err


def test_receivers_go_into_the_secret_and_stay_there_until_others_are_given(deployed: Deployed) -> None:
    assert deployed.run("all", {**SENDS, "CALLBACKS": RECEIVER, "INTAKE_KEY": "pbx"}) == 0, deployed.err
    assert (secret(deployed)["CALLBACKS"], secret(deployed)["INTAKE_KEY"]) == (RECEIVER, "pbx")
    for name in ("frontend", "intake"):
        (container,) = spec(deployed, f"Deployment/tosia/{name}")["template"]["spec"]["containers"]
        taken = {item["name"]: item["valueFrom"]["secretKeyRef"] for item in container["env"] if "valueFrom" in item}
        for key in ("CALLBACKS", "INTAKE_KEY"):
            assert taken[key] == {"name": "tosia", "key": key, "optional": True}
    text = json.dumps([item for key, item in deployed.server.objects.items() if key != SECRET])
    assert "receiver.example" not in text + deployed.out + deployed.err
    assert deployed.run("all", SENDS) == 0, deployed.err
    assert secret(deployed)["CALLBACKS"] == RECEIVER, "a shell that forgets them ends nothing"
    versions = [
        spec(deployed, f"Deployment/tosia/{name}")["template"]["metadata"]["annotations"]["tosia/secrets-version"]
        for name in ("frontend", "intake")
    ]
    assert deployed.run("all", {**SENDS, "CALLBACKS": "{}"}) == 0, deployed.err
    assert secret(deployed)["CALLBACKS"] == "{}"
    for name, version in zip(("frontend", "intake"), versions, strict=True):
        annotations = spec(deployed, f"Deployment/tosia/{name}")["template"]["metadata"]["annotations"]
        assert annotations["tosia/secrets-version"] != version, "new receivers roll the pods"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"INTAKE_QUEUE": "Calls"}, "INTAKE_QUEUE is not a queue's name"),
        ({"INTAKE_QUEUE": "a" * 57}, "INTAKE_QUEUE is not a queue's name"),
        ({"INTAKE_CLIENT_ID": "me"}, "INTAKE_CLIENT_ID is not a client id"),
        ({"INTAKE_SCALER_CLIENT_ID": "me"}, "INTAKE_SCALER_CLIENT_ID is not a client id"),
        ({"COMPONENTS": "intake", "CALLBACKS": RECEIVER}, "CALLBACKS given, but COMPONENTS does not name callbacks"),
        ({"CALLBACKS": "https://receiver.example"}, "CALLBACKS is not JSON"),
        ({"CALLBACKS": "[]"}, "CALLBACKS is not JSON"),
        ({"OVERLAY": "cpu"}, "COMPONENTS go on top of OVERLAY=azure only"),
    ],
)
def test_what_is_wrong_is_said_before_anything_changes(deployed: Deployed, environ: dict[str, str], said: str) -> None:
    assert deployed.run("all", {**SENDS, **environ}) == 2
    assert said in deployed.err
    assert "receiver.example" not in deployed.err
    assert deployed.server.objects == {}


def test_delete_lets_keda_let_go_of_it_before_the_namespace(deployed: Deployed) -> None:
    assert deployed.run("all", {**TAKES, **IDENTITIES}) == 0, deployed.err
    assert deployed.run("delete", {"SURE": "tosia"}) == 0, deployed.err
    assert deployed.server.objects == {}
    order = [call[call.index("delete") + 1 :] for call in deployed.words("delete")]
    assert order[0][:3] == ["scaledobject", "triton", "intake"]
    assert order[1][:2] == ["triggerauthentication", "intake"]
    assert order[2][0] == "namespace"
