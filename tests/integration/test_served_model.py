"""The served model says what the model in process says: ONNX Runtime 1.19.2 behind Triton, 1.31.1 here."""

from __future__ import annotations

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from laptop.service import Service
from runtime import WorkUnit, execute, load_config
from runtime.config import MODEL_REPOSITORY, ROOT, load_limits
from runtime.onnx_classifier import OnnxClassifier
from runtime.prepare import prepare
from runtime.triton_classifier import TritonClassifier
from tests.integration.processes import wait_for

TOLERANCE = 1e-4  # of a probability, as the release promises; measured differences are below 1e-6
SAMPLES = sorted((ROOT / "samples" / "preprocessing").glob("*/raw.*"))


@pytest.fixture(scope="module")
def in_process() -> OnnxClassifier:
    return OnnxClassifier(MODEL_REPOSITORY)


def assert_same(classifier: TritonClassifier, in_process: OnnxClassifier, spectrograms: NDArray[np.uint8]) -> None:
    served, local = classifier.classify(spectrograms), in_process.classify(spectrograms)
    assert served.cough.shape == local.cough.shape == (len(spectrograms),)
    np.testing.assert_allclose(served.cough, local.cough, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(served.classes, local.classes, atol=TOLERANCE, rtol=0)


def test_runs_the_version_of_aks() -> None:
    assert onnxruntime.__version__ == "1.31.1"


def test_agrees_on_every_sample(service: Service, in_process: OnnxClassifier) -> None:
    _, limits = load_limits()
    scored = 0
    with TritonClassifier(service.triton_url) as classifier:
        for path in SAMPLES:
            spectrograms = prepare(path.read_bytes(), *load_config(), limits.decode).spectrograms
            assert_same(classifier, in_process, spectrograms)
            scored += len(spectrograms)
    assert scored > 20


@pytest.mark.parametrize("batch", [1, 7, 64, 150])
def test_agrees_at_any_batch_size(service: Service, in_process: OnnxClassifier, batch: int) -> None:
    spectrograms = np.random.default_rng(batch).integers(0, 256, (batch, 64, 96), dtype=np.uint8)
    with TritonClassifier(service.triton_url) as classifier:
        assert_same(classifier, in_process, spectrograms)


def test_a_clip_scores_the_same_alone_and_anywhere_in_a_batch(service: Service) -> None:
    rng = np.random.default_rng(1)
    clip, others = rng.integers(0, 256, (1, 64, 96), dtype=np.uint8), rng.integers(0, 256, (20, 64, 96), dtype=np.uint8)
    with TritonClassifier(service.triton_url) as classifier:
        alone = classifier.classify(clip).cough[0]
        for place in (0, 9, 20):
            batch = np.insert(others, place, clip[0], axis=0)
            assert classifier.classify(batch).cough[place] == pytest.approx(alone, abs=TOLERANCE)


def test_contract_is_the_committed_one(service: Service, in_process: OnnxClassifier) -> None:
    with TritonClassifier(service.triton_url) as classifier:
        assert classifier.contract() == in_process.contract()


def test_execute_asks_triton_where_an_address_is_set(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    work = WorkUnit(SAMPLES[0], *load_config())
    monkeypatch.delenv("TRITON_URL", raising=False)
    local = execute(work)
    before = inferences(service)
    monkeypatch.setenv("TRITON_URL", service.triton_url)
    served = execute(work)
    wait_for_inferences(service, before + len(served.segments))
    assert [segment.is_cough for segment in served.segments] == [segment.is_cough for segment in local.segments]
    assert served.spectrogram_sha256 == local.spectrogram_sha256
    for ours, theirs in zip(local.segments, served.segments, strict=True):
        assert theirs.cough_probability == pytest.approx(ours.cough_probability, abs=TOLERANCE)


def test_concurrent_requests_are_batched(service: Service) -> None:
    clip = np.zeros((1, 64, 96), dtype=np.uint8)
    before = inferences(service), executions(service)
    with TritonClassifier(service.triton_url) as classifier, ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: classifier.classify(clip), range(400)))
    wait_for_inferences(service, before[0] + 400)
    done, runs = inferences(service) - before[0], executions(service) - before[1]
    assert done == 400
    # 32 clients at once: anything above 1 is batching; without it this is exactly 1.
    assert done / runs > 1.5


def wait_for_inferences(service: Service, count: float) -> None:
    """Triton counts a request after it has answered it."""
    wait_for(lambda: inferences(service) >= count, f"Triton has counted {count:.0f} inferences", patience_s=5.0)


def inferences(service: Service) -> float:
    return metric(service, "nv_inference_count")


def executions(service: Service) -> float:
    return metric(service, "nv_inference_exec_count")


def metric(service: Service, name: str) -> float:
    with urllib.request.urlopen(service.triton_metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf'^{name}{{model="cough_cnn",version="\d+"}} (\S+)$', text, re.MULTILINE)
    assert found, f"{name} is not among Triton's metrics"
    return float(found[1])
