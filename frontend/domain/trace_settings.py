"""Where spans go, and how many of them: the `OTEL_*` variables as they were read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
COMPRESSIONS = ("none", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """What an operator said of traces; None in its place: they are off.

    endpoint: the whole address that spans are posted to; headers: with each post, may hold a secret
    timeout_s: of one export with its retries; certificate, client_key, client_certificate: files, empty for none
    sampler: one of SAMPLERS; ratio: the share of traces, 0.0 to 1.0, for those that draw
    resource: attributes of this process
    max_queue_size: spans that wait; more are dropped; max_export_batch_size: of them in one export
    schedule_delay_ms: between two exports
    """

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    compression: str = "none"
    certificate: str = ""
    client_key: str = ""
    client_certificate: str = ""
    sampler: str = "parentbased_always_on"
    ratio: float = 1.0
    resource: Mapping[str, str] = field(default_factory=dict)
    max_queue_size: int = 2048
    schedule_delay_ms: int = 5000
    max_export_batch_size: int = 512
