"""Recording and alert rules, by promtool; the dashboard; and that whoever is called finds what to do."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.tools.dashboard import FILE, dashboard
from laptop.service import CHECKOUT
from tests.k8s.rendering import MANIFESTS, one, promtool

CASES = MANIFESTS / "monitoring" / "rules.test.yaml"


def groups() -> list[dict[str, Any]]:
    rules = yaml.safe_load((MANIFESTS / "monitoring" / "rules.yaml").read_text())
    groups: list[dict[str, Any]] = rules["spec"]["groups"]
    return groups


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def run_cases(folder: Path, rules: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": rules}))
    (folder / CASES.name).write_text(CASES.read_text())
    command = [promtool(), "test", "rules", CASES.name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.system
def test_the_cases_pass(tmp_path: Path) -> None:
    run = run_cases(tmp_path, groups())
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.system
def test_the_cases_would_notice_alerts_that_never_fire(tmp_path: Path) -> None:
    spoilt = groups()
    for group in spoilt:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = "vector(0) > 1"
    run = run_cases(tmp_path, spoilt)
    assert run.returncode != 0
    missed = [name for name in alerts() if f"alertname: {name}," not in run.stdout + run.stderr]
    assert missed == [], run.stdout + run.stderr


def test_every_alert_has_a_case() -> None:
    tests = yaml.safe_load(CASES.read_text())["tests"]
    cases = [case["name"] for case in tests if case.get("alert_rule_test") or case.get("promql_expr_test")]
    assert len(cases) == len(tests), "each asserts something"
    for word in ("idle", "nobody has called", "overload", "pod of two is down", "not get ready", "error budget burns"):
        assert any(word in case for case in cases), word


def test_each_alert_says_how_bad_it_is_and_leads_to_what_to_do() -> None:
    headings = re.findall(r"^#+ (.+)$", (CHECKOUT / "docs" / "deploy.md").read_text(), flags=re.MULTILINE)
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        page = "https://dev.azure.com/tosiadev/api/_git/api?path=/docs/deploy.md&_a=preview&anchor="
        assert rule["annotations"]["runbook_url"] == page + name.lower()
        assert name in headings, f"docs/deploy.md has no section {name}"


def test_the_dashboard_is_what_its_script_writes_and_grafana_can_read_its_queries(tmp_path: Path) -> None:
    committed = json.loads(FILE.read_text())
    assert committed == dashboard()
    expressions = [target["expr"] for panel in committed["panels"] for target in panel.get("targets", [])]
    assert len(expressions) > 15
    rules = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run = subprocess.run(
        [promtool(), "check", "rules", "panels.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_grafana_and_prometheus_take_them_up() -> None:
    board = one("overlays/azure", "ConfigMap", "tosia-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert len(json.dumps(board)) < 256 * 1024
    for kind, name in (("PrometheusRule", "tosia"), ("PodMonitor", "triton"), ("PodMonitor", "frontend")):
        assert one("overlays/azure", kind, name)["metadata"]["labels"]["release"] == "kube-prometheus-stack"
