"""Write a release: a whole repository directory that Triton loads, with a manifest of digests.

Written beside and renamed, so that an interruption leaves the old release or the new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from export.triton_config import LABEL_FILE, config_text, triton_config
from runtime.contract import MODEL_NAME, read_contract
from runtime.version import SOFTWARE_VERSION
from training.checkpoint import CheckpointInfo

MANIFEST = "manifest.json"


def write_release(
    target: Path, number: int, model: bytes, info: CheckpointInfo, metrics: dict[str, Any] | None = None
) -> None:
    """Fill `target` (which must not exist) with `cough_cnn/`, and a manifest that names every file's SHA-256.

    metrics: figures of this checkpoint, as `published_metrics` gives them; none, where it was not evaluated
    """
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    version = beside / MODEL_NAME / str(number)
    version.mkdir(parents=True)
    config = triton_config(info, hashlib.sha256(model).hexdigest())
    (version / "model.onnx").write_bytes(model)
    (beside / MODEL_NAME / "config.pbtxt").write_text(config_text(config), encoding="utf-8")
    (beside / MODEL_NAME / LABEL_FILE).write_text("\n".join(info.labels) + "\n", encoding="utf-8")
    (beside / MANIFEST).write_text(
        json.dumps(_manifest(beside, number, info, metrics), indent=2) + "\n", encoding="utf-8"
    )
    read_contract(beside)  # what can't be read back is no release
    beside.replace(target)


def select_release(release: Path, repository: Path) -> None:
    """Make `repository` a copy of `release`."""
    beside, before = (repository.with_name(repository.name + suffix) for suffix in (".part", ".before"))
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(release, beside)
    shutil.rmtree(before, ignore_errors=True)
    if repository.exists():
        repository.replace(before)
    beside.replace(repository)
    shutil.rmtree(before, ignore_errors=True)


def published_metrics(metrics_file: Path, info: CheckpointInfo) -> dict[str, Any]:
    """name -> value of the checkpoint on the validation split; nothing where METRICS.json is missing or of another checkpoint."""
    if not metrics_file.is_file():
        return {}
    metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    if metrics["checkpoint_sha256"] != info.sha256:
        return {}
    return {name: figure["value"] for name, figure in metrics["validation"].items()}


def next_number(releases: Path, repository: Path) -> int:
    """One above every release on disk and the selected one."""
    numbers = [int(one.name) for one in releases.iterdir() if one.name.isdigit()] if releases.is_dir() else []
    if (repository / MANIFEST).is_file():
        numbers.append(int(json.loads((repository / MANIFEST).read_text(encoding="utf-8"))["release"]))
    return max(numbers, default=0) + 1


def _manifest(folder: Path, number: int, info: CheckpointInfo, metrics: dict[str, Any] | None) -> dict[str, Any]:
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {
        "release": number,
        "files": {one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest() for one in files},
        "checkpoint_sha256": info.sha256,
        "data_sha256": info.data_sha256,
        "software_version": SOFTWARE_VERSION,
        "validated": info.validated,
        "metrics": metrics or {},
    }
