"""The gate: no release unless torch, every ONNX Runtime and the model as Triton serves it say the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import onnx
from tritonclient.grpc import InferenceServerClient

from export.errors import GateError
from export.gate.check_config import check_config
from export.gate.golden_set import Spectrograms
from export.gate.onnx_runtimes import RUNTIMES, score_with
from export.parity import Parity, compare, require_half_parity, require_parity
from export.triton_config import cuda_config, onnx_config
from runtime.classify import Classifier, Scores, join_scores
from runtime.contract import MODEL_NAME
from runtime.model_facts import ModelFacts
from runtime.triton_classifier import TritonClassifier

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


def judge_padded(padded: bytes, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores) -> Iterator[Parity]:
    """The file for GPUs, against its configuration, and as a CPU computes it. Raises: GateError."""
    check_config(cuda_config(facts, ""), onnx.load_model_from_string(padded))
    for version in RUNTIMES:
        found = score_with(version, padded, spectrograms)
        yield require_parity(compare(expected, found, facts, f"padded, ONNX Runtime {version}"))


def judge_half(half: bytes, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores) -> Iterator[Parity]:
    """The half-precision file, as a CPU computes it. Raises: GateError."""
    for version in RUNTIMES:
        found = score_with(version, half, spectrograms)
        yield require_half_parity(compare(expected, found, facts, f"float16, ONNX Runtime {version}"))


def judge_served(
    url: str, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores, what: str = "Triton"
) -> Iterator[Parity]:
    """The model as Triton at `url` (host:port of its gRPC) answers. what: as it is called.

    Raises: GateError, InferenceError.
    """
    with TritonClassifier(url) as classifier, closing(InferenceServerClient(url)) as client:
        before = _merged(client)
        yield from judge_classifier(classifier, facts, spectrograms, expected, what)
        requests, runs = (now - then for now, then in zip(_merged(client), before, strict=True))
    if runs >= requests:
        raise GateError(
            "Triton ran every request by itself, so nothing shows that neighbours change nothing: export again."
        )


def _merged(client: InferenceServerClient) -> tuple[int, int]:
    """Requests that Triton has answered, and the runs of the network that it took."""
    (stats,) = client.get_inference_statistics(MODEL_NAME).model_stats
    return stats.inference_stats.success.count, stats.execution_count


def judge_classifier(
    classifier: Classifier, facts: ModelFacts, spectrograms: Spectrograms, expected: Scores, what: str = "Triton"
) -> Iterator[Parity]:
    """Compare scores in full batches, alone, and mixed with other callers' rows. Raises: GateError, InferenceError."""
    found = classifier.classify(spectrograms)
    yield require_parity(compare(expected, found, facts, f"{what}, in full batches"))

    n = len(spectrograms)
    chosen = np.linspace(0, n - 1, min(n, N_ALONE)).astype(int)
    alone = join_scores([classifier.classify(spectrograms[i : i + 1]) for i in chosen])
    yield require_parity(compare(_rows(expected, chosen), alone, facts, f"{what}, each spectrogram alone"))

    order, parts = _crowd(n)
    with ThreadPoolExecutor(N_CALLERS) as callers:
        crowd = join_scores(list(callers.map(lambda rows: classifier.classify(spectrograms[rows]), parts)))
    yield require_parity(compare(_rows(expected, order), crowd, facts, f"{what}, among other callers' spectrograms"))


def _crowd(n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """All rows in another order, cut into requests of 1 to 20 that callers send at once."""
    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    ends = np.cumsum(rng.integers(1, 21, n))
    return order, [part for part in np.split(order, ends[ends < n]) if len(part)]


def _rows(scores: Scores, rows: np.ndarray) -> Scores:
    return Scores(scores.cough[rows], scores.classes[rows])
