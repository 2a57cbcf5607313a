"""The interface of every classifier, and the checks of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.contract import ModelContract
from runtime.errors import InferenceError


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


def checked_scores(cough: NDArray[np.float32] | None, classes: NDArray[np.float32] | None, n: int) -> Scores:
    """Check the two output tensors, [shape=(n, 1)] and [shape=(n, n_classes)], and return the scores of n spectrograms.

    Triton 24.10 answers OK with empty outputs where its Python environment is wrong, so sizes and values are checked.
    Raises: InferenceError.
    """
    if cough is None or classes is None or cough.shape != (n, 1) or classes.shape[:1] != (n,) or classes.ndim != 2:
        raise InferenceError("The inference server answered without the scores: check its environment and its log.")
    if not (np.isfinite(cough).all() and np.isfinite(classes).all()):
        raise InferenceError("The inference server answered with scores that are no numbers: check the model.")
    return Scores(cough[:, 0], classes)


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
