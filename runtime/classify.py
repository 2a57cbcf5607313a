"""The interface of every classifier, and the checks of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.contract import ModelContract
from runtime.errors import UnusableScores

# A model in half precision rounds each probability by up to 2.4e-4 before it is float32 again. Logits, or the other
# output in its place, are off by far more.
SUM_TOLERANCE = 0.01
RANGE_TOLERANCE = 1e-5  # a graph that ends in other operations than a sigmoid may round 1.0 up by some 1e-7


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n spectrograms. cough: float32 [shape=(n,)]; classes: float32 [shape=(n, n_classes)], rows sum to 1."""

    cough: NDArray[np.float32]
    classes: NDArray[np.float32]


class Classifier(Protocol):
    """Scores spectrograms with one model."""

    def contract(self) -> ModelContract:
        """The serving model's promises. Raises: InferenceError, ModelContractError."""
        ...

    def classify(self, spectrograms: NDArray[np.uint8]) -> Scores:
        """uint8 [shape=(n, n_mels, n_frames)], n >= 0 -> Scores of n. Raises: InferenceError."""
        ...


class AsyncClassifier(Protocol):
    """A `Classifier` for an event loop, with a time limit for every answer."""

    async def contract(self, timeout_s: float) -> ModelContract:
        """The serving model's promises, asked anew. Raises: InferenceError, ModelContractError."""
        ...

    async def is_ready(self) -> bool:
        """Whether the model can score now."""
        ...

    async def classify(self, spectrograms: NDArray[np.uint8], contract: ModelContract, timeout_s: float) -> Scores:
        """uint8 [shape=(n, n_mels, n_frames)], n >= 0 -> Scores of n. Raises: InferenceError, InferenceTimeout."""
        ...

    async def close(self) -> None:
        """Release the classifier's resources."""
        ...


def checked_scores(cough: NDArray[Any] | None, classes: NDArray[Any] | None, n: int, contract: ModelContract) -> Scores:
    """Check the two output tensors, float32 [shape=(n, 1)] and [shape=(n, n_classes)], and return n scores.

    Triton checks no outputs of a model: other types and shapes, and values that are no probabilities, come back as OK;
    24.10 answers with empty outputs where its Python environment is wrong.
    Raises: UnusableScores.
    """
    if cough is None or classes is None or cough.shape != (n, 1) or classes.shape != (n, len(contract.labels)):
        raise UnusableScores("The inference server answered without the scores: check its environment and its log.")
    if cough.dtype != np.float32 or classes.dtype != np.float32:
        raise UnusableScores("The inference server answered with scores of another type: check the model.")
    # Compared so that NaN is refused as well.
    least, most = -RANGE_TOLERANCE, 1.0 + RANGE_TOLERANCE
    if not all((scores >= least).all() and (scores <= most).all() for scores in (cough, classes)):
        raise UnusableScores("The inference server answered with scores that are no probabilities: check the model.")
    if not (np.abs(classes.sum(axis=1) - 1.0) <= SUM_TOLERANCE).all():
        raise UnusableScores("The inference server's class probabilities do not sum to 1: check the model.")
    return Scores(np.clip(cough[:, 0], 0.0, 1.0), np.clip(classes, 0.0, 1.0))


def blank_batch(contract: ModelContract) -> NDArray[np.uint8]:
    """Return the smallest batch, to find out whether the model can score: uint8 [shape=(1, n_mels, n_frames)]."""
    return np.zeros((1, *contract.image), dtype=np.uint8)


def no_scores(contract: ModelContract) -> Scores:
    """Return the scores of zero spectrograms, without a request to a server."""
    return Scores(np.zeros(0, dtype=np.float32), np.zeros((0, len(contract.labels)), dtype=np.float32))


def join_scores(parts: list[Scores]) -> Scores:
    """Join the scores of consecutive batches."""
    return (
        parts[0]
        if len(parts) == 1
        else Scores(np.concatenate([part.cough for part in parts]), np.concatenate([part.classes for part in parts]))
    )
