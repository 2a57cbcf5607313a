"""The classifier in this process: ONNX Runtime on the same file that Triton serves."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runtime.classify import Scores, checked_scores, join_scores, no_scores
from runtime.config import MODEL_REPOSITORY
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT, MODEL_NAME, ModelContract, read_contract
from runtime.errors import ModelContractError


class OnnxClassifier:
    """Satisfies `runtime.classify.Classifier`.

    Raises: ModelContractError if the repository's release can't be used.
    """

    def __init__(self, repository: Path = MODEL_REPOSITORY, threads: int = 1) -> None:
        self._contract = read_contract(repository)
        path = repository / MODEL_NAME / self._contract.model.version / "model.onnx"
        try:
            model = path.read_bytes()
        except OSError as error:
            raise ModelContractError("model_file_unreadable", file=path.name, model=MODEL_NAME) from error
        if hashlib.sha256(model).hexdigest() != self._contract.model.sha256:
            raise ModelContractError(
                "model_file_altered",
                file=path.name,
                model=MODEL_NAME,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def contract(self) -> ModelContract:
        return self._contract

    def classify(self, spectrograms: NDArray[np.uint8]) -> Scores:
        if not len(spectrograms):
            return no_scores(self._contract)
        step = self._contract.max_batch_size
        return join_scores([self._run(spectrograms[i : i + step]) for i in range(0, len(spectrograms), step)])

    def _run(self, batch: NDArray[np.uint8]) -> Scores:
        cough, classes = self._session.run([COUGH_OUTPUT, CLASS_OUTPUT], {INPUT: batch})
        return checked_scores(cough, classes, len(batch), self._contract)


@lru_cache(maxsize=1)
def default_classifier() -> OnnxClassifier:
    """Return the classifier of `model_repository/`, loaded at the first call."""
    return OnnxClassifier()
