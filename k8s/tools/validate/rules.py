"""Check recording and alert rules with promtool: their syntax, and their test cases."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml


def rules(root: Path) -> Iterator[str]:
    """Run promtool. Without promtool only print a notice (tests/k8s/test_rules.py requires promtool in CI)."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("manifests: promtool is missing (Debian: prometheus), so the rules' cases were not run.", file=sys.stderr)
        return
    folder = root / "monitoring"
    spec = yaml.safe_load((folder / "rules.yaml").read_text(encoding="utf-8"))["spec"]
    for group in spec["groups"]:
        for rule in group["rules"]:
            if ("alert" in rule) == ("record" in rule):
                yield f"monitoring/rules.yaml: a rule of {group['name']} is no alert and no record, or both"
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "rules.yml").write_text(yaml.safe_dump({"groups": spec["groups"]}), encoding="utf-8")
        shutil.copy(folder / "rules.test.yaml", name)
        for arguments in (("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yaml")):
            run = subprocess.run([promtool, *arguments], cwd=name, capture_output=True, text=True, check=False)
            if run.returncode:
                said = " ".join((run.stdout + run.stderr).split())
                yield f"monitoring/rules.yaml: promtool {arguments[0]}: {said[:600]}"
                return
