"""Calibration and thresholds, from out-of-fold scores of the sources that hold both classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import DatasetError, Entry
from training.data.examples import Examples
from training.model.calibration import SENSITIVITY, best_threshold, decide_cough, fit_calibration, recording_medians

pytestmark = pytest.mark.training


def test_calibration_recovers_a_known_sigmoid() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, 20_000)
    labels = (rng.random(20_000) < 1.0 / (1.0 + np.exp(-(0.5 * logits - 1.0)))).astype(np.float64)
    scale, bias = fit_calibration(logits, labels)
    # Standard errors at this size are about 0.01 and 0.02.
    assert scale == pytest.approx(0.5, abs=0.05)
    assert bias == pytest.approx(-1.0, abs=0.1)


def test_best_threshold_separates_what_is_separable() -> None:
    scores, labels = np.array([0.1, 0.2, 0.7, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert best_threshold(scores, labels, np.repeat("a", 4)) == pytest.approx(0.45)


def test_best_threshold_does_not_reward_hearing_the_source() -> None:
    """Pooled, 0.5 would be right for 18 of 20 (J = 0.8) by telling the sources apart, and at chance within each."""
    source = np.repeat(["mostly negative", "mostly positive"], 10)
    scores = np.array([*[0.1] * 8, 0.12, 0.11, *[0.9] * 8, 0.88, 0.89])
    labels = np.array([*[0.0] * 9, 1.0, *[1.0] * 9, 0.0])
    border = best_threshold(scores, labels, source)
    assert not 0.12 < border < 0.88
    assert best_threshold(scores, np.zeros(20), source) == 0.5  # no source holds both


def test_without_a_candidate_of_a_kind_there_is_no_threshold() -> None:
    entries = [entry("mixed", is_cough=True), entry("mixed", is_cough=False)]
    examples = Examples(
        *(np.zeros((4, 1, 1), np.uint8), np.repeat([0, 1], 2), np.zeros(4, np.int64)),
        *(np.zeros(4, np.float32), np.ones(4, np.float32), np.full(4, -1)),
    )
    with pytest.raises(DatasetError, match="no candidate that is cough in mixed"):
        decide_cough(examples, entries, np.array([True, True]), np.zeros(4, np.float32))


def entry(source: str, *, is_cough: bool) -> Entry:
    return Entry("x", (Path("x"),), source, "train", "s", is_cough, None, None)


def decided(n: int = 2000) -> tuple[float, np.ndarray, np.ndarray]:
    """Threshold, coughs' logits of the mixed source and of another; variants and unknown labels must not count."""
    rng = np.random.default_rng(1)
    entries = [entry("mixed", is_cough=True), entry("mixed", is_cough=False), entry("coughs_only", is_cough=True)]
    of = np.repeat([0, 1, 2], n)
    logits = np.concatenate((rng.normal(2, 1, n), rng.normal(-2, 1, n), rng.normal(-5, 1, n))).astype(np.float32)
    cough = np.repeat(np.array([1.0, 0.0, 1.0], dtype=np.float32), n)
    variant = np.zeros(3 * n, dtype=np.int64)
    variant[: n // 2] = np.arange(n // 2) % 2  # distorted ones of the first half, with absurd scores
    logits[variant == 1] = 50.0
    cough[n - 10 : n] = -1.0
    logits[n - 10 : n] = -50.0
    examples = Examples(
        np.zeros((3 * n, 1, 1), np.uint8), of, variant, cough, np.ones(3 * n, np.float32), np.full(3 * n, -1)
    )
    decision = decide_cough(examples, entries, np.array([True, True, True]), logits)
    counted = (of == 0) & (variant == 0) & (cough == 1.0)
    probability = 1.0 / (1.0 + np.exp(-(decision.scale * logits[counted] + decision.bias)))
    return decision.threshold, probability, logits[counted]


def test_the_threshold_accepts_the_stated_share_of_coughs() -> None:
    threshold, probability, _ = decided()
    # Rounding to four digits moves at most one of 1,490 coughs over the border.
    assert np.mean(probability >= threshold) == pytest.approx(SENSITIVITY, abs=1.5 / len(probability))


def test_recording_medians_take_accepted_ones_only() -> None:
    found = recording_medians(
        np.array([0, 0, 0, 1]), np.array([0.1, 0.9, 0.5, 0.7], np.float32), np.array([True, True, False, False])
    )
    assert found == {0: pytest.approx(0.5)}
