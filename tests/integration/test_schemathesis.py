"""Requests drawn from the OpenAPI document, on the real service: every check of schemathesis, with the key.

Without one every door is shut alike: test_bad_http.py tries each operation of the document.

tests/schemathesis.toml holds the exceptions with their reasons, `drawn.py` where uploads come from. For longer, and
with others:

    SCHEMATHESIS_EXAMPLES=200 SCHEMATHESIS_SEED=1 .venv/bin/python -m pytest --timeout 3600
    tests/integration/test_schemathesis.py
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

CONFIG = str(CHECKOUT / "tests" / "schemathesis.toml")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")  # an operation, beside those of the schemas' edges
SEED = os.environ.get("SCHEMATHESIS_SEED", "7")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
OPERATIONS = json.loads((CHECKOUT / "docs" / "openapi.json").read_text())["paths"]


def test_schemathesis_finds_no_violations(service: Service, api_key: str, tmp_path: Path) -> None:
    report = run(service, tmp_path, "--phases", ",".join(PHASES), "--header", f"X-API-Key: {api_key}")
    assert report["operations"]["tested"] == sum(map(len, OPERATIONS.values()))
    assert {phase: report["phases"][phase]["status"] for phase in PHASES} == dict.fromkeys(PHASES, "success")
    accepted = {
        name: sum(item["accepted"] for item in phases.values()) for name, phases in report["valid_rates"].items()
    }
    assert min(accepted.values()) > 0, (
        accepted
    )  # what is behind the key was reached, uploads that were diagnosed included


def run(service: Service, folder: Path, *options: str) -> dict[str, Any]:
    """The report of one run that has found nothing."""
    report = folder / "report.json"
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        CONFIG,
        "run",
        f"{service.url}/openapi.json",
    ]
    command += ["--no-color", "--max-examples", EXAMPLES, "--seed", SEED, "--report-json-path", report, *options]
    found = subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, "NO_PROXY": "*"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    content: dict[str, Any] = json.loads(report.read_text())
    return content
