"""The CPU half on other processors: whole processes under Debian's `qemu-user-static`, and samples made with older
code.

Unlike a library's own switch, an emulator shows its processor to every library: decoders, soxr, glibc, SciPy.
Recordings of a decoder that is exact must come to the same bits; the others to the same answer within rounding, which
`replay` proves.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.config import load_config
from runtime.execute import execute
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit
from tests.processors.emulation import assert_same_bits, emulated, native
from tests.processors.recordings import make_recordings

pytestmark = [pytest.mark.system, pytest.mark.shared, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("emulated") / "recordings"
    make_recordings(made, n_people=2)
    return made


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(native("tests.processors.digests", [str(folder)]))
    return found


def test_exact_decoders_give_the_same_bits_on_a_nehalem_and_no_others_differ(
    folder: Path, here: dict[str, Any]
) -> None:
    assert_same_bits("Nehalem", folder, here)


@pytest.fixture(scope="module")
def few(folder: Path, here: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of a decoder that is not exact, and the first of each that is; the network is slow in the emulator."""
    chosen = tmp_path_factory.mktemp("few") / "recordings"
    chosen.mkdir()
    first = {file["codec"]: name for name, file in reversed(here["files"].items()) if file["exact"]}
    for name in (*first.values(), *(name for name, file in here["files"].items() if not file["exact"])):
        shutil.copy(folder / name, chosen)
    return chosen


def test_a_record_made_here_is_repeated_there(
    few: Path, here: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = default_classifier()
    for path in few.iterdir():
        (tmp_path / path.name).write_text(execute(WorkUnit(path, *load_config()), classifier).to_json())
    lines = emulated("Nehalem", "tests.processors.replays", [str(few), str(tmp_path)]).splitlines()
    found = {item["name"]: item for item in map(json.loads, lines)}
    assert found.keys() == {path.name for path in few.iterdir()}
    for name, item in found.items():
        exact = here["files"][name]["exact"]
        assert item["verdict"] in ({"identical"} if exact else {"identical", "within rounding"}), item
        assert item["recorded_on"] == here["processor"]
    assert "within rounding" in {item["verdict"] for item in found.values()}
    # ONNX Runtime adds in another order there. How far scores move is what the margin of a record stands on.
    # A level that rounding moved moves them further.
    same_input = max(item["score_difference"] for name, item in found.items() if here["files"][name]["exact"])
    assert same_input < 1e-5
    furthest = max(item["score_difference"] for item in found.values())
    with capsys.disabled():
        print(
            f"\nscores on an emulated Nehalem differ by at most {same_input:.1e}, with levels moved by {furthest:.1e}"
        )
