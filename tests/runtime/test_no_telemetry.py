"""ONNX Runtime keeps and sends nothing, whoever imports it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ROOT

SCORES = """
import numpy
from runtime.onnx_classifier import default_classifier
print(len(default_classifier().classify(numpy.zeros((1, 64, 96), numpy.uint8)).cough))
"""


def run(code: str, home: Path) -> str:
    """What the code prints, in a new process that finds nothing in its home folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    environment.update(HOME=str(home), XDG_CACHE_HOME=str(home / "cache"), TMPDIR=str(home))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_scoring_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    assert run(SCORES, tmp_path) == "1"
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in str(path) or "Microsoft" in str(path)]


def users() -> list[str]:
    """Our modules that import ONNX Runtime, but for files that other environments run (they inherit the variable)."""
    found = []
    for package in ("runtime", "frontend", "export", "bench"):
        for file in sorted((ROOT / package).rglob("*.py")):
            if (
                re.search(r"^import onnxruntime$", file.read_text("utf-8"), re.MULTILINE)
                and file.name != "score_onnx.py"
            ):
                found.append(".".join(file.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("module", users())
def test_it_is_switched_off_before_it_is_imported(module: str, tmp_path: Path) -> None:
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
import {module}
"""
    assert run(code, tmp_path) == "1"
