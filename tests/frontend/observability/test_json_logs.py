"""A log line is one JSON object, with the request's ids inside a request and without an exception's words."""

from __future__ import annotations

import json
import logging
import sys

from frontend.observability.json_logs import REQUEST_ID, JsonLines
from frontend.observability.tracing import OFF

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def line(**attributes: object) -> dict[str, object]:
    record = logging.LogRecord("tosia.x", logging.WARNING, "x.py", 1, 'a "%s"\nb', ("c",), None)
    record.__dict__.update(attributes)
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_line() -> None:
    found = line(fields={"route": "/v1/calls/{call_id}", "status": 200})
    assert (found["level"], found["logger"], found["message"]) == ("WARNING", "tosia.x", 'a "c"\nb')
    assert (found["route"], found["status"]) == ("/v1/calls/{call_id}", 200)
    assert "request_id" not in found


def test_inside_a_request_its_ids_are_in_every_line() -> None:
    token = REQUEST_ID.set("sha256:1")
    try:
        with OFF.request("POST", [f"00-{TRACE}-00f067aa0ba902b7-01"], traced=True):
            found = line()
    finally:
        REQUEST_ID.reset(token)
    assert (found["request_id"], found["trace_id"]) == ("sha256:1", TRACE)


def test_an_exception_has_its_place_and_its_type_and_not_its_words() -> None:
    try:
        try:
            raise KeyError("a secret")
        except KeyError as error:
            raise ValueError("another secret") from error
    except ValueError:
        found = line(exc_info=sys.exc_info())
    trace = str(found["trace"])
    assert "builtins.ValueError" in trace
    assert "builtins.KeyError" in trace
    assert "test_json_logs.py" in trace
    assert "secret" not in trace.replace('raise KeyError("a secret")', "").replace(
        'raise ValueError("another secret")', ""
    )
