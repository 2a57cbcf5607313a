"""The candidate: loads the checkpoint for export, or says in a sentence why it can't be exported."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import ExportError
from runtime.classify import Scores
from runtime.config import load_config, preprocess_parameters
from runtime.contract import require_same_parameters
from runtime.model_facts import LABELS, ModelFacts
from training.model.checkpoint import CheckpointError, load_checkpoint
from training.model.network import CoughCNN

_BATCH = 64


def load_candidate(path: Path) -> tuple[CoughCNN, ModelFacts]:
    """The network in evaluation mode, and its facts.

    Raises: ExportError where a file is missing or altered, weights are NaN, or classes are named otherwise than a
    diagnosis names them; ParametersDiffer where the checkpoint was trained with other parameters than config.yml holds;
    ConfigError.
    """
    try:
        network, info = load_checkpoint(path)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    if info.labels != LABELS:
        raise ExportError(
            f"{path.stem}.json names the classes {', '.join(info.labels)}, but a diagnosis has {', '.join(LABELS)}: "
            "train on a manifest with these labels."
        )
    require_same_parameters(info.preprocess, preprocess_parameters(*load_config()))
    return network, info


def precise_scores(network: CoughCNN, spectrograms: NDArray[np.uint8]) -> Scores:
    """Score in float64, for choices that must not depend on the processor: processors add in different orders, which
    changes float32 by 1e-6 and float64 by 1e-15.
    """
    precise = copy.deepcopy(network).double()
    with torch.inference_mode():
        parts = [precise(part) for part in torch.from_numpy(spectrograms).split(_BATCH)]
    cough, classes = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Scores(cough[:, 0], classes)


def torch_scores(network: CoughCNN, spectrograms: NDArray[np.uint8]) -> Scores:
    """Scores of uint8 [shape=(n, n_mels, n_frames)] by the checkpoint itself."""
    with torch.inference_mode():
        cough, classes = network(torch.from_numpy(spectrograms))
    return Scores(cough[:, 0].numpy(), classes.numpy())
