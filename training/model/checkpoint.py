"""Keep a trained network: the weights in one file, everything that one must know about them in another beside it.

models/cough_cnn.pt     state dict
models/cough_cnn.json   its SHA-256, the preprocessing parameters, labels, thresholds, data digest, seed
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from preprocess.color import ColorSpecParams, color_table
from training.model.network import CoughCNN


class CheckpointError(ValueError):
    """The checkpoint can't be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a checkpoint was trained with and how it decides.

    preprocess: as `runtime.config.preprocess_parameters` gives it; validated: whether anyone may rely on the class
    recipe_sha256: of what it was learnt with (recipe.py)
    """

    sha256: str
    labels: tuple[str, ...]
    preprocess: dict[str, dict[str, Any]]
    cough_threshold: float
    threshold_low: float
    threshold_high: float
    validated: bool
    data_sha256: str
    recipe_sha256: str
    seed: int
    software_version: str


def save_checkpoint(path: Path, network: CoughCNN, info: dict[str, Any]) -> CheckpointInfo:
    """Write both files, each whole or not at all."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    weights = buffer.getvalue()
    known = CheckpointInfo(sha256=hashlib.sha256(weights).hexdigest(), **info)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, weights)
    _write(path.with_suffix(".json"), (json.dumps(asdict(known), indent=2) + "\n").encode())
    return known


def load_checkpoint(path: Path) -> tuple[CoughCNN, CheckpointInfo]:
    """The network in evaluation mode and its description.

    Raises: CheckpointError where a file is missing, altered or holds NaN.
    """
    try:
        weights = path.read_bytes()
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        info = CheckpointInfo(**{**document, "labels": tuple(document["labels"])})
    except OSError as error:
        raise CheckpointError(f"{error.filename} can't be read: run `make train` or restore it from git.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path.stem}.json is not a checkpoint's description: run `make train` again.") from error
    if hashlib.sha256(weights).hexdigest() != info.sha256:
        raise CheckpointError(
            f"{path.name} is not the file that {path.stem}.json describes: restore both from one run."
        )
    network = CoughCNN(color_table(ColorSpecParams(**info.preprocess["color_spec"])), len(info.labels))
    try:
        network.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"{path.name} does not fit the network in training/model/network.py: train again."
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values()):
        raise CheckpointError(f"{path.name} holds weights that are no numbers: train again with another seed.")
    return network.eval(), info


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_bytes(content)
    beside.replace(path)
