"""Prometheus metrics, served on a port of their own, so that the ingress never exposes them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """All metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tosia_http_requests_total",
            "HTTP requests by route template",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "tosia_http_request_duration_seconds",
            "Time from the request's first byte to the answer's last",
            ("method", "route"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=self.registry,
        )
        self.in_work = Gauge("tosia_recordings_in_work", "Recordings in work at this moment", registry=self.registry)
        self.degraded = Gauge("tosia_degraded", "1 while a dependency is away", ("dependency",), registry=self.registry)
