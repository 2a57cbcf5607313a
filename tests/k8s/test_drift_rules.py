"""The recording rules of drift and `runtime.line.drift` say the same of the same counts, in the real Prometheus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from runtime.config import ROOT
from runtime.line.drift import distances, outside
from runtime.line.quantities import QUANTITIES, Counts
from runtime.line.reference import Reference, read_reference
from tests.k8s.rendering import MANIFESTS, promtool

STEPS = 40  # of three minutes; the counters grow by one n-th of the calls in each
AT = "120m"


@pytest.fixture(scope="module")
def reference() -> Reference:
    found = read_reference(json.loads((ROOT / "models" / "REFERENCE.json").read_text()))
    assert found is not None
    return found


def drift_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MANIFESTS / "monitoring" / "rules.yaml").read_text())["spec"]["groups"]
    return [group for group in groups if group["name"] == "tosia-drift"]


def series(reference: Reference, by_key: Mapping[str, Counts]) -> Iterator[dict[str, str]]:
    """What front ends export, every bin from 0 on."""
    for one in QUANTITIES:
        for number, name in enumerate(one.bins):
            labels = f'namespace="tosia",release="13",quantity="{one.name}",bin="{name}"'
            kind, share = reference.kinds[one.name][number], reference.shares[one.name][number]
            yield {
                "series": f'tosia_line_reference_share{{{labels},pod="a",kind="{kind}"}}',
                "values": f"{share!r}x{STEPS}",
            }
            for key, counts in by_key.items():
                step = counts[one.name][number] / STEPS
                yield {
                    "series": f'tosia_line_recordings_total{{{labels},pod="a",key="{key}"}}',
                    "values": f"0+{step!r}x{STEPS}",
                }


def same(record: str, labels: str, value: float) -> dict[str, Any]:
    """A case: the recorded value is this one, but for the last digits."""
    expression = f"abs({record}{{{labels}}} - {value!r}) < bool 1e-9"
    return {"expr": f"max({expression})", "eval_time": AT, "exp_samples": [{"labels": "{}", "value": 1}]}


def cases(reference: Reference, by_key: Mapping[str, Counts]) -> list[dict[str, Any]]:
    whole = {name: np.sum([counts[name] for counts in by_key.values()], axis=0).tolist() for name in reference.shares}
    expected = []
    for key, counts in {**by_key, "": whole}.items():
        for one in outside(counts, reference):
            labels = f'key="{key}",quantity="{one.quantity}",kind="{one.kind}"'
            expected.append(same("tosia:line_outside:ratio6h", labels, one.share))
            if one.n >= 50:
                expected.append(same("tosia:line_outside:sure6h", labels, one.sure))
        for distance in distances(counts, reference):
            labels = f'key="{key}",quantity="{distance.quantity}"'
            expected.append(same("tosia:line_distance:ratio6h", labels, distance.value))
            expected.append(same("tosia:line_distance_by_chance:ratio6h", labels, distance.by_chance))
    return expected


def firing(reference: Reference, by_key: Mapping[str, Counts]) -> set[tuple[str, str]]:
    """(key, kind) of what alarms by Python."""
    return {(key, one.kind) for key, counts in by_key.items() for one in outside(counts, reference) if one.alarms}


def run(folder: Path, reference: Reference, by_key: Mapping[str, Counts], rules: list[dict[str, Any]]) -> str:
    """Return what promtool says against it."""
    alarms = [
        {
            "labels": f'{{key="{key}", kind="{kind}"}}',
            "value": 1,
        }
        for key, kind in sorted(firing(reference, by_key))
    ]
    fires = 'max by (key, kind) (ALERTS{alertname="TosiaLineDrifts",key!="",alertstate="firing"})'
    test = {
        "interval": "3m",
        "input_series": list(series(reference, by_key)),
        "promql_expr_test": [
            *cases(reference, by_key),
            {"expr": fires, "eval_time": AT, "exp_samples": alarms},
        ],
    }
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": rules}))
    (folder / "cases.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "2m", "tests": [test]})
    )
    done = subprocess.run(
        [promtool(), "test", "rules", "cases.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def drifted(reference: Reference, n: int) -> Counts:
    """Every quantity's rare bins with a third of the calls more."""
    counts = {name: np.array(shares) * n * 2 / 3 for name, shares in reference.shares.items()}
    for one in QUANTITIES:
        rare = [number for number, kind in enumerate(reference.kinds[one.name]) if kind != "usual"]
        for number in rare or range(len(one.bins)):
            counts[one.name][number] += n / 3 / len(rare or one.bins)
    return {name: [round(count) for count in found] for name, found in counts.items()}


def test_rules_and_python_say_the_same(tmp_path: Path, reference: Reference) -> None:
    by_key = {
        "validation": reference.validation,
        "simulated": reference.simulated,
        "drifted": drifted(reference, 1000),
        "few": drifted(reference, 45),
    }
    assert {key for key, _ in firing(reference, by_key)} == {"drifted"}
    assert len(firing(reference, by_key)) == 8
    assert run(tmp_path, reference, by_key, drift_rules()) == ""


def test_the_comparison_would_notice_another_rule(tmp_path: Path, reference: Reference) -> None:
    spoilt = drift_rules()
    for group in spoilt:
        for rule in group["rules"]:
            rule["expr"] = rule["expr"].replace("/ 4", "/ 5")  # another design effect
    said = run(tmp_path, reference, {"drifted": drifted(reference, 1000)}, spoilt)
    assert "tosia:line_outside:sure6h" in said
