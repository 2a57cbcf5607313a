"""Sends spans to a collector: OpenTelemetry's SDK, OTLP over HTTP. It is imported only where traces are on.

Nothing waits for a collector. Spans wait in a queue of bounded length, a thread posts them, and what the queue or the
collector does not take is counted and dropped.

The provider is ours alone and not the process' own: libraries that look for that one, such as Azure's SDK, would write
addresses with ids of calls into their spans.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from frontend.domain.trace_settings import TraceSettings
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import Tracing
from runtime.version import SOFTWARE_VERSION

SAY_EVERY_S = 60.0  # between two log lines about a collector that is away

_log = logging.getLogger("tosia.traces")


def open_tracing(settings: TraceSettings, metrics: Metrics) -> Tracing:
    """Start the thread that posts spans; it begins with the first ones."""
    provider = TracerProvider(
        sampler=_OwnDraw(_sampler(settings)),
        # Not `Resource.create`, whose detectors may add the host and the user.
        resource=Resource({"service.version": SOFTWARE_VERSION, **settings.resource}),
        shutdown_on_exit=False,
    )
    processor = _CountedQueue(_CountedExport(_exporter(settings), metrics), settings, metrics)
    provider.add_span_processor(processor)
    return Tracing(provider.get_tracer("tosia", SOFTWARE_VERSION), provider.shutdown)


def _exporter(settings: TraceSettings) -> SpanExporter:
    compression = {"gzip": Compression.Gzip, "deflate": Compression.Deflate}
    return OTLPSpanExporter(
        settings.endpoint,
        settings.certificate or None,
        settings.client_key or None,
        settings.client_certificate or None,
        dict(settings.headers),
        settings.timeout_s,
        compression.get(settings.compression, Compression.NoCompression),
    )


def _sampler(settings: TraceSettings) -> Sampler:
    roots: dict[str, Sampler] = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}
    root = roots.get(settings.sampler.removeprefix("parentbased_")) or TraceIdRatioBased(settings.ratio)
    return ParentBased(root) if settings.sampler.startswith("parentbased_") else root


class _OwnDraw(Sampler):
    """Asks the operator's sampler where a trace begins; all later spans of it follow.

    A ratio is drawn from the trace's id alone, and a caller chooses theirs: one that ends in zeros would always be
    sampled. So a caller's trace is drawn by an id of our own.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid and not parent.is_remote:
            chosen: Sampler = ALWAYS_ON if parent.trace_flags.sampled else ALWAYS_OFF
        elif links:  # an attempt after the request: a call is followed to its end, or not at all
            chosen = ALWAYS_ON if any(link.context.trace_flags.sampled for link in links) else ALWAYS_OFF
        else:
            chosen = self._sampler
            trace_id = random.getrandbits(128)  # the id that a caller chose must not count
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Describe the sampler; the SDK asks for it."""
        return f"OwnDraw{{{self._sampler.get_description()}}}"


class _CountedQueue(BatchSpanProcessor):
    """The SDK's queue; counts what it drops, which is the oldest span for each that finds it full."""

    def __init__(self, export: _CountedExport, settings: TraceSettings, metrics: Metrics) -> None:
        super().__init__(
            export, settings.max_queue_size, settings.schedule_delay_ms, settings.max_export_batch_size
        )  # fmt: skip
        self._export = export
        self._most = settings.max_queue_size
        self._dropped = metrics.spans_lost.labels("queue")
        self._ended = 0  # without those that were dropped

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span; the SDK calls this."""
        # Spans on their way to the exporter count as queued for that moment; the count is right again after it.
        if self._ended - self._export.handed >= self._most:
            self._dropped.inc()
        else:
            self._ended += 1
        super().on_end(span)


class _CountedExport(SpanExporter):
    """Counts what a collector took and did not take. The SDK logs each failure; this logs one a minute."""

    def __init__(self, export: SpanExporter, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.handed = 0
        self._exporter = export
        self._taken, self._lost = metrics.spans_exported, metrics.spans_lost.labels("export")
        self._clock = clock
        self._away = False
        self._say_from = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Post spans; the SDK's thread calls this."""
        self.handed += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._taken.inc(len(spans))
            if self._away:
                _log.warning("the collector takes spans again")
            self._away = False
            return result
        self._lost.inc(len(spans))
        self._away = True
        if self._clock() >= self._say_from:
            self._say_from = self._clock() + SAY_EVERY_S
            _log.warning("the collector takes no spans: it is away, slow, or refuses them; they are dropped")
        return result

    def shutdown(self) -> None:
        """End; the SDK calls this."""
        self._exporter.shutdown()
