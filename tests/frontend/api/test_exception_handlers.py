"""Every error becomes the problem that the table says, in the caller's language, with nothing of the caller's in it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Query, Request
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect

from frontend.answers.http_errors import HTTP_ERRORS
from frontend.answers.problem_document import LOCATED
from frontend.domain.errors import Overloaded, RangeNotSatisfiable, ServiceError
from runtime.messages.catalogue import say
from runtime.messages.languages import Language
from tests.frontend.asgi import application, ask
from tests.integration.problems import PROBLEM_FIELDS, assert_problem


def raising(error: Exception, call_id: str | None = None) -> FastAPI:
    async def endpoint(request: Request) -> PlainTextResponse:
        if call_id is not None:
            request.state.call_id = call_id
        raise error

    return application(endpoint)[0]


def made(kind: type[Exception]) -> Exception:
    if kind is RangeNotSatisfiable:
        return RangeNotSatisfiable(7)
    return kind("Send it again.")


@pytest.mark.parametrize("kind", HTTP_ERRORS, ids=lambda kind: kind.__name__)
def test_each_error_of_the_table(kind: type[Exception]) -> None:
    expected = HTTP_ERRORS[kind]
    answer = ask(raising(made(kind), "a-call"))
    assert_problem(answer, expected.status, expected.code)
    assert answer.json()["title"] == say("title", expected.code, Language.ENGLISH)
    assert (answer.headers["content-language"], answer.headers["vary"]) == ("en", "Accept-Language")
    assert ("retry-after" in answer.headers) is issubclass(kind, ServiceError)
    assert (answer.headers.get("location") == "/v1/calls/a-call") is (expected in LOCATED)
    assert (answer.headers.get("content-range") == "bytes */7") is (kind is RangeNotSatisfiable)
    spanish = ask(raising(made(kind)), headers={"Accept-Language": "es"})
    assert spanish.json()["title"] == say("title", expected.code, Language.SPANISH)
    assert "location" not in spanish.headers  # without a call there is none to name


def test_when_to_come_again_is_the_error_s_own() -> None:
    assert ask(raising(Overloaded("Try again.", retry_after_s=9))).headers["retry-after"] == "9"


def test_a_defect_says_nothing_of_itself() -> None:
    answer = ask(raising(KeyError("a secret")))
    # Starlette answers a defect outside of every middleware, so its id is in the body alone.
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json().keys() == PROBLEM_FIELDS
    assert (answer.json()["code"], len(answer.json()["request_id"])) == ("internal_error", 32)
    assert "secret" not in answer.text
    assert "KeyError" not in answer.text


def test_a_caller_that_hung_up_is_no_defect() -> None:
    answer = ask(raising(ClientDisconnect()))
    assert (answer.status_code, answer.content) == (499, b"")


def test_an_unknown_route_and_an_unknown_method() -> None:
    app = raising(ZeroDivisionError())

    async def other(request: Request) -> PlainTextResponse:
        raise AssertionError("not asked")

    app.add_api_route("/v1/diagnoses", other, methods=["DELETE"], response_model=None)
    assert_problem(ask(app, path="/v1/nothing"), 404, "not_found")
    assert_problem(answer := ask(app, "PATCH"), 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, POST"


def test_a_parameter_that_is_not_valid_is_named_and_its_value_is_not() -> None:
    async def endpoint(limit: int = Query(ge=1)) -> PlainTextResponse:
        raise AssertionError("not asked")

    app, _ = application(endpoint, "/v1/calls", "GET")  # type: ignore[arg-type]
    answer = ask(app, "GET", "/v1/calls?limit=a-secret")
    assert_problem(answer, 422, "invalid_request")
    assert answer.json().keys() == PROBLEM_FIELDS
    assert "limit" in answer.json()["detail"]
    assert "a-secret" not in answer.text
