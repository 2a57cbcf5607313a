"""Which traces begin, what is taken over of a caller, and what a trace that is not sampled leaves behind: nothing."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace

from frontend.domain.errors import Overloaded
from frontend.domain.trace_settings import TraceSettings
from frontend.observability import tracing
from frontend.observability.metrics import Metrics
from frontend.observability.span_export import open_tracing
from frontend.observability.tracing import OFF, Tracing, current_trace_id, exemplar, is_sampled, span, traceparent
from laptop.service import CHECKOUT
from runtime.triton_classifier import _trace_headers
from tests.services.otlp import Collector, collector

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def opened(
    sampler: str = "always_on", ratio: float = 1.0, metrics: Metrics | None = None, **settings: int
) -> Iterator[tuple[Tracing, Collector]]:
    with collector() as traces:
        found = open_tracing(
            TraceSettings(
                f"{traces.url}/v1/traces", sampler=sampler, ratio=ratio, timeout_s=1.0, resource={}, **settings
            ),
            metrics or Metrics(),
        )
        yield found, traces
        traces.answering.set()
        asyncio.run(found.close())


def sampled_of(found: Tracing, n: int, header: str | None = None) -> int:
    def one() -> bool:
        with found.request("POST", [header] if header else [], traced=True):
            return is_sampled()

    return sum(one() for _ in range(n))


@pytest.mark.parametrize(
    ("sampler", "ratio", "flag", "expected"),
    [
        ("always_on", 0.0, "00", 1000),
        ("always_off", 1.0, "01", 0),
        ("traceidratio", 0.1, "01", 100),
        ("traceidratio", 0.1, "00", 100),
        ("parentbased_always_on", 1.0, "00", 0),
        ("parentbased_always_off", 1.0, "01", 1000),
        ("parentbased_traceidratio", 0.1, "01", 1000),
    ],
)
def test_the_operators_sampler_decides(sampler: str, ratio: float, flag: str, expected: int) -> None:
    """A caller's id that ends in zeros is below every ratio; ours is drawn. Within 5 standard deviations of 1,000."""
    with opened(sampler, ratio) as (found, _):
        n = sampled_of(found, 1000, f"00-{TRACE[:16]}{'0' * 16}-{PARENT}-{flag}")
        assert n == expected if expected in (0, 1000) else 50 <= n <= 150


def test_a_ratio_holds_for_traces_of_our_own() -> None:
    with opened("traceidratio", 0.1) as (found, _):
        assert 50 <= sampled_of(found, 1000) <= 150


def test_a_step_of_a_sampled_trace_is_kept_and_one_of_another_is_not() -> None:
    with opened("traceidratio", 0.5) as (found, traces):
        kept = 0
        for _ in range(50):
            with found.request("POST", [], traced=True):
                kept += is_sampled()
                with span("inner"):
                    pass
        asyncio.run(found.close())
        assert 0 < kept < 50
        assert (len(traces.named("POST")), len(traces.named("inner"))) == (kept, kept)


def test_a_callers_trace_goes_on_without_what_else_they_say() -> None:
    with opened() as (found, traces):
        with found.request("POST", [f"00-{TRACE}-{PARENT}-01"], traced=True):
            assert current_trace_id() == TRACE
            sent = _trace_headers()
            assert sent is not None
            assert re.fullmatch(rf"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-0[13]", sent["traceparent"])
            assert sent.keys() == {"traceparent"}
            assert exemplar() == {"trace_id": TRACE}
        asyncio.run(found.close())
        (root,) = traces.spans
        assert (root.trace_id, root.parent_id) == (TRACE, PARENT)
        assert "vendor" not in root.text
    assert current_trace_id() is None


