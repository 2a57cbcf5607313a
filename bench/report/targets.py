"""The bars of the issue that the figures are held to, by the rows' names."""

from __future__ import annotations

from bench.report.rows import Bar

BARS = {
    "preparation_cpu_ratio": Bar("<=", 1.2),
    "wire_bytes_ratio": Bar("<=", 1 / 11),
    "rest_to_bare_throughput": Bar(">=", 0.85),
    "rest_to_usual_throughput": Bar(">=", 2.5),
    "rest_to_usual_p99": Bar("<=", 1.0),
    "rest_to_litserve_ours_throughput": Bar(">=", 0.95),
    "rest_to_litserve_librosa_throughput": Bar(">=", 1.3),
    "rest_to_bentoml_ours_throughput": Bar(">=", 0.95),
    "rest_to_bentoml_librosa_throughput": Bar(">=", 1.3),
    "triton_dynamic_batching_ratio": Bar(">=", 1.15),
    "triton_average_batch": Bar(">=", 6.0),
    "rest_p99_to_p50_at_70_percent": Bar("<=", 3.0),
    "rest_without_result_at_70_percent": Bar("<=", 0.0),
    "overload_completed_to_capacity": Bar(">=", 0.85),
    "overload_neither_done_nor_refused": Bar("<=", 0.0),
    "overload_refused_max_s": Bar("<=", 1.0),
    "overload_refused_without_retry_after": Bar("<=", 0.0),
    "overload_p99_to_p99_at_90_percent": Bar("<=", 2.0),
    "event_loop_lag_p99_ms": Bar("<=", 20.0),
    "worker_memory_mb": Bar("<=", 260.0),
    "memory_growth_20000_requests": Bar("<=", 0.05),
    "start_to_ready_s": Bar("<=", 3.0),
}


# One in any of the rounds is one too many.
BY_WORST_ROUND = frozenset(
    {
        "rest_without_result_at_70_percent",
        "overload_neither_done_nor_refused",
        "overload_refused_max_s",
        "overload_refused_without_retry_after",
    }
)


def bar_of(name: str) -> Bar:
    """Without op and bar for a row that is only reported."""
    return BARS.get(name, Bar())
