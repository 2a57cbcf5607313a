"""`python3 -m k8s.tools.dashboard`: writes monitoring/dashboard.json, what Grafana shows. `make manifests` runs it.

Rows go from the caller inwards: answers to callers, the front end, Triton, the GPU. Recorded series are preferred, so
that a person sees the same values as the alerts and the scaler.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "manifests" / "monitoring" / "dashboard.json"
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
TRITON = 'namespace="tosia",model="cough_cnn"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. unit: Grafana's name of the unit. queries: expression and legend"""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str = ""


ROWS: dict[str, tuple[Panel, ...]] = {
    "Callers": (
        Panel("Requests for a diagnosis", "reqps", (("tosia:diagnosis_requests:rate5m", "all"),)),
        Panel(
            "Errors, late answers",
            "percentunit",
            (
                ("tosia:diagnosis_errors:ratio_rate5m", "5xx"),
                ("tosia:diagnosis_late:ratio_rate5m", "202: finished later"),
            ),
            "The objective is 99.9 % without an error over 30 days.",
        ),
        Panel(
            "Time of an answer",
            "s",
            (
                ("tosia:diagnosis_seconds:p99_5m", "99th percentile"),
                (
                    "histogram_quantile(0.5, sum by (le) "
                    '(rate(tosia_http_request_duration_seconds_bucket{namespace="tosia",'
                    'method="POST",route=~"/v1/.*"}[5m])))',
                    "median",
                ),
            ),
        ),
        Panel(
            "Diagnoses",
            "cps",
            (('sum by (status) (rate(tosia_diagnoses_total{namespace="tosia"}[5m]))', "{{status}}"),),
        ),
        Panel(
            "Reasons not to believe",
            "cps",
            (('sum by (reason) (rate(tosia_diagnosis_reasons_total{namespace="tosia"}[5m]))', "{{reason}}"),),
        ),
        Panel(
            "Refused for load",
            "cps",
            (('sum by (limit) (rate(tosia_refusals_total{namespace="tosia"}[5m]))', "{{limit}}"),),
        ),
    ),
    "Front end": (
        Panel(
            "Time of each stage, 95th percentile",
            "s",
            (
                (
                    "histogram_quantile(0.95, sum by (le, stage) (rate("
                    'tosia_stage_duration_seconds_bucket{namespace="tosia"}[5m])))',
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Recordings",
            "short",
            (
                ('sum(tosia_recordings_in_work{namespace="tosia"})', "in work"),
                ('sum(tosia_recordings_waiting{namespace="tosia"})', "waiting for a worker"),
                ('max(tosia_calls_due{namespace="tosia"})', "accepted, not in work"),
            ),
        ),
        Panel(
            "What is away",
            "short",
            (('max by (dependency) (tosia_degraded{namespace="tosia"})', "{{dependency}}"),),
            "1 while it is.",
        ),
        Panel(
            "Workers replaced",
            "short",
            (('sum by (cause) (increase(tosia_worker_restarts_total{namespace="tosia"}[15m]))', "{{cause}}"),),
        ),
        Panel(
            "What is wrong with the stores",
            "short",
            (
                ('max by (cause) (tosia_store_trouble{namespace="tosia"})', "{{cause}}"),
                ('max(tosia_unreadable_records{namespace="tosia"})', "records that can't be read"),
            ),
            "1 while it is; records are counted.",
        ),
        Panel(
            "Connections ended, unusable scores",
            "cps",
            (
                ('sum by (cause) (rate(tosia_connections_ended_total{namespace="tosia"}[5m]))', "{{cause}}"),
                ('sum(rate(tosia_unusable_scores_total{namespace="tosia"}[5m]))', "unusable scores"),
            ),
        ),
        Panel(
            "Event loop lag, 99th percentile",
            "s",
            (
                (
                    "histogram_quantile(0.99, sum by (le) "
                    '(rate(tosia_event_loop_lag_seconds_bucket{namespace="tosia"}[5m])))',
                    "lag",
                ),
            ),
        ),
        Panel(
            "Replicas",
            "short",
            (('kube_deployment_status_replicas_available{namespace="tosia"}', "{{deployment}}"),),
        ),
    ),
    "Intake and callbacks": (
        Panel(
            "Messages worked on",
            "cps",
            (('sum by (outcome) (rate(tosia_intake_messages_total{namespace="tosia"}[5m]))', "{{outcome}}"),),
        ),
        Panel(
            "Messages that wait",
            "short",
            (('max by (queue) (tosia_intake_waiting_messages{namespace="tosia"})', "{{queue}}"),),
            "Those in work included. What is in the poison queue was given up (docs/intake.md).",
        ),
        Panel(
            "Age of the next message",
            "s",
            (('max(tosia_intake_oldest_message_seconds{namespace="tosia"})', "age"),),
            "0 while none waits or all are in work.",
        ),
        Panel(
            "Tries to send to receivers",
            "cps",
            (('sum by (outcome) (rate(tosia_callbacks_total{namespace="tosia"}[5m]))', "{{outcome}}"),),
        ),
        Panel(
            "Tries that failed",
            "percentunit",
            (("tosia:callbacks_failed:ratio_rate30m", "of all, within half an hour"),),
        ),
        Panel(
            "Messages to receivers given up",
            "short",
            (('sum(increase(tosia_callbacks_total{namespace="tosia",outcome="dead"}[1h]))', "within an hour"),),
        ),
    ),
    "Rollout": (
        Panel(
            "Stage",
            "short",
            (
                ('max by (stage) (tosia_rollout_stage{namespace="tosia"})', "{{stage}}"),
                ('min(tosia_rollout_candidate_available{namespace="tosia"})', "every front end reaches the candidate"),
            ),
            "1 while it is so.",
        ),
        Panel(
            "The candidate's answers beside the serving model's",
            "percentunit",
            (
                ("tosia:rollout_flips:ratio_rate1h", "another {{kind}}"),
                ("tosia:rollout_shifts:ratio_rate1h", "scores shifted"),
                ("tosia:rollout_slow:ratio_rate1h", "slow"),
            ),
            "Shares of the calls that both have scored, within an hour.",
        ),
        Panel(
            "The candidate fails",
            "percentunit",
            (("tosia:rollout_failures:ratio_rate1h", "{{cause}}"),),
            "Shares of the calls that it should score, within an hour.",
        ),
        Panel(
            "Answers to callers by release",
            "cps",
            (('sum by (release) (rate(tosia_rollout_answers_total{namespace="tosia"}[5m]))', "{{release}}"),),
        ),
        Panel(
            "Calls that wait for the candidate",
            "short",
            (
                ('sum(tosia_rollout_backlog{namespace="tosia"})', "waiting"),
                ('sum(increase(tosia_rollout_dropped_total{namespace="tosia"}[15m]))', "dropped in 15 minutes"),
                ('sum(increase(tosia_rollout_compared_total{namespace="tosia"}[15m]))', "compared in 15 minutes"),
            ),
        ),
        Panel(
            "Stopped by itself",
            "short",
            (('sum by (bound) (increase(tosia_rollout_stops_total{namespace="tosia"}[1h]))', "{{bound}}"),),
            "Within an hour, by the bound that was broken.",
        ),
    ),
    "Drift": (
        Panel(
            "Calls unlike the training, by all keys",
            "percentunit",
            (
                ('tosia:line_outside:ratio6h{key=""}', "{{kind}}, release {{release}}"),
                ("tosia:line_trained_outside:ratio", "trained: {{kind}}, release {{release}}"),
            ),
            "Shares within six hours in bins that training hardly knows; docs/drift.md.",
        ),
        Panel(
            "Surely unlike the training, by key",
            "percentunit",
            (('tosia:line_outside:sure6h{key!=""}', "{{key}}: {{kind}}"),),
            "Three standard deviations down; it alarms 5 points over the training's share.",
        ),
        Panel(
            "Distance from the training, by all keys",
            "percentunit",
            (
                ('tosia:line_distance:ratio6h{key=""}', "{{quantity}}"),
                ('tosia:line_distance_by_chance:ratio6h{key=""}', "by chance: {{quantity}}"),
            ),
            "Total variation of each quantity: another mixture is no drift.",
        ),
    ),
    "Triton": (
        Panel(
            "Waiting in Triton",
            "s",
            (("tosia:triton_queue_seconds_per_request:mean", "per request"),),
            "The scaler adds a pod above 0.02 s.",
        ),
        Panel("Pending requests", "short", (("tosia:triton_pending_requests:sum", "all pods"),)),
        Panel("Spectrograms in one execution", "short", (("tosia:triton_batch_size:mean", "mean"),)),
        Panel(
            "Requests",
            "reqps",
            (
                (f"sum(rate(nv_inference_request_success{{{TRITON}}}[5m]))", "answered"),
                (f"sum(rate(nv_inference_request_failure{{{TRITON}}}[5m]))", "failed"),
            ),
        ),
        Panel(
            "From no node to the first answer",
            "s",
            (("tosia:triton_start_seconds", "{{stage}} {{pod}}"),),
            "Stages of each pod's start; all of them together may take 180 s (docs/deploy.md).",
        ),
        Panel("GPU in use", "percentunit", (('nv_gpu_utilization{namespace="tosia"}', "{{pod}}"),)),
        Panel("GPU memory", "bytes", (('nv_gpu_memory_used_bytes{namespace="tosia"}', "{{pod}}"),)),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's import format; it uses the default Prometheus."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
                "panels": [],
            }
        )
        top += 1
        for place, panel in enumerate(row):
            grid = {"x": place % COLUMNS * WIDTH, "y": top + place // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(panel, len(panels) + 1, grid))
        top += -(-len(row) // COLUMNS) * HEIGHT
    return {
        "uid": "tosia",
        "title": "Tos.IA",
        "tags": ["tosia"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
            ]
        },
        "panels": panels,
    }


def _panel(panel: Panel, number: int, grid: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    targets = [
        {"refId": chr(ord("A") + n), "expr": expression, "legendFormat": legend, "datasource": source}
        for n, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "gridPos": grid,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
