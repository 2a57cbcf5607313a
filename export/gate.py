"""The gate: no release unless torch, every ONNX Runtime and the model as Triton serves it say the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx

from export.check_config import check_config
from export.golden import Spectrograms
from export.model_facts import ModelFacts
from export.onnx_runtimes import RUNTIMES, score_with
from export.parity import Parity, compare, require_half_parity, require_parity
from export.triton_config import onnx_config
from runtime.classify import Classifier, Scores, join_scores

N_ALONE = 100
N_CALLERS = 8


def judge_onnx(model: bytes, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores) -> Iterator[Parity]:
    """The ONNX file against its configuration, and in each ONNX Runtime against the checkpoint's own scores.

    expected: of the same spectrograms, by torch. Raises: GateError.
    """
    check_config(onnx_config(facts, ""), onnx.load_model_from_string(model))
    for version in RUNTIMES:
        found = score_with(version, model, spectrograms)
        yield require_parity(compare(expected, found, facts, f"ONNX Runtime {version}"))


def judge_half(half: bytes, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores) -> Parity:
    """The half-precision file, as a CPU computes it. Raises: GateError."""
    version = max(RUNTIMES)
    found = score_with(version, half, spectrograms)
    return require_half_parity(compare(expected, found, facts, f"float16, ONNX Runtime {version}"))


def judge_served(
    classifier: Classifier, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores
) -> Iterator[Parity]:
    """The model as a server answers: in full batches, alone, and among other callers' spectrograms at any place.

    Raises: GateError, InferenceError.
    """
    found = classifier.classify(spectrograms)
    yield require_parity(compare(expected, found, facts, "Triton, in full batches"))

    n = len(spectrograms)
    chosen = np.linspace(0, n - 1, min(n, N_ALONE)).astype(int)
    alone = join_scores([classifier.classify(spectrograms[i : i + 1]) for i in chosen])
    yield require_parity(compare(_rows(expected, chosen), alone, facts, "Triton, each spectrogram alone"))

    order, parts = _crowd(n)
    with ThreadPoolExecutor(N_CALLERS) as callers:
        crowd = join_scores(list(callers.map(lambda rows: classifier.classify(spectrograms[rows]), parts)))
    yield require_parity(compare(_rows(expected, order), crowd, facts, "Triton, among other callers' spectrograms"))


def _crowd(n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """All rows in another order, cut into requests of 1 to 20 that callers send at once."""
    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    ends = np.cumsum(rng.integers(1, 21, n))
    return order, [part for part in np.split(order, ends[ends < n]) if len(part)]


def _rows(scores: Scores, rows: np.ndarray) -> Scores:
    return Scores(scores.cough[rows], scores.classes[rows])
