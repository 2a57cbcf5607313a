"""Whole processes under Debian's `qemu-user-static`, and what every processor must agree on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from laptop.service import CHECKOUT

QEMU = shutil.which("qemu-x86_64-static")
# SSE4.2 only; AVX2 and FMA. AVX-512 is beyond the emulator; the machine itself may have it. IvyBridge (AVX without FMA)
# and EPYC-Milan were tried by hand: docs/decisions/0016-same-bits.md.
PROCESSORS = {"Nehalem": "x86-64-v2", "Haswell": "x86-64-v3"}
# Modified cosine transforms in floats of FFmpeg.
DEPEND_ON_THE_PROCESSOR = {"aac", "wmav2"}
# Where libopus may have to conceal in CELT mode; from outside only the occasion can be seen, and it is rare.
MAY_DEPEND = {"opus"}


def emulated(processor: str, module: str, arguments: Sequence[str]) -> str:
    if QEMU is None:
        pytest.skip("qemu-x86_64-static is missing: install Debian's qemu-user-static.")
    ran = subprocess.run(
        [QEMU, "-cpu", processor, sys.executable, "-W", "ignore", "-m", module, *arguments],
        cwd=CHECKOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def native(module: str, arguments: Sequence[str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout


def assert_same_bits(processor: str, folder: Path, here: dict[str, Any]) -> None:
    """Of every decoder that is exact; of the others boundaries and channels."""
    found = json.loads(emulated(processor, "tests.processors.digests", [str(folder)]))
    assert found["processor"] == PROCESSORS[processor]
    files = here["files"]
    differing = {name for name, file in files.items() if found["files"][name] != file}
    assert {name for name in differing if files[name]["exact"]} == set()
    # What is not called exact is not so for want of looking: on the oldest processor each such codec does differ.
    assert {file["codec"] for file in files.values() if not file["exact"]} - MAY_DEPEND == DEPEND_ON_THE_PROCESSOR
    if processor == "Nehalem":
        assert {files[name]["codec"] for name in differing} - MAY_DEPEND == DEPEND_ON_THE_PROCESSOR
    # Where samples differ in their last bits, boundaries and the choice of channels do not.
    for name in differing:
        assert found["files"][name]["segments"] == files[name]["segments"]
        assert found["files"][name]["channels"] == files[name]["channels"]
