"""`python -m bench.decoding OTHER_CHECKOUT`: CPU of decoding and of preparing here against another checkout's, and
decisions.

Each checkout has a process of its own on one core; for each note they are measured in turns. Only what every checkout
has is used: `preprocess.decode.decode`, `preprocess.resample.resample`, `runtime.prepare.prepare`,
`runtime.execute.execute`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.load.audio import CHECKOUT, sets

_SETS = ("16_khz_notes", "48_khz_notes")
# The process of a checkout: a task a line on stdin, its result a line on stdout. It imports from its own checkout.
_WORKER = """
import json, os, sys, time
from pathlib import Path
from preprocess.decode import decode
from preprocess.resample import resample
from runtime.config import load_config, load_limits
from runtime.execute import execute
from runtime.prepare import prepare
from runtime.work_unit import WorkUnit

os.sched_setaffinity(0, {int(sys.argv[1])})
params, limits = load_config(), load_limits()[1].decode

def decode_resample(data):
    recording = decode(data, limits)
    resample(recording.samples, recording.sample_rate_hz, 8000)

work = {"decode": decode_resample, "prepare": lambda data: prepare(data, *params, limits)}
for line in sys.stdin:
    task, path, repeats = json.loads(line)
    if task == "diagnose":
        found = execute(WorkUnit(Path(path), *params)).to_dict()
    else:
        data = Path(path).read_bytes()
        started = time.process_time()
        for _ in range(repeats):
            work[task](data)
        found = (time.process_time() - started) / repeats * 1000.0
    print(json.dumps(found), flush=True)
"""


class _Checkout:
    """The process of one checkout; to be used in a `with` block."""

    def __init__(self, folder: Path, core: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(core)],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> _Checkout:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def __call__(self, task: str, path: Path, repeats: int = 1) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101 - both are pipes
        self._process.stdin.write(json.dumps([task, str(path), repeats]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.decoding", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=5, help="turns for each note (default: 5)")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="(default: the last)")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        _Checkout(CHECKOUT, options.core) as ours,
        _Checkout(options.other.resolve(), options.core) as other,
    ):
        for name, notes in sets().items():
            if name not in _SETS:
                continue
            paths = [Path(folder) / f"{name}-{number}" for number in range(len(notes))]
            for path, note in zip(paths, notes, strict=True):
                path.write_bytes(note)
            for task in ("decode", "prepare"):
                print(f"{name}, {task}{' and resample' if task == 'decode' else ''}: ", end="", flush=True)
                print(_compare(task, paths, ours, other, options.rounds))
            print(f"{name}, decisions: {_decisions(paths, ours, other)}")
        _samples(ours, other)
    return 0


def _compare(task: str, paths: list[Path], ours: _Checkout, other: _Checkout, rounds: int) -> str:
    """The ratio of the sums over all notes, a ratio for each round; and the median note's."""
    here: list[list[float]] = []
    there: list[list[float]] = []
    for path in paths:
        for checkout in (ours, other):
            checkout(task, path)  # warms up
        measured = [(ours(task, path, 3), other(task, path, 3)) for _ in range(rounds)]
        here.append([item[0] for item in measured])
        there.append([item[1] for item in measured])
    sums = [(sum(a), sum(b)) for a, b in zip(zip(*here, strict=True), zip(*there, strict=True), strict=True)]
    ratios = [a / b for a, b in sums]
    by_note = statistics.median(statistics.median(a) / statistics.median(b) for a, b in zip(here, there, strict=True))
    each = [statistics.median(column) / len(paths) for column in zip(*sums, strict=True)]
    return (
        f"{statistics.median(ratios):.3f} times the other's CPU ({min(ratios):.3f} to {max(ratios):.3f}; "
        f"median note {by_note:.3f}), {each[0]:.2f} and {each[1]:.2f} ms a note"
    )


def _decisions(paths: list[Path], ours: _Checkout, other: _Checkout) -> str:
    """Of each candidate of the other checkout, whether the candidate here that overlaps it most is decided alike."""
    candidates = flipped = unmatched = statuses = moved = 0
    furthest = 0.0
    for path in paths:
        here, there = ours("diagnose", path), other("diagnose", path)
        statuses += (here["status"], _label(here)) != (there["status"], _label(there))
        moved += [_span(item) for item in here["segments"]] != [_span(item) for item in there["segments"]]
        for segment in there["segments"]:
            candidates += 1
            match = max(here["segments"], key=lambda item: _overlap(item, segment), default=None)
            if match is None or _overlap(match, segment) <= 0.0:
                unmatched += 1
                flipped += segment["is_cough"]
                continue
            flipped += match["is_cough"] != segment["is_cough"]
            furthest = max(furthest, abs(match["cough_probability"] - segment["cough_probability"]))
        for segment in here["segments"]:
            if max((_overlap(item, segment) for item in there["segments"]), default=0.0) <= 0.0:
                unmatched += 1
                flipped += segment["is_cough"]
    return (
        f"{flipped} of {candidates} candidates decided otherwise ({unmatched} without a partner), scores moved by at "
        f"most {furthest:.4f}, segments of {moved} and status or label of {statuses} of {len(paths)} notes differ"
    )


def _samples(ours: _Checkout, other: _Checkout) -> None:
    """Compare the status and reasons of every sample."""
    paths = sorted((CHECKOUT / "samples" / "preprocessing").glob("*/raw.*"))
    changed = []
    for path in paths:
        here, there = ours("diagnose", path), other("diagnose", path)
        if (here["status"], here["reasons"]) != (there["status"], there["reasons"]):
            changed.append(path.parent.name)
    print(f"samples: {len(paths)}, status or reasons changed of {changed or 'none'}")


def _label(diagnosis: dict[str, Any]) -> Any:
    return (diagnosis["result"] or {}).get("label")


def _span(segment: dict[str, Any]) -> tuple[float, float]:
    return segment["start_s"], segment["end_s"]


def _overlap(first: dict[str, Any], second: dict[str, Any]) -> float:
    return float(min(first["end_s"], second["end_s"]) - max(first["start_s"], second["start_s"]))


if __name__ == "__main__":
    sys.exit(main())
