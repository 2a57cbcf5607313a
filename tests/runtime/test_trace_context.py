"""W3C trace context, by the recommendation's own rules (https://www.w3.org/TR/trace-context/, sections 3.2 and 3.3)."""

from __future__ import annotations

import re

import pytest

from runtime.trace_context import CURRENT, TraceContext, begin, outgoing_headers

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def headers_in(context: TraceContext) -> dict[str, str]:
    """Those of a call that is made in it."""
    token = CURRENT.set(context)
    try:
        return outgoing_headers() or {}
    finally:
        CURRENT.reset(token)


def test_a_trace_goes_on_with_a_step_of_ours() -> None:
    context = begin(f"00-{TRACE}-{PARENT}-01", "vendor=1,other=2")
    assert (context.trace_id, context.flags, context.state) == (TRACE, "01", "vendor=1,other=2")
    assert context.span_id != PARENT
    headers = headers_in(context)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", headers["traceparent"])
    assert headers["tracestate"] == "vendor=1,other=2"


@pytest.mark.parametrize(
    "traceparent",
    [None, "", "nonsense", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
     f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more",
     f"00-{TRACE}-{PARENT}-01\n"],
)  # fmt: skip
def test_what_can_not_be_read_begins_a_trace_of_its_own(traceparent: str | None) -> None:
    context = begin(traceparent, "vendor=1")
    assert re.fullmatch(r"[0-9a-f]{32}", context.trace_id)
    assert context.trace_id != TRACE
    assert headers_in(context).keys() == {"traceparent"}  # a state belongs to a trace


@pytest.mark.parametrize(("given", "passed_on"), [("00", "00"), ("01", "01"), ("03", "01"), ("fe", "00")])
def test_only_flags_that_are_known_are_passed_on(given: str, passed_on: str) -> None:
    assert begin(f"00-{TRACE}-{PARENT}-{given}", None).flags == passed_on


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert begin(f"01-{TRACE}-{PARENT}-01-more", None).trace_id == TRACE


@pytest.mark.parametrize("state", ["a" * 513, "a\nb", "é"])
def test_a_state_that_no_header_should_carry_is_dropped(state: str) -> None:
    assert begin(f"00-{TRACE}-{PARENT}-01", state).state == ""


def test_each_call_is_a_step_and_without_a_request_there_is_none() -> None:
    assert outgoing_headers() is None
    context = begin(f"00-{TRACE}-{PARENT}-01", None)
    first, second = headers_in(context)["traceparent"], headers_in(context)["traceparent"]
    assert first.split("-")[1] == second.split("-")[1] == TRACE
    assert first != second
