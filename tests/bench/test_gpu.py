"""What `make bench-gpu` can be held to without a GPU: that it says so, and what it reads off its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu import onnx as gpu_onnx
from bench.gpu import report as gpu
from laptop.service import CHECKOUT

BARE = {"float32": {1: 1000.0, 64: 8000.0}, "float16": {1: 1100.0, 64: 16000.0}}


def figures(through_triton: dict[int, dict[int, list[float]]]) -> gpu.Figures:
    return gpu.Figures("a GPU", BARE, through_triton, gpu.best_delay(through_triton))


def test_the_best_delay_has_the_best_medians() -> None:
    rounds = {
        0: {32: [900.0, 1000.0, 9000.0], 64: [2000.0, 2000.0, 2000.0]},
        100: {32: [1200.0, 1200.0, 10.0], 64: [2000.0, 2000.0, 2000.0]},
        500: {32: [1300.0, 1300.0, 1300.0], 64: [1000.0, 1000.0, 1000.0]},
    }
    assert gpu.best_delay(rounds) == 100


def test_of_equal_delays_the_shortest_is_the_best() -> None:
    assert gpu.best_delay({500: {32: [5.0]}, 50: {32: [5.0]}, 100: {32: [5.0]}}) == 50


def test_the_share_is_of_the_bare_loops_best() -> None:
    found = figures({0: {32: [3000.0, 4000.0, 5000.0], 64: [6000.0, 6000.0, 9000.0]}})
    assert found.share == 0.75
    assert json.loads(json.dumps(found.to_dict()))["share"] == 0.75


def test_the_tables_hold_every_figure() -> None:
    lines = gpu.markdown(figures({0: {32: [3000.0, 4000.0, 5000.0], 64: [6000.0, 6000.0, 9000.0]}})).splitlines()
    assert "| 64 | 8000 | 16000 |" in lines
    assert "| 0 | 4000 (3000-5000) | 6000 (6000-9000) |" in lines
    assert lines[-1] == "Best delay: 0 µs. Triton's share: 0.75."


def test_without_a_gpu_one_plain_line_and_no_failure(tmp_path: Path) -> None:
    """In the bare interpreter, since nothing needs to be installed for that answer."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.append({str(CHECKOUT)!r}); import bench.gpu.__main__ as g; ",
    ]
    command[-1] += "sys.exit(g.main(sys.argv[1:]))"
    environ = {"PATH": str(tmp_path)}  # no nvidia-smi there
    run = subprocess.run([*command], capture_output=True, text=True, check=False, cwd=tmp_path, env=environ)
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{gpu.NO_GPU}\n", "")
    assert "\n" not in gpu.NO_GPU
    assert not list(tmp_path.iterdir())
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False, env=environ)
    assert (checked.returncode, checked.stdout) == (1, f"{gpu.NO_GPU}\n")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'", True),
        ("echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9", False),
        ("echo 'No devices were found'", False),
    ],
)
def test_a_gpu_is_what_the_drivers_program_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: bool
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.has_gpu() is found


def test_the_release_on_a_gpu_says_so_too_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_onnx.main([]) == 0
    assert capsys.readouterr().out == f"{gpu.NO_GPU}\n"


def test_a_throughput_counts_the_coughs_of_whole_rounds() -> None:
    sizes: list[int] = []
    found = gpu_onnx.throughput(sizes.append, [1, 2, 5], seconds=0.01)
    assert sizes[:6] == [1, 2, 5, 1, 2, 5]  # these warm up
    assert len(sizes) % 3 == 0
    assert 0 < found <= sum(sizes[6:]) / 0.01
