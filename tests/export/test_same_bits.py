"""What export and training write, but for trained weights, is the same bytes whichever code the libraries choose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from runtime.config import ROOT

pytestmark = pytest.mark.training

# As if there were no AVX2: torch's own switch, oneDNN's, MKL's, NumPy's, glibc's and OpenBLAS's.
OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    "OPENBLAS_CORETYPE": "Nehalem",
}


def written(variables: dict[str, str]) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.export.same_bits"],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_a_release_the_golden_set_and_the_conditions_are_the_same_bytes() -> None:
    here, older = written({}), written(OLDER)
    assert older["torch"] == "DEFAULT"
    assert here["release"].keys() == {
        *("model", "half", "padded", "onnx_config", "cuda_config"),
    }
    assert len(here["conditions"]) >= 20
    for kind in ("release", "judged by", "conditions"):
        assert {name for name, value in here[kind].items() if older[kind][name] != value} == set()
    # Scores are what may differ, by rounding: far less than the margin that records name.
    assert np.abs(np.subtract(here["scores"], older["scores"])).max() < 1e-5
