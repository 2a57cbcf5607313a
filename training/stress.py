"""`make stress`: recordings of the validation split on lines as callers have them, judged as served.

Every recording that is `ok` as it is goes through every family of `training.evaluation.lines`, drawn by seed, as a file
of 16 bits; the whole of `runtime.execute` judges it with the release that this checkout serves. `--checkout` names
another checkout of this repository, judged on the same files. Prints a table, and writes models/STRESS.json: the
figures, and once each path that was `ok` undisturbed.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from runtime.config import ROOT
from training.data.dataset import DatasetError, Entry, load_audio, read_dataset
from training.evaluation.lines import DEVELOPED_ON, FAMILIES, Material, drawn
from training.progress import bar

SEED = 19
MUSIC_SOURCE, PROMPT_SOURCE = "asterisk-moh", "asterisk-core-sounds-es"
_KEPT_SHARE = 0.5  # a cough is kept where an accepted candidate covers so much of it
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
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cough")
    parser.add_argument("--sounds", type=Path, default=ROOT.parent / "shared" / "data" / "hardneg")
    parser.add_argument("--checkout", type=Path, help="another checkout, judged on the same files")
    parser.add_argument("--name", default="other", help="what the other checkout is called in the table")
    parser.add_argument("--denominator", type=Path, help="JSON of an earlier run: the recordings to take")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "STRESS.json")
    options = parser.parse_args(arguments)
    try:
        entries = [entry for entry in read_dataset(options.data) if entry.split == "val" and entry.is_cough]
        material = read_material(options.sounds)
    except (DatasetError, OSError) as error:
        print(f"stress: {error}", file=sys.stderr)
        return 2
    checkouts = {"here": ROOT, **({options.name: options.checkout.resolve()} if options.checkout else {})}
    wanted = set(json.loads(options.denominator.read_text())["recordings"]) if options.denominator else None
    results = run(entries, material, checkouts, wanted)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return 0


def read_material(sounds: Path) -> Material:
    """Spanish prompts and hold music of the training split of hardneg. Raises: OSError, DatasetError."""
    prompts: list[NDArray[np.float32]] = []
    music: list[NDArray[np.float32]] = []
    with (sounds / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rate_hz = 16_000
    for row in rows:
        group = music if MUSIC_SOURCE in row["path"] else prompts if PROMPT_SOURCE in row["path"] else None
        if group is None or int(row["sample_rate"]) != rate_hz:
            continue
        samples, _ = soundfile.read(sounds / row["path"], dtype="float32")
        if len(samples) > rate_hz:
            group.append(samples / max(float(np.abs(samples).max()), 1e-6))
    if not prompts or not music:
        raise DatasetError(f"{sounds} has no {PROMPT_SOURCE} or no {MUSIC_SOURCE} at {rate_hz} Hz: give SOUNDS=.")
    return Material(prompts, music, rate_hz)


def run(
    entries: Sequence[Entry], material: Material, checkouts: Mapping[str, Path], wanted: set[str] | None
) -> dict[str, Any]:
    """Judge every recording on every line, by every checkout. wanted: paths to take; None: what the last one says is
    `ok` undisturbed.
    """
    judges = {name: _Checkout(path) for name, path in checkouts.items()}
    reference = list(judges)[-1]
    found: dict[str, dict[str, list[tuple[Judged, float]]]] = {name: {} for name in judges}
    plain: dict[str, list[Judged]] = {name: [] for name in judges}
    paths: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tosia-stress-") as folder:
        file = Path(folder) / "recording.flac"
        for index in bar("recordings")(range(len(entries)), len(entries)):
            entry = entries[index]
            samples, rate_hz = load_audio(entry)
            if wanted is not None and entry.path not in wanted:
                continue
            _write(file, samples, rate_hz)
            undisturbed = {name: judge.judge(file) for name, judge in judges.items()}
            if wanted is None and undisturbed[reference]["status"] != "ok":
                continue
            paths.append(entry.path)
            for name, one in undisturbed.items():
                plain[name].append(one)
            for family in FAMILIES:
                line = drawn(family, entry.path, samples, rate_hz, material, SEED)
                _write(file, line.samples, rate_hz)
                for name, judge in judges.items():
                    found[name].setdefault(family, []).append((judge.judge(file), line.later_s))
    for judge in judges.values():
        judge.end()
    return {
        "seed": SEED,
        "recordings": paths,
        "families": {
            name: {family: figures(plain[name], judged) for family, judged in by_family.items()}
            for name, by_family in found.items()
        },
    }


def _write(file: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    soundfile.write(file, np.clip(samples, -1.0, 1.0), rate_hz, format="FLAC", subtype="PCM_16")


def figures(plain: Sequence[Judged], judged: Sequence[tuple[Judged, float]]) -> dict[str, float]:
    """Shares of the recordings by status, and of the undisturbed recordings' coughs that are found at their places."""
    kept = total = 0
    for before, (after, later_s) in zip(plain, judged, strict=True):
        total += len(before["coughs"])
        kept += sum(
            _covered(start_s + later_s, end_s + later_s, after["coughs"]) for start_s, end_s in before["coughs"]
        )
    statuses = [one["status"] for one, _ in judged]
    shares = {status: statuses.count(status) / len(statuses) for status in ("ok", "no_cough", "poor_quality")}
    shares["coughs_kept"] = kept / total if total else 1.0
    return {name: round(share, 4) for name, share in shares.items()}


def _covered(start_s: float, end_s: float, spans: Sequence[Sequence[float]]) -> bool:
    overlap = sum(max(0.0, min(end_s, span[1]) - max(start_s, span[0])) for span in spans)
    return overlap >= _KEPT_SHARE * (end_s - start_s)


def table(results: Mapping[str, Any]) -> str:
    """Plain text: a line for each family and checkout."""
    lines = [f"{len(results['recordings'])} recordings, seed {results['seed']}"]
    lines.append(f"{'family':16}{'':11}{'':8}{'ok':>8}{'no_cough':>10}{'poor':>8}{'kept':>8}")
    for family in FAMILIES:
        role = "developed" if family in DEVELOPED_ON else "judged"
        for name, by_family in results["families"].items():
            one = by_family[family]
            shares = f"{one['ok']:8.2f}{one['no_cough']:10.2f}{one['poor_quality']:8.2f}{one['coughs_kept']:8.2f}"
            lines.append(f"{family:16}{role:11}{name:8}{shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
