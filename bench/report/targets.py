"""What the figures are held to, by the rows' names."""

from __future__ import annotations

from bench.report.rows import Target

TARGETS = {
    "preparation_cpu_ratio": Target("<=", 1.2),
    "wire_bytes_ratio": Target("<=", 1 / 11),
    "rest_to_bare_throughput": Target(">=", 0.85),
    "rest_to_usual_throughput": Target(">=", 3.0),
    "rest_to_usual_p99": Target("<=", 1.0),
    "rest_to_litserve_ours_throughput": Target(">=", 0.95),
    "rest_to_litserve_librosa_throughput": Target(">=", 1.6),
    "rest_to_bentoml_ours_throughput": Target(">=", 0.95),
    "rest_to_bentoml_librosa_throughput": Target(">=", 1.6),
    "triton_dynamic_batching_ratio": Target(">=", 1.15),
    "triton_average_batch": Target(">=", 6.0),
    "rest_p99_to_p50_at_70_percent": Target("<=", 2.5),
    "rest_without_result_at_70_percent": Target("<=", 0.0),
    "overload_completed_to_capacity": Target(">=", 0.9),
    "overload_neither_done_nor_refused": Target("<=", 0.0),
    "overload_refused_max_s": Target("<=", 1.0),
    "overload_refused_without_retry_after": Target("<=", 0.0),
    "overload_p99_to_p99_at_90_percent": Target("<=", 1.6),
    "event_loop_lag_p99_ms": Target("<=", 20.0),
    "worker_memory_mb": Target("<=", 115.0),
    "memory_growth_20000_requests": Target("<=", 0.05),
    "start_to_ready_s": Target("<=", 1.5),
    "listing_page_ratio": Target("<=", 1.3),
    "bench_minutes": Target("<=", 20.0),
}
AWAITED: frozenset[str] = frozenset()  # targets that the next whole `make bench` must bring a figure for


# One in any of the rounds is one too many.
BY_WORST_ROUND = frozenset(
    {
        "rest_without_result_at_70_percent",
        "overload_neither_done_nor_refused",
        "overload_refused_max_s",
        "overload_refused_without_retry_after",
    }
)


def target_of(name: str) -> Target:
    """Without op and target for a row that is only reported."""
    return TARGETS.get(name, Target())


AGAINST_COMMIT = "591a891"  # the build that the targets of `make bench AGAINST=` are set against
AGAINST = {
    "against_front_end_cpu_ratio": Target("<=", 0.62),
    "against_cpu_ratio": Target("<=", 0.66),
    "against_throughput_ratio": Target(">=", 1.4),
    "against_main_process_cpu_this": Target("<=", 4.5),
    "against_worker_memory_ratio": Target("<=", 0.75),
    "against_start_to_ready_this": Target("<=", 1.5),
    "against_without_result_this": Target("<=", 0.0),
}

# How far the simulation behind `make plan` may be from what is measured, as a share of that.
PLAN = {"throughput": Target("<=", 0.05), "p50": Target("<=", 0.15), "p99": Target("<=", 0.30)}
