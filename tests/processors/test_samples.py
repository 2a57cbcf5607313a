"""The committed samples are made to the same bytes by a processor's older code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from laptop.service import CHECKOUT
from tests.processors.test_feature_levels import LEVELS


def test_the_samples_are_made_to_the_same_bytes_with_older_code(tmp_path: Path) -> None:
    """By the libraries' own switches."""
    variables = {name: value for level in LEVELS.values() for name, value in level.items()}
    assert "X86_V3" in variables["NPY_DISABLE_CPU_FEATURES"]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "samples.make", str(tmp_path)],
        cwd=CHECKOUT, env={**os.environ, **variables}, check=True,
    )  # fmt: skip
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(made) == 10
    assert [
        str(name) for name in made if (tmp_path / name).read_bytes() != (CHECKOUT / "samples" / name).read_bytes()
    ] == []
