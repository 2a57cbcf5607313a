"""`make drift-figures`: the validation split over lines, which drift it shows after how many calls, and what stays
quiet -> docs/drift.json and the tables of docs/drift.md. About eight minutes on two cores.

Judged by models/REFERENCE.json, whose thresholds were chosen on the train split alone. Exits 0; 2 with one line where
the data is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.drift.lines import WAYS, over_way
from bench.drift.page import write
from bench.drift.walks import false_alarms, walks
from bench.report.machine import machine
from runtime.config import MODEL_REPOSITORY, ROOT, load_config
from runtime.contract import read_contract
from runtime.execute import execute
from runtime.line.quantities import Bins, bins_of
from runtime.line.reference import Reference, read_reference
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, read_dataset
from training.reference import FILE, Task, measured

ORDERS = 20
CALLS_EACH, CHANCE_CALLS, CHANCE_REPEATS = (1, 3, 5, 8), (50, 200, 1000), 400


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make drift-figures", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS, help="as for make train")
    options = parser.parse_args(arguments)
    reference = read_reference(json.loads(FILE.read_text(encoding="utf-8")))
    if reference is None:
        print("drift: models/REFERENCE.json has other bins: run `make reference` first.", file=sys.stderr)
        return 2
    before = machine()
    try:
        entries = read_dataset(options.data)
    except DatasetError as error:
        print(f"drift: {error}", file=sys.stderr)
        return 2
    held = [entry for entry in entries if entry.split == "val"]
    over = {name: list(over_way(held, name)) for name in WAYS}
    report: dict[str, Any] = {
        "machine": before,
        "release": read_contract(MODEL_REPOSITORY).version,
        "recordings": len(held),
        "orders": ORDERS,
        "lines": {name: walks(calls, reference, ORDERS) for name, calls in over.items()},
        "quiet": quiet(held, over["plain"], reference),
        "chance": chance([entry for entry in entries if entry.split == "train"], reference),
    }
    write(report)
    for name, found in report["lines"].items():
        print(f"{name}: {', '.join(one['kind'] for one in found) or 'nothing'}")
    return 0


def quiet(held: Sequence[Entry], calls: Sequence[Bins], reference: Reference) -> list[dict[str, Any]]:
    """Return what alarms of recordings that come as they are: the validation split, parts of it, and our samples."""
    coughs = [bins for entry, bins in zip(held, calls, strict=True) if entry.is_cough]
    phones = [bins for entry, bins in zip(held, calls, strict=True) if entry.source.startswith("c19_")]
    classifier = default_classifier()
    files = sorted((ROOT / "samples" / "preprocessing").glob("*/raw.*"))
    samples = [
        bins_of(execute(WorkUnit(file, *load_config()), classifier), classifier.contract().cough_threshold)
        for file in files
    ]
    sets: Mapping[str, Sequence[Bins]] = {
        "the validation split": calls,
        "its recordings with coughs": coughs,
        "its telephone calls and voice messages": phones,
        "every second of its recordings": calls[::2],
        "the first 100": calls[:100],
        "`samples/`": samples,
    }
    return [
        {"what": what, "calls": len(part), "orders": ORDERS, "alarms": walks(part, reference, ORDERS)}
        for what, part in sets.items()
    ]


def chance(trained: Sequence[Entry], reference: Reference) -> dict[str, Any]:
    """Return how often calls as in training alarm: what the thresholds were chosen by."""
    threshold = read_contract(MODEL_REPOSITORY).cough_threshold
    parts = [list(measured([Task(entry, simulated) for entry in trained], threshold)) for simulated in (False, True)]
    by_subject: dict[str, tuple[list[Bins], list[Bins]]] = {}
    for entry, plain, simulated in zip(trained, *parts, strict=True):
        recordings = by_subject.setdefault(entry.subject_id, ([], []))
        recordings[0].append(plain)
        recordings[1].append(simulated)
    subjects = list(by_subject.values())
    return {
        "calls": list(CHANCE_CALLS),
        "repeats": CHANCE_REPEATS,
        "by_calls_each": {
            each: [
                false_alarms(subjects, reference, calls_each=each, n=n, repeats=CHANCE_REPEATS) for n in CHANCE_CALLS
            ]
            for each in CALLS_EACH
        },
    }


if __name__ == "__main__":
    sys.exit(main())
