"""Prometheus metrics, served on a separate port, so that the ingress never exposes them.

Names follow Prometheus' conventions: base units, `_total` for counters. docs/metrics.md explains each metric; a test
compares the two. Callers can't create values of labels.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from frontend.observability.tracing import exemplar, span
from runtime.diagnosis import Diagnosis, Reason, Status

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
_BATCH_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """All metrics of one application, in a separate registry."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "tosia_http_requests_total",
            "HTTP requests by route template",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "tosia_http_request_duration_seconds",
            "Time from the request's first byte to the answer's last",
            ("method", "route"),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.refusals = Counter(
            "tosia_refusals_total", "Requests refused from their headers, by the limit", ("limit",), registry=registry
        )
        self.connections_ended = Counter(
            "tosia_connections_ended_total",
            "Connections that were ended before their answer was complete, by the cause",
            ("cause",),
            registry=registry,
        )
        self.in_work = Gauge("tosia_recordings_in_work", "Recordings in work at this moment", registry=registry)
        self.waiting = Gauge("tosia_recordings_waiting", "Recordings that wait for a worker", registry=registry)
        self.body_bytes = Gauge("tosia_body_bytes_in_work", "Bytes of bodies and answers in memory", registry=registry)
        self.stages = Histogram(
            "tosia_stage_duration_seconds",
            "Time of each stage of a recording",
            ("stage",),
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self.batch = Histogram(
            "tosia_inference_batch_size",
            "Spectrograms of one recording, sent to Triton as one batch",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.first_score = Gauge(
            "tosia_first_score_timestamp_seconds",
            "When the model scored the first recording since it was away, in Unix time",
            registry=registry,
        )
        self.unusable_scores = Counter(
            "tosia_unusable_scores_total",
            "Answers of the model that were no probabilities; the call is tried again",
            registry=registry,
        )
        self.diagnoses = Counter("tosia_diagnoses_total", "Diagnoses by status", ("status",), registry=registry)
        self.reasons = Counter("tosia_diagnosis_reasons_total", "Reasons in diagnoses", ("reason",), registry=registry)
        self.attempts = Counter(
            "tosia_attempts_total", "Attempts to diagnose a call, by what came of them", ("outcome",), registry=registry
        )
        self.taken_up = Counter(
            "tosia_calls_taken_up_total",
            "Calls that the reconciler took up after a restart, an outage or an expired lease",
            registry=registry,
        )
        self.due = Gauge(
            "tosia_calls_due",
            "Accepted calls that wait for their diagnosis and are due, as last seen; those beyond a page of the "
            "store's answer not",
            registry=registry,
        )
        self.stale_results = Counter(
            "tosia_stale_results_total",
            "Results dropped because the call was erased or taken over meanwhile",
            registry=registry,
        )
        self.swept = Counter(
            "tosia_swept_total",
            "What the sweep removed: orphans (audio without a record), expired calls",
            ("what",),
            registry=registry,
        )
        self.worker_restarts = Counter(
            "tosia_worker_restarts_total",
            "Workers that had to be replaced, by the cause",
            ("cause",),
            registry=registry,
        )
        self.loop_lag = Histogram(
            "tosia_event_loop_lag_seconds",
            "How much later than due the event loop wakes up",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.degraded = Gauge("tosia_degraded", "1 while a dependency is away", ("dependency",), registry=registry)
        self.store_trouble = Gauge(
            "tosia_store_trouble",
            "1 while something is wrong with the stores, by the cause",
            ("cause",),
            registry=registry,
        )
        self.unreadable = Gauge(
            "tosia_unreadable_records", "Stored records that were found and can't be read", registry=registry
        )
        self.rollout_stage = Gauge(
            "tosia_rollout_stage", "1 for the stage of the rollout as this process acts", ("stage",), registry=registry
        )
        self.rollout_candidate = Gauge(
            "tosia_rollout_candidate_available", "1 while the rollout's candidate can score", registry=registry
        )
        self.rollout_broken = Gauge(
            "tosia_rollout_bound_broken",
            "1 while this process has seen too many of them in the present step",
            ("bound",),
            registry=registry,
        )
        self.rollout_backlog = Gauge(
            "tosia_rollout_backlog", "Answered calls that wait for the other release", registry=registry
        )
        self.rollout_answers = Counter(
            "tosia_rollout_answers_total", "Calls answered in a rollout, by release", ("release",), registry=registry
        )
        self.rollout_compared = Counter(
            "tosia_rollout_compared_total", "Calls that both releases have scored", registry=registry
        )
        self.rollout_flips = Counter(
            "tosia_rollout_flips_total", "Compared calls that differ, by what does", ("kind",), registry=registry
        )
        self.rollout_shifts = Counter(
            "tosia_rollout_shifts_total", "Compared calls with a score that moved", registry=registry
        )
        self.rollout_slow = Counter(
            "tosia_rollout_slow_total", "Compared calls for which the candidate took much longer", registry=registry
        )
        self.rollout_failures = Counter(
            "tosia_rollout_failures_total", "Calls that the candidate could not score", ("cause",), registry=registry
        )
        self.rollout_dropped = Counter(
            "tosia_rollout_dropped_total", "Answered calls that were not compared, or not noted", registry=registry
        )
        self.rollout_stops = Counter(
            "tosia_rollout_stops_total", "Canaries that this process has stopped", ("bound",), registry=registry
        )
        self.build = Gauge(
            "tosia_build_info", "1, with what runs in the labels", ("software_version",), registry=registry
        )
        for cause in ("head", "pipeline", "reader", "share", "store"):
            self.connections_ended.labels(cause)
        for limit in ("recordings", "bytes", "wait", "share"):
            self.refusals.labels(limit)  # so that a rate has a 0 to start from
        self._add_line_and_spans()
        for release in ("serving", "candidate"):
            self.rollout_answers.labels(release)
        for kind in ("status", "label"):
            self.rollout_flips.labels(kind)
        for cause in ("error", "timeout", "unusable"):
            self.rollout_failures.labels(cause)
        for bound in ("flips", "shifts", "slow", "failures", "unusable"):
            self.rollout_stops.labels(bound)
        self._add_adapters()
        for status in Status:
            self.diagnoses.labels(status.value)
        for reason in Reason:
            self.reasons.labels(reason.value)
        for cause in ("died", "timeout", "cpu", "memory"):
            self.worker_restarts.labels(cause)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and hold its span."""
        started = time.perf_counter()
        with span(name):
            try:
                yield
            finally:
                self.observe_stage(name, time.perf_counter() - started)

    def observe_stage(self, name: str, seconds: float) -> None:
        """Count a stage; with the id of the running task's trace where that is sampled, so that it can be looked up."""
        self.stages.labels(name).observe(seconds, exemplar())

    def _add_line_and_spans(self) -> None:
        """What calls are like, and what is told of them to a collector."""
        self.line_recordings = Counter(
            "tosia_line_recordings_total",
            "Answered calls by the bin of each quantity that is measured of them",
            ("release", "key", "quantity", "bin"),
            registry=self.registry,
        )
        self.line_reference = Gauge(
            "tosia_line_reference_share",
            "Share of the release's training in each bin; kind: what a surplus of calls there is called",
            ("release", "quantity", "bin", "kind"),
            registry=self.registry,
        )
        self.spans_exported = Counter(
            "tosia_spans_exported_total", "Spans that the collector has taken", registry=self.registry
        )
        self.spans_lost = Counter(
            "tosia_spans_lost_total", "Spans that were dropped, by the cause", ("cause",), registry=self.registry
        )
        for cause in ("queue", "export"):
            self.spans_lost.labels(cause)

    def _add_adapters(self) -> None:
        """What comes in by itself, and what goes out."""
        self.intake = Counter(
            "tosia_intake_messages_total",
            "Messages of the intake queue that were worked on, by what came of them",
            ("outcome",),
            registry=self.registry,
        )
        self.intake_messages = Gauge(
            "tosia_intake_waiting_messages",
            "Messages in the intake queue and in its poison queue, as last seen",
            ("queue",),
            registry=self.registry,
        )
        self.intake_oldest = Gauge(
            "tosia_intake_oldest_message_seconds",
            "Age of the next message of the intake queue, as last seen",
            registry=self.registry,
        )
        self.callbacks = Counter(
            "tosia_callbacks_total",
            "Messages to receivers, by what came of a try",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("sent", "again", "dead"):
            self.callbacks.labels(outcome)
        for outcome in ("diagnosed", "unfinished", "failed", "known", "erased", "passed", "again", "gone", "poisoned"):
            self.intake.labels(outcome)

    def count_comparison(self, status_flip: bool, label_flip: bool) -> None:
        """Count a call that both releases of a rollout have scored."""
        self.rollout_compared.inc()
        if status_flip:
            self.rollout_flips.labels("status").inc()
        if label_flip:
            self.rollout_flips.labels("label").inc()

    def count_diagnosis(self, diagnosis: Diagnosis, n_spectrograms: int) -> None:
        """Count one diagnosis: its stages, its status and its reasons."""
        for stage, milliseconds in diagnosis.timings_ms.items():
            self.observe_stage(stage, milliseconds / 1000.0)
        self.batch.observe(n_spectrograms)
        self.diagnoses.labels(diagnosis.status.value).inc()
        for reason in diagnosis.reasons:
            self.reasons.labels(reason.value).inc()
