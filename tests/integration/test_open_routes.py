"""What is there without a call: the model, probes, metrics, docs, request ids."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from laptop.service import CHECKOUT, Service
from tests.integration.problems import assert_problem, post


@pytest.fixture
def anybody(service: Service) -> httpx.Client:
    with httpx.Client(base_url=service.url, timeout=5.0, trust_env=False) as client:
        yield client


def test_the_model_is_the_release_on_disk(api: httpx.Client, benchmark: bytes) -> None:
    model = api.get("/v1/model").json()
    manifest = json.loads((CHECKOUT / "model_repository" / "manifest.json").read_text())
    assert manifest["files"][f"cough_cnn/{model['version']}/model.onnx"] == model["sha256"]
    assert (model["name"], model["labels"]) == ("cough_cnn", ["negative", "positive"])
    assert 0.0 < model["thresholds"]["low"] <= model["thresholds"]["high"] < 1.0
    assert post(api, benchmark).json()["diagnosis"]["model"] == {
        name: model[name] for name in ("name", "version", "sha256", "validated")
    }


def test_probes_need_no_key(anybody: httpx.Client) -> None:
    assert anybody.get("/healthz").json() == {"status": "alive"}
    assert anybody.get("/readyz").json() == {
        "status": "ready",
        "inference": "ok",
        "stores": "ok",
        "causes": [],
    }


def test_metrics_have_a_port_of_their_own(anybody: httpx.Client, service: Service) -> None:
    text = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    assert re.search(r'tosia_http_requests_total\{method="GET",route="/readyz",status="200"\} \d', text)
    assert 'tosia_degraded{dependency="inference"} 0.0' in text
    assert_problem(anybody.get("/metrics"), 404, "not_found")


def test_metrics_know_routes_not_calls(api: httpx.Client, service: Service) -> None:
    api.get("/v1/calls/somebody")
    text = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics", trust_env=False).text
    assert 'route="/v1/calls/{call_id}"' in text
    assert "somebody" not in text
    assert "somebody" not in (service.var / "frontend.log").read_text()


def test_docs_reach_for_no_other_host(anybody: httpx.Client) -> None:
    page = anybody.get("/docs")
    assert page.status_code == 200
    assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert len(assets) >= 2
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), asset
        assert anybody.get(asset).status_code == 200, asset
    assert not re.findall(r"https?://(?!127\.0\.0\.1)[^\"'\s]+", page.text)


def test_openapi_describes_every_route(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()
    assert document == json.loads((CHECKOUT / "docs" / "openapi.json").read_text())
    assert document["openapi"].startswith("3.")
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("POST", "/v1/diagnoses"), ("POST", "/v1/calls/{call_id}/diagnosis"), ("GET", "/v1/calls/{call_id}"),
        ("GET", "/v1/calls"), ("GET", "/v1/calls/{call_id}/audio"), ("GET", "/v1/calls/{call_id}/figure.png"),
        ("GET", "/v1/calls/{call_id}/audio.wav"),
        ("GET", "/v1/calls/{call_id}/segments/{n}.png"), ("DELETE", "/v1/calls/{call_id}"), ("GET", "/v1/model"),
        ("GET", "/healthz"), ("GET", "/readyz"),
    }  # fmt: skip
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == path.startswith("/v1/"), path
    # Every reference leads somewhere.
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        node = document
        for name in reference.split("/"):
            node = node[name]


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_Z", True), ("", False), ("a b", False), ("a" * 65, False), ("<b>", False)]
)
def test_request_ids(anybody: httpx.Client, given: str, kept: bool) -> None:
    for path in ("/healthz", "/v1/calls", "/nothing"):
        found = anybody.get(path, headers={"X-Request-ID": given}).headers["x-request-id"]
        assert (found == given) == kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", found)
