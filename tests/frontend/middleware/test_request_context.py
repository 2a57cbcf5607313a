"""Around every request: its id, one line, one count, and nothing in them that a caller has said."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi import Request
from fastapi.responses import PlainTextResponse

from frontend.domain.records import id_sha256
from tests.frontend.asgi import Endpoint, application, ask

ROUTE = "/v1/calls/{call_id}"


async def fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


async def failing(request: Request) -> PlainTextResponse:
    raise ZeroDivisionError("said-by-a-caller")


async def refused(request: Request) -> PlainTextResponse:
    request.scope["state"]["refused"] = "/v1/diagnoses"
    return PlainTextResponse("no", 503)


def logged(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if record.name == "tosia.requests"]


def count(metrics: Any, method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return metrics.registry.get_sample_value("tosia_http_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_Z", True), ("a" * 64, True), ("a" * 65, False), ("", False), ("a b", False), ("<b>", False)],
)
def test_a_harmless_id_of_the_caller_s_is_kept_and_any_other_replaced(given: str, kept: bool) -> None:
    app, _ = application(fine, ROUTE, "GET")
    answer = ask(app, "GET", "/v1/calls/a", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert kept or len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_line_names_the_route_and_not_the_call(caplog: pytest.LogCaptureFixture) -> None:
    app, metrics = application(fine, ROUTE, "GET")
    with caplog.at_level(logging.INFO, "tosia.requests"):
        ask(app, "GET", "/v1/calls/somebody?after=somebody-else", headers={"X-Request-ID": "somebody"})
    (line,) = logged(caplog)
    assert line.getMessage() == f"GET {ROUTE} 200"
    assert line.fields.keys() == {"method", "route", "status", "duration_s", "key"}
    assert "somebody" not in json.dumps(line.fields) + line.getMessage()
    assert count(metrics, "GET", ROUTE, "200") == 1.0


def test_the_log_has_the_digest_of_a_caller_s_own_id() -> None:
    from frontend.observability.json_logs import REQUEST_ID

    seen: list[str | None] = []

    async def looking(request: Request) -> PlainTextResponse:
        seen.append(REQUEST_ID.get())
        return PlainTextResponse("fine")

    app, _ = application(looking, ROUTE, "GET")
    ask(app, "GET", "/v1/calls/a", headers={"X-Request-ID": "somebody"})
    given = ask(app, "GET", "/v1/calls/a").headers["x-request-id"]
    assert seen == [f"sha256:{id_sha256('somebody')[:16]}", given]


@pytest.mark.parametrize(
    ("method", "path", "label", "route", "status"),
    [
        ("PROPFIND", "/v1/calls/a", "other", "unmatched", "405"),
        ("LINK", "/nothing", "other", "unmatched", "404"),
        ("GET", "/nothing", "GET", "unmatched", "404"),
    ],
)
def test_what_callers_invent_is_counted_as_one(method: str, path: str, label: str, route: str, status: str) -> None:
    app, metrics = application(fine, ROUTE, "GET")
    answer = ask(app, method, path)
    assert answer.status_code == int(status)
    counted = {
        tuple(sample.labels.values())
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "tosia_http_requests_total"
    }
    assert {item[0] for item in counted} == {label}
    assert not any(path in item for item in counted)


def test_a_request_that_fails_is_a_500_in_line_and_count(caplog: pytest.LogCaptureFixture) -> None:
    app, metrics = application(failing, ROUTE, "GET")
    with caplog.at_level(logging.INFO, "tosia.requests"):
        answer = ask(app, "GET", "/v1/calls/a")
    assert answer.status_code == 500
    (line,) = logged(caplog)
    assert line.fields["status"] == 500
    assert count(metrics, "GET", ROUTE, "500") == 1.0
    assert "said-by-a-caller" not in line.getMessage() + answer.text


@pytest.mark.parametrize(("endpoint", "lines"), [(refused, 0), (fine, 1)])
def test_a_refusal_for_load_is_counted_and_writes_no_line(
    endpoint: Endpoint, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    app, metrics = application(endpoint)
    with caplog.at_level(logging.INFO, "tosia.requests"):
        status = ask(app).status_code
    assert len(logged(caplog)) == lines
    assert count(metrics, "POST", "/v1/diagnoses", str(status)) == 1.0
