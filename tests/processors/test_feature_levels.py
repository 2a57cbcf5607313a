"""One recording has one digest, whichever code the libraries choose for the processor.

Each library is told to leave out the code of newer processors, and the whole CPU half must come to the same bits.
Decoders can't be told so; tests/processors/test_emulated.py shows all of it to other processors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from laptop.service import CHECKOUT
from tests.processors.recordings import make_recordings

pytestmark = [pytest.mark.system, pytest.mark.shared]  # recordings of people

AVX_512 = ("X86_V4", "AVX512_ICL", "AVX512_SPR")
LEVELS: dict[str, dict[str, str]] = {
    "NumPy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": " ".join(AVX_512)},
    "NumPy without AVX2": {"NPY_DISABLE_CPU_FEATURES": " ".join(("X86_V3", *AVX_512))},
    "glibc without FMA and AVX2": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
}


def digests(folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """What a process with these variables makes of the folder's files."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.processors.digests", str(folder)],
        cwd=CHECKOUT, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processors") / "recordings"
    make_recordings(made, n_people=20)
    return made


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Any]:
    return digests(folder, {})


def test_the_recordings_have_coughs_two_channels_and_both_ends_of_the_mixing(here: dict[str, Any]) -> None:
    """Else equal digests would say little."""
    files = here["files"].values()
    assert len(files) >= 60
    assert sum(len(channel) for file in files for channel in file["segments"]) >= 100
    assert {str(file["channels"]) for file in files} >= {"[0]", "[0, 1]", "['mix']"}
    assert {file["exact"] for file in files} == {True, False}


@pytest.mark.parametrize("level", LEVELS)
def test_every_digest_is_the_same(level: str, folder: Path, here: dict[str, Any]) -> None:
    found = digests(folder, LEVELS[level])
    if "GLIBC_TUNABLES" in LEVELS[level]:
        assert found["processor"] == "x86-64-v2"
    if "OPENBLAS_CORETYPE" in LEVELS[level]:
        assert found["openblas"] == [LEVELS[level]["OPENBLAS_CORETYPE"]]
    left_out = set(LEVELS[level].get("NPY_DISABLE_CPU_FEATURES", "").split())
    assert not left_out.intersection(found["numpy_uses"])
    differing = {name: stages for name, stages in here["files"].items() if found["files"][name] != stages}
    assert not differing
