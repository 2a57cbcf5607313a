"""Spans of a request and of what it causes, by OpenTelemetry's API; `span_export` sends them away.

Whether a trace is sampled is decided where it begins. Where it is not, and where traces are off, a span costs a look at
one variable. Names and attributes are ours: an error is a code or a type, never a message, and of a caller only the
trace's id is taken over, neither `tracestate` nor baggage.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.random_bytes import random_bytes

CALL = "tosia.call_sha256"  # the attribute with a call's digest, as in log and audit lines
CLOSE_S = 2.0  # at the end, for the spans that wait; a collector that hangs must not hold up a rollout
Attributes = Mapping[str, str | int | float]

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""Makes the spans of the running task's trace; None where it is not sampled. New tasks inherit it with the span."""


class Tracing:
    """Begins traces. tracer: None where traces are off; shut_down: sends what waits, may block for long"""

    def __init__(self, tracer: Tracer | None = None, shut_down: Callable[[], None] | None = None) -> None:
        self._tracer = tracer
        self._shut_down = shut_down

    @contextlib.contextmanager
    def request(self, method: str, traceparents: Sequence[str], *, traced: bool) -> Iterator[Span]:
        """Hold the span of a request, in the caller's trace or in a new one where theirs is missing or can't be read.

        traceparents: the headers; two of them count as none (section 3.2 of the recommendation)
        traced: whether requests of this kind get spans; others have a trace's id for their log lines only
        """
        caller = _read_context(",".join(traceparents))
        if self._tracer is None or not traced:
            with _inside(_identity(trace.get_current_span(caller).get_span_context()), None):
                yield INVALID_SPAN
            return
        begun = self._tracer.start_span(
            method, context=caller, kind=SpanKind.SERVER, attributes={"http.request.method": method}
        )
        with _inside(begun, self._tracer):
            yield begun

    @contextlib.contextmanager
    def attempt(self, submitted: str | None, attributes: Callable[[], Attributes]) -> Iterator[Span]:
        """Hold the span of an attempt: in the trace of the running request, or else in one of its own.

        submitted: traceparent of the request that submitted the call, which the span links to where it is not in its
            trace; who submitted a sampled call has decided for this attempt, too
        attributes: asked for only if the span is recorded
        """
        tracer, here = _TRACER.get(), _here()
        submission = trace.get_current_span(_read_context(submitted or "")).get_span_context()
        links = [Link(submission)] if submission.is_valid and submission.trace_id != here.trace_id else []
        maker = tracer or self._tracer
        if maker is None or (tracer is None and here.is_valid and not links):
            yield INVALID_SPAN
            return
        # A trace of its own: of a request that was not sampled, or of none.
        parent = Context() if tracer is None else None
        begun = maker.start_span("attempt", context=parent, links=links)
        if begun.is_recording():
            begun.set_attributes(attributes())
        with _inside(begun, maker):
            yield begun

    async def close(self) -> None:
        """Send the spans that wait, within CLOSE_S; what is left then is dropped."""
        if self._shut_down is None:
            return
        loop, work = asyncio.get_running_loop(), self._shut_down
        done = asyncio.Event()

        def shut_down() -> None:
            work()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        # Not a thread of an executor: the process would wait for it at its end.
        threading.Thread(target=shut_down, daemon=True, name="last-spans").start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), CLOSE_S)


OFF = Tracing()


@contextlib.contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None) -> Iterator[Span]:
    """Hold a span around a step of the running task's trace; where that is not sampled, one that keeps nothing.

    An exception ends it with `error.type`.
    """
    tracer = _TRACER.get()
    if tracer is None:
        yield INVALID_SPAN
        return
    with _inside(tracer.start_span(name, kind=kind, attributes=attributes), tracer) as begun:
        yield begun


def past_span(name: str, begun_ns: int, ended_ns: int, parent: Span | None = None, error: str | None = None) -> Span:
    """Record a step that is over. begun_ns, ended_ns: Unix time; parent: by default the running task's span"""
    tracer = _TRACER.get()
    if tracer is None:
        return INVALID_SPAN
    within = None if parent is None else trace.set_span_in_context(parent)
    found = tracer.start_span(name, context=within, start_time=begun_ns)
    if error is not None:
        mark_failed(found, error)
    found.end(ended_ns)
    return found


def is_sampled() -> bool:
    """Whether spans of the running task are kept."""
    return _TRACER.get() is not None


def mark_failed(failed: Span, error: BaseException | str) -> None:
    """Mark a span. error: a code of ours, or an exception, of which the code or the type is told"""
    failed.set_status(StatusCode.ERROR)
    failed.set_attribute("error.type", error if isinstance(error, str) else error_type(error))


def error_type(error: BaseException) -> str:
    """Return an exception's code where it has one, as ours do, else its type."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code.isidentifier() else type(error).__name__


def current_trace_id() -> str | None:
    """Return the id of the running task's trace, 32 hexadecimal digits; None outside of any."""
    here = _here()
    return trace.format_trace_id(here.trace_id) if here.is_valid else None


def exemplar() -> dict[str, str] | None:
    """Return the labels of an exemplar; None where the running task's trace is not sampled, and can't be looked up."""
    return {"trace_id": trace.format_trace_id(_here().trace_id)} if is_sampled() else None


def traceparent() -> str | None:
    """Return the running task's span as a header's value; None where it is not sampled."""
    if not is_sampled():
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def _here() -> SpanContext:
    return trace.get_current_span().get_span_context()


def _read_context(header: str) -> Context:
    """Return a context with the span of a `traceparent` header, or an empty one."""
    return _PROPAGATOR.extract({"traceparent": header}, Context()) if header else Context()


def _identity(caller: SpanContext) -> Span:
    """Return a span that records nothing and has a trace's id: the caller's, or a new one."""
    trace_id = caller.trace_id if caller.is_valid else int.from_bytes(random_bytes(16), "big") | 1
    return NonRecordingSpan(SpanContext(trace_id, int.from_bytes(random_bytes(8), "big") | 1, is_remote=False))


@contextlib.contextmanager
def _inside(begun: Span, tracer: Tracer | None) -> Iterator[Span]:
    """Make a span the running task's, and end it."""
    here = otel_context.attach(trace.set_span_in_context(begun))
    makes = _TRACER.set(tracer if begun.is_recording() else None)
    try:
        yield begun
    except BaseException as error:
        mark_failed(begun, error)
        raise
    finally:
        _TRACER.reset(makes)
        otel_context.detach(here)
        begun.end()
