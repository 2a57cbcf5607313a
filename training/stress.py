"""`make stress`: recordings with coughs on lines as callers have them, judged as served.

Every recording that is `ok` as it is goes through every family of `training.data.lines`, drawn by seed, as a file of 16
bits; the whole of `runtime.execute` judges it with the release that this checkout serves, or that `--checkout` serves:
the figures that stand beside ours in `make evaluate` are those of commit 591a891 (models/STRESS.json, with each path
that was `ok` undisturbed). What `make crossval` says of lines needs no release; this says what a release does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.config import ROOT
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, load_audio, read_dataset
from training.data.line_material import read_material
from training.data.lines import DEVELOPED_ON, FAMILIES, Material, drawn
from training.evaluation.candidates import LINES_SEED
from training.evaluation.conditions import flac
from training.evaluation.line_figures import is_covered
from training.progress import bar

# The process of a checkout: a path a line on stdin, the diagnosis a line on stdout. It imports from its own checkout.
_WORKER = """
import json, sys
from pathlib import Path
from runtime.config import load_config
from runtime.execute import execute
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit

params, classifier = load_config(), default_classifier()
for line in sys.stdin:
    found = execute(WorkUnit(Path(line.strip()), *params), classifier).to_dict()
    coughs = [(one["start_s"], one["end_s"]) for one in found["segments"] if one["is_cough"]]
    print(json.dumps({"status": found["status"], "reasons": found["reasons"], "coughs": coughs}), flush=True)
"""
Judged = Mapping[str, Any]


class _Checkout:
    """Judges files with the code and the release of a checkout."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _WORKER],
            cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def judge(self, path: Path) -> Judged:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        found: Judged = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        self._process.communicate()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make stress", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_FOLDERS[0])
    parser.add_argument("--sounds", type=Path, default=DEFAULT_FOLDERS[1])
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the checkout that judges, this one by default")
    parser.add_argument("--name", default="here", help="what it is called")
    parser.add_argument("--split", choices=("val", "all"), default="val", help="which recordings; all: train as well")
    parser.add_argument("--denominator", type=Path, help="JSON of an earlier run: the recordings to take")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "STRESS.json")
    options = parser.parse_args(arguments)
    try:
        entries = [entry for entry in read_dataset([options.data]) if entry.is_cough]
        material = read_material(options.sounds)
    except (DatasetError, OSError) as error:
        print(f"stress: {error}", file=sys.stderr)
        return 2
    entries = [entry for entry in entries if options.split == "all" or entry.split == "val"]
    wanted = set(json.loads(options.denominator.read_text())["recordings"]) if options.denominator else None
    results = {"name": options.name, **run(entries, material, options.checkout.resolve(), wanted)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return 0


def run(entries: Sequence[Entry], material: Material, checkout: Path, wanted: set[str] | None) -> dict[str, Any]:
    """Judge every recording on every line. wanted: paths to take; None: what is `ok` undisturbed.

    Returns `recordings`, and figures by family: `families`, of all, and `validation`, of the validation split.
    """
    judge = _Checkout(checkout)
    rows: list[tuple[Entry, Judged, dict[str, tuple[Judged, float]]]] = []
    with tempfile.TemporaryDirectory(prefix="tosia-stress-") as folder:
        file = Path(folder) / "recording.flac"
        for index in bar("recordings")(range(len(entries)), len(entries)):
            entry = entries[index]
            if wanted is not None and entry.path not in wanted:
                continue
            samples, rate_hz = load_audio(entry)
            _write(file, samples, rate_hz)
            undisturbed = judge.judge(file)
            if wanted is None and undisturbed["status"] != "ok":
                continue
            on_lines = {}
            for family in FAMILIES:
                line = drawn(family, entry.path, samples, rate_hz, material, LINES_SEED)
                _write(file, line.samples, rate_hz)
                on_lines[family] = judge.judge(file), line.later_s
            rows.append((entry, undisturbed, on_lines))
    judge.end()
    held = [row for row in rows if row[0].split == "val"]
    return {
        "seed": LINES_SEED,
        "recordings": [entry.path for entry, _, _ in rows],
        "families": {
            family: figures([plain for _, plain, _ in rows], [lines[family] for _, _, lines in rows])
            for family in FAMILIES
        },
        "validation": {
            family: figures([plain for _, plain, _ in held], [lines[family] for _, _, lines in held])
            for family in FAMILIES
        },
    }


def _write(file: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    file.write_bytes(flac(samples, rate_hz))


def figures(plain: Sequence[Judged], judged: Sequence[tuple[Judged, float]]) -> dict[str, float]:
    """Shares of the recordings by status, and of the undisturbed recordings' coughs that are found at their places."""
    kept = total = 0
    for before, (after, later_s) in zip(plain, judged, strict=True):
        spans = [tuple(span) for span in after["coughs"]]
        total += len(before["coughs"])
        kept += sum(is_covered((start_s + later_s, end_s + later_s), spans) for start_s, end_s in before["coughs"])
    statuses = [one["status"] for one, _ in judged]
    shares = {
        status: statuses.count(status) / max(1, len(statuses))
        for status in ("ok", "no_cough", "poor_quality", "inconclusive")
    }
    shares["coughs_kept"] = kept / total if total else 1.0
    return {name: round(share, 4) for name, share in shares.items()}


def table(results: Mapping[str, Any]) -> str:
    """Plain text: a line for each family."""
    lines = [f"{results['name']}: {len(results['recordings'])} recordings, seed {results['seed']}"]
    lines.append(f"{'family':16}{'':11}{'ok':>8}{'no_cough':>10}{'poor':>8}{'unsure':>8}{'kept':>8}")
    for family, one in results["families"].items():
        role = "developed" if family in DEVELOPED_ON else "judged"
        shares = f"{one['ok']:8.2f}{one['no_cough']:10.2f}{one['poor_quality']:8.2f}{one['inconclusive']:8.2f}"
        lines.append(f"{family:16}{role:11}{shares}{one['coughs_kept']:8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