@pytest.mark.parametrize(
    "traceparents",
    [[], [""], ["nonsense"], [f"00-{TRACE}-{PARENT}"], [f"ff-{TRACE}-{PARENT}-01"], [f"00-{'0' * 32}-{PARENT}-01"],
     [f"00-{TRACE}-{'0' * 16}-01"], [f"00-{TRACE.upper()}-{PARENT}-01"], [f"00-{TRACE}-{PARENT}-01-more"],
     [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"], [f"00-{TRACE}-{PARENT}-01" + "-" * 600]],
)  # fmt: skip
@pytest.mark.parametrize("on", [True, False])
def test_what_can_not_be_read_begins_a_trace_of_its_own(traceparents: list[str], on: bool) -> None:
    with opened() as (found, _), (found if on else OFF).request("POST", traceparents, traced=True):
        trace_id = current_trace_id()
        assert trace_id is not None
        assert re.fullmatch(r"[0-9a-f]{32}", trace_id)
        assert trace_id != TRACE


@pytest.mark.parametrize("traced", [True, False])
def test_off_means_an_id_for_the_log_and_nothing_else(traced: bool) -> None:
    with OFF.request("POST", [f"00-{TRACE}-{PARENT}-01"], traced=traced) as found, span("inner") as inner:
        assert not found.is_recording()
        assert not inner.is_recording()
        assert current_trace_id() == TRACE
        assert (traceparent(), exemplar(), _trace_headers(), is_sampled()) == (None, None, None, False)
        with OFF.attempt(None, dict) as attempt:
            assert not attempt.is_recording()


def test_an_attempt_of_nobodys_request_has_a_trace_of_its_own_that_links() -> None:
    with opened("traceidratio", 0.0) as (found, traces):
        with found.attempt(f"00-{TRACE}-{PARENT}-01", lambda: {"tosia.x": 1}), span("inner"):
            assert current_trace_id() not in (TRACE, None)
        with found.attempt(None, dict):  # the sampler decides, and it says no
            assert not is_sampled()
        with found.attempt("nonsense", dict):
            assert not is_sampled()
        asyncio.run(found.close())
        inner, attempt = traces.spans
        assert (attempt.name, attempt.parent_id, attempt.links) == ("attempt", "", ((TRACE, PARENT),))
        assert inner.parent_id == attempt.span_id
        assert attempt.attributes == {"tosia.x": 1}


def test_an_attempt_within_its_own_request_is_a_step_without_a_link() -> None:
    with opened() as (found, traces):
        with found.request("POST", [], traced=True), found.attempt(traceparent(), dict):
            pass
        asyncio.run(found.close())
        attempt, root = traces.spans
        assert (attempt.parent_id, attempt.links) == (root.span_id, ())


def test_an_attempt_within_another_request_links_to_the_first() -> None:
    with opened() as (found, traces):
        with found.request("POST", [], traced=True), found.attempt(f"00-{TRACE}-{PARENT}-01", dict):
            pass
        asyncio.run(found.close())
        attempt, root = traces.spans
        assert (attempt.parent_id, attempt.links) == (root.span_id, ((TRACE, PARENT),))


def test_an_error_is_a_code_or_a_type_and_never_its_words() -> None:
    with opened() as (found, traces):
        for error in (Overloaded("overloaded"), ValueError("of maria@example.com")):
            with pytest.raises(type(error)), found.request("POST", [], traced=True), span("inner"):
                raise error
        asyncio.run(found.close())
        assert [item.attributes["error.type"] for item in traces.named("inner")] == ["overloaded", "ValueError"]
        assert all(item.failed for item in traces.named("inner"))
        text = "".join(item.text for item in traces.spans)
        assert "maria" not in text
        assert "exception" not in text
        assert "events" not in text


def test_a_queue_is_bounded_and_what_it_drops_is_counted() -> None:
    """No answer while 50 spans end: some are on their way, 10 wait, and each other one is counted."""
    metrics = Metrics()
    with opened(metrics=metrics, max_queue_size=10, schedule_delay_ms=1, max_export_batch_size=5) as (found, traces):
        traces.answering.clear()
        with found.request("POST", [], traced=True):
            for _ in range(50):
                with span("inner"):
                    pass
        lost = metrics.spans_lost.labels("queue")
        assert 51 - 2 * 5 - 10 <= lost._value.get() <= 51 - 10
        traces.answering.set()
        asyncio.run(found.close())
        taken, failed = metrics.spans_exported._value.get(), metrics.spans_lost.labels("export")._value.get()
        assert taken + failed + lost._value.get() == 51


def test_the_end_waits_for_a_collector_for_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "CLOSE_S", 0.2)
    with opened() as (found, traces):
        traces.answering.clear()
        with found.request("POST", [], traced=True):
            pass
        asyncio.run(found.close())  # pytest's timeout ends one that waits
        assert traces.spans == []


def test_a_collector_that_is_away_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with opened(schedule_delay_ms=1, max_queue_size=2, max_export_batch_size=1) as (found, traces):
        traces.status = 500
        for status in (500, 500, 500, 200):
            traces.status = status
            posts = traces.posts
            with found.request("POST", [], traced=True):
                pass
            while traces.posts == posts:
                pass
        asyncio.run(found.close())
    said = [record.message for record in caplog.records if record.name == "tosia.traces"]
    assert said == [
        "the collector takes no spans: it is away, slow, or refuses them; they are dropped",
        "the collector takes spans again",
    ]


def test_no_library_gets_our_provider() -> None:
    with opened():
        assert not trace.get_tracer("azure.core").start_span("GET https://store/calls/51999888777").is_recording()


def test_a_resource_names_neither_host_nor_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "host,os,process,otel")
    with opened() as (found, traces):
        with found.request("POST", [], traced=True):
            pass
        asyncio.run(found.close())
        (root,) = traces.spans
    assert set(re.findall(r'"key": "([^"]+)"', root.text)) == {"http.request.method", "service.version"}


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_spans_travel_with_headers_and_compressed(compression: str) -> None:
    with collector() as traces:
        settings = TraceSettings(f"{traces.url}/v1/traces", {"authorization": "Bearer x"}, compression=compression)
        found = open_tracing(settings, Metrics())
        with found.request("POST", [], traced=True):
            pass
        asyncio.run(found.close())
        assert traces.headers["authorization"] == "Bearer x"
        assert traces.headers.get("content-encoding", "none") == compression
        assert len(traces.spans) == 1


def test_where_traces_are_off_the_sdk_is_not_imported() -> None:
    code = (
        "import sys, frontend.cli.commands, frontend.cli.check; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
