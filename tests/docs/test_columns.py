"""No line is wider than a screen beside another: in documents, in code, and in manifests."""

from __future__ import annotations

import re
import subprocess

import pytest

from runtime.config import ROOT

COLUMNS = 120
_ADDRESS = re.compile(r"https?://\S{60,}")  # can't be broken: it counts as one short word
SUFFIXES = (".md", ".py", ".js", ".css", ".yaml", ".yml", ".sh")


def tracked() -> list[str]:
    """Committed files that people write or read; lock files, models and JSON are neither."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if (ROOT / name).is_file()]
    return [name for name in names if name.endswith(SUFFIXES) or name.rpartition("/")[2] == "Makefile"]


@pytest.mark.parametrize("suffix", [*SUFFIXES, "Makefile"])
def test_no_line_is_over_120_columns(suffix: str) -> None:
    names = [name for name in tracked() if name.endswith(suffix)]
    assert names, suffix
    wide = [
        f"{name}:{number}: {len(line)}"
        for name in names
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), start=1)
        if len(_ADDRESS.sub("address", line)) > COLUMNS
    ]
    assert wide == []
