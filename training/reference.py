"""`make reference`: what the checkpoint was trained on, in the bins of `runtime.line` -> models/REFERENCE.json.

Each recording of the train split as it is and once over a line that is drawn as `training.data.augment` draws them,
and each of the validation split as it is; all judged as served, by the release in model_repository/. `make export`
puts the file into the release. Needs no torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from runtime.atomic_write import atomic_write
from runtime.config import MODEL_REPOSITORY, ROOT, load_config
from runtime.diagnosis import Diagnosis
from runtime.errors import RuntimeFailure
from runtime.execute import execute
from runtime.line.quantities import BINS_SHA256, CODECS, LOSSLESS, Bins, bins_of, codec_family, count, no_counts
from runtime.onnx_classifier import OnnxClassifier
from runtime.version import SOFTWARE_VERSION
from runtime.work_unit import WorkUnit
from training.data.augment import augment
from training.data.codecs import encoded
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, load_audio, manifest_sha256, read_dataset
from training.data.examples import N_VARIANTS
from training.evaluation.conditions import flac
from training.progress import bar

FILE = ROOT / "models" / "REFERENCE.json"
SEED = 1  # not that of the training, so that no simulated line is one that the network was fitted on


@dataclass(frozen=True, slots=True)
class Task:
    """A recording, as it is or over a simulated line."""

    entry: Entry
    simulated: bool


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make reference", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS, help="as for make train")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    try:
        document = reference(options.data)
    except (DatasetError, RuntimeFailure, OSError) as error:
        print(f"reference: {error}", file=sys.stderr)
        return 2
    text = json.dumps(document, indent=1)
    atomic_write(options.out, (_bins_on_one_line(text) + "\n").encode())
    training = document["training"]
    print(f"{training['recordings']} recordings of training, {document['validation']['recordings']} of validation")
    return 0


def reference(data: Sequence[Path]) -> dict[str, Any]:
    """Measure the material. Raises: DatasetError, RuntimeFailure, OSError."""
    contract = OnnxClassifier(MODEL_REPOSITORY).contract()
    entries, sha256 = read_dataset(data), manifest_sha256(data)
    if sha256 != contract.data_sha256:
        raise DatasetError("the release in model_repository/ was trained on other data: give its DATA=.")
    trained = [entry for entry in entries if entry.split == "train"]
    held = [entry for entry in entries if entry.split == "val"]
    recorded, simulated, validation = no_counts(), no_counts(), no_counts()
    tasks = [*(Task(entry, simulated) for simulated in (False, True) for entry in trained)]
    tasks += [Task(entry, simulated=False) for entry in held]
    for task, bins in zip(tasks, measured(tasks, contract.cough_threshold), strict=True):
        count(bins, validation if task.entry.split == "val" else simulated if task.simulated else recorded)
    return {
        "checkpoint_sha256": contract.checkpoint_sha256,
        "data_sha256": sha256,
        "data": [folder.name for folder in data],
        "bins_sha256": BINS_SHA256,
        "software_version": SOFTWARE_VERSION,
        "training": {
            "recordings": len(trained),
            # Of the variants of each recording that a training hears, all but the first.
            "simulated_share": 1.0 - 1.0 / N_VARIANTS,
            "recorded": recorded,
            "simulated": simulated,
        },
        "validation": {"recordings": len(held), "recorded": validation},
    }


def measured(tasks: Sequence[Task], cough_threshold: float) -> Iterator[Bins]:
    """Yield where each lies, in their order; two processes measure."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = pool.map(_bins, tasks, [cough_threshold] * len(tasks), chunksize=16)
        yield from (bins for bins, _ in zip(found, bar("recordings")(range(len(tasks)), len(tasks)), strict=True))


def diagnosed(task: Task) -> tuple[Diagnosis, str]:
    """Judge as served. The second value: the bin of the codec that the line has used."""
    samples, rate_hz = load_audio(task.entry)
    codec = LOSSLESS
    if task.simulated:
        digest = hashlib.sha256(task.entry.path.encode()).digest()[:8]
        rng = _Noting(np.random.PCG64(np.random.SeedSequence((SEED, *digest))))
        changed = augment(samples, rate_hz, rng)
        samples, rate_hz, codec = changed.samples, changed.sample_rate_hz, _family(rng.last)
    return execute(WorkUnit(flac(samples, rate_hz), *load_config()), _classifier()), codec


class _Noting(np.random.Generator):
    """Remembers its last choice by name: `augment` chooses the codec last, and gives back what is left of the sound."""

    last = ""

    def choice(self, a: Any, *arguments: Any, **options: Any) -> Any:
        """As NumPy's."""
        found = super().choice(a, *arguments, **options)
        self.last = str(found)
        return found


def _bins(task: Task, cough_threshold: float) -> Bins:
    diagnosis, codec = diagnosed(task)
    return {**bins_of(diagnosis, cough_threshold), "codec": CODECS.index(codec)}


@cache
def _family(codec: str) -> str:
    """Return the bin of one of training's codecs, as a recording in it is served."""
    if codec == "none":
        return LOSSLESS
    second = np.sin(np.arange(8000, dtype=np.float32) / 4.0) / 2.0
    work = WorkUnit(encoded(second, 8000, codec), *load_config())
    return codec_family(execute(work, _classifier()).audio.codec)


@cache
def _classifier() -> OnnxClassifier:
    return OnnxClassifier(MODEL_REPOSITORY)


def _bins_on_one_line(text: str) -> str:
    """Return JSON with each list of numbers on one line, for people and for diffs."""
    lines: list[str] = []
    for line in text.splitlines():
        inside = bool(lines) and lines[-1].lstrip().startswith('"') and "[" in lines[-1] and "]" not in lines[-1]
        if inside:
            lines[-1] += line.strip() if lines[-1].endswith("[") or line.strip() in ("]", "],") else " " + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
