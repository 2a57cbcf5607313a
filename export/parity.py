"""Compare two ways to score the same spectrograms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.classify import Scores
from training.network import CoughCNN

TOLERANCE = 1e-4  # of a probability; float32 convolutions differ by about 1e-6 between libraries


class ParityError(ValueError):
    """Two runtimes disagree about the same spectrograms."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest absolute difference of any probability, and how many decisions differ at the cough threshold."""

    max_difference: float
    flips: int


def torch_scores(network: CoughCNN, spectrograms: NDArray[np.uint8]) -> Scores:
    """Scores of uint8 [shape=(n, n_mels, n_frames)] by the checkpoint itself."""
    with torch.inference_mode():
        cough, classes = network(torch.from_numpy(spectrograms))
    return Scores(cough[:, 0].numpy(), classes.numpy())


def compare(expected: Scores, found: Scores, cough_threshold: float) -> Parity:
    """Differences between two Scores of the same spectrograms."""
    difference = max(
        float(np.abs(expected.cough - found.cough).max(initial=0.0)),
        float(np.abs(expected.classes - found.classes).max(initial=0.0)),
    )
    flips = int(np.sum((expected.cough >= cough_threshold) != (found.cough >= cough_threshold)))
    return Parity(difference, flips)


def check_parity(expected: Scores, found: Scores, cough_threshold: float, what: str) -> Parity:
    """Raises: ParityError if any probability differs by more than TOLERANCE or any decision flips."""
    parity = compare(expected, found, cough_threshold)
    if parity.max_difference > TOLERANCE or parity.flips:
        raise ParityError(
            f"{what} differs from torch by {parity.max_difference:.2e} with {parity.flips} decisions flipped: "
            f"no release was written; check export/to_onnx.py against training/network.py."
        )
    return parity
