"""Requests drawn from the OpenAPI document, on the real service: every check of schemathesis, with the key and without it.

schemathesis.toml holds the exceptions with their reasons, `drawn.py` where uploads come from. For longer, and with others:

    SCHEMATHESIS_EXAMPLES=200 SCHEMATHESIS_SEED=1 .venv/bin/python -m pytest --timeout 3600 tests/integration/test_schemathesis.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from laptop.service import CHECKOUT, Service

pytestmark = pytest.mark.system

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")  # an operation, beside those of the schemas' edges
SEED = os.environ.get("SCHEMATHESIS_SEED", "7")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
OPERATIONS = json.loads((CHECKOUT / "docs" / "openapi.json").read_text())["paths"]


@pytest.mark.parametrize("with_key", [True, False], ids=["with the key", "without a key"])
def test_nothing_is_found(service: Service, api_key: str, with_key: bool, tmp_path: Path) -> None:
    # Without a key every door is shut alike: what is drawn at the schemas' edges and from answers stays outside of the first.
    phases = PHASES if with_key else ("examples", "fuzzing")
    options = ["--phases", ",".join(phases), *(["--header", f"X-API-Key: {api_key}"] if with_key else [])]
    report = run(service, tmp_path, *options)
    assert report["operations"]["tested"] == sum(map(len, OPERATIONS.values()))
    assert {phase: report["phases"][phase]["status"] for phase in phases} == dict.fromkeys(phases, "success")
    accepted = {name: sum(one["accepted"] for one in phases.values()) for name, phases in report["valid_rates"].items()}
    if with_key:  # what is behind the key was reached, uploads that were diagnosed included
        assert min(accepted.values()) > 0, accepted
    else:
        assert {name for name, count in accepted.items() if count} == {"GET /healthz", "GET /readyz"}, accepted


def run(service: Service, folder: Path, *options: str) -> dict[str, Any]:
    """The report of one run that has found nothing."""
    report = folder / "report.json"
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{service.url}/openapi.json", "--no-color"]
    command += ["--max-examples", EXAMPLES, "--seed", SEED, "--report-json-path", report, *options]
    found = subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    content: dict[str, Any] = json.loads(report.read_text())
    return content
