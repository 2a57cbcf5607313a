"""Store a trained network: the weights in one file, their description in another file beside it.

models/cough_cnn.pt     state dict
models/cough_cnn.json   its SHA-256, the preprocessing parameters, labels, thresholds, operating point, data digest,
                        seed
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter

from preprocess.color import ColorSpecParams, color_table
from runtime.atomic_write import atomic_write
from runtime.model_facts import ModelFacts, is_operating_point
from training.model.network import CoughCNN


class CheckpointError(ValueError):
    """The checkpoint can't be used; the message says what to do."""


@dataclass(frozen=True)
class CheckpointInfo(ModelFacts):
    """What a checkpoint was trained with and how it decides.

    recipe_sha256: of what it was learnt with (recipe.py); software_version: that trained it
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    recipe_sha256: str
    seed: int
    software_version: str


_DOCUMENT = TypeAdapter(CheckpointInfo)


def save_checkpoint(path: Path, network: CoughCNN, info: dict[str, Any]) -> CheckpointInfo:
    """Write both files, each whole or not at all."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    weights = buffer.getvalue()
    known = CheckpointInfo(checkpoint_sha256=hashlib.sha256(weights).hexdigest(), **info)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = asdict(known)
    document = {"sha256": document.pop("checkpoint_sha256"), **document}
    atomic_write(path, weights)
    atomic_write(path.with_suffix(".json"), (json.dumps(document, indent=2) + "\n").encode())
    return known


def load_checkpoint(path: Path) -> tuple[CoughCNN, CheckpointInfo]:
    """The network in evaluation mode and its description. One from before 0.4.0 has no `uncertain_threshold`: for it
    nothing is uncertain.

    Raises: CheckpointError where a file is missing, altered or holds NaN.
    """
    try:
        weights = path.read_bytes()
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        document["checkpoint_sha256"] = document.pop("sha256")
        document.setdefault("uncertain_threshold", document["cough_threshold"])
        info = _DOCUMENT.validate_json(json.dumps(document))
        if not is_operating_point(info.operating_point):
            raise ValueError(info.operating_point)
    except OSError as error:
        raise CheckpointError(f"{error.filename} can't be read: run `make train` or restore it from git.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path.stem}.json is not a checkpoint's description: run `make train` again.") from error
    if hashlib.sha256(weights).hexdigest() != info.checkpoint_sha256:
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
