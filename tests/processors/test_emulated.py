"""The CPU half on other processors: whole processes under Debian's `qemu-user-static`, and samples made with older code.

Unlike a library's own switch, an emulator shows its processor to every library: decoders, soxr, glibc, SciPy. Recordings of
a decoder that is exact must come to the same bits; the others to the same answer within rounding, which `replay` proves.
"""

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
from runtime.config import load_config
from runtime.execute import execute
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit
from tests.processors.recordings import make_recordings
from tests.processors.test_feature_levels import LEVELS

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

QEMU = shutil.which("qemu-x86_64-static")
# SSE4.2 only; AVX2 and FMA. AVX-512 is beyond the emulator; the machine itself may have it. IvyBridge (AVX without FMA) and
# EPYC-Milan were tried by hand: docs/decisions/0016-same-bits.md.
PROCESSORS = {"Nehalem": "x86-64-v2", "Haswell": "x86-64-v3"}
# Modified cosine transforms in floats of FFmpeg, and mpg123 (in libsndfile) with two channels.
DEPEND_ON_THE_PROCESSOR = {"aac", "mp3", "wmav2"}


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("emulated") / "recordings"
    make_recordings(made, n_people=2)
    return made


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(native("tests.processors.digests", [str(folder)]))
    return found


@pytest.mark.shared
@pytest.mark.parametrize("processor", PROCESSORS)
def test_exact_decoders_give_the_same_bits_and_no_others_differ(
    processor: str, folder: Path, here: dict[str, Any]
) -> None:
    found = json.loads(emulated(processor, "tests.processors.digests", [str(folder)]))
    assert found["processor"] == PROCESSORS[processor]
    files = here["files"]
    differing = {name for name, one in files.items() if found["files"][name] != one}
    assert {name for name in differing if files[name]["exact"]} == set()
    # What is not called exact is not so for want of looking: on the oldest processor each such codec does differ.
    assert {one["codec"] for one in files.values() if not one["exact"]} == DEPEND_ON_THE_PROCESSOR
    if processor == "Nehalem":
        assert {files[name]["codec"] for name in differing} == DEPEND_ON_THE_PROCESSOR
    # Where samples differ in their last bits, boundaries and the choice of channels do not.
    for name in differing:
        assert found["files"][name]["segments"] == files[name]["segments"]
        assert found["files"][name]["channels"] == files[name]["channels"]


@pytest.fixture(scope="module")
def few(folder: Path, here: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of a decoder that is not exact, and the first of each that is; the network is slow in the emulator."""
    chosen = tmp_path_factory.mktemp("few") / "recordings"
    chosen.mkdir()
    first = {one["codec"]: name for name, one in reversed(here["files"].items()) if one["exact"]}
    for name in (*first.values(), *(name for name, one in here["files"].items() if not one["exact"])):
        shutil.copy(folder / name, chosen)
    return chosen


@pytest.mark.shared
def test_a_record_made_here_is_repeated_there(
    few: Path, here: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = default_classifier()
    for path in few.iterdir():
        (tmp_path / path.name).write_text(execute(WorkUnit(path, *load_config()), classifier).to_json())
    lines = emulated("Nehalem", "tests.processors.replays", [str(few), str(tmp_path)]).splitlines()
    found = {one["name"]: one for one in map(json.loads, lines)}
    assert found.keys() == {path.name for path in few.iterdir()}
    for name, one in found.items():
        exact = here["files"][name]["exact"]
        assert one["verdict"] in ({"identical"} if exact else {"identical", "within rounding"}), one
        assert one["recorded_on"] == here["processor"]
    assert "within rounding" in {one["verdict"] for one in found.values()}
    # ONNX Runtime adds in another order there. How far scores move is what the margin of a record stands on.
    # A level that rounding moved moves them further.
    same_input = max(one["score_difference"] for name, one in found.items() if here["files"][name]["exact"])
    assert same_input < 1e-5
    furthest = max(one["score_difference"] for one in found.values())
    with capsys.disabled():
        print(
            f"\nscores on an emulated Nehalem differ by at most {same_input:.1e}, with levels moved by {furthest:.1e}"
        )


def test_the_samples_are_made_to_the_same_bytes_with_older_code(tmp_path: Path) -> None:
    """By the libraries' own switches: under the emulator it takes six minutes."""
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
