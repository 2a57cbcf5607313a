"""Leak probes find what leaks, and nothing where nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.config import load_config
from tests.training.recordings import RATE
from training.evaluation.leak_probes import probe_auc, quietest_spectrum

pytestmark = pytest.mark.training

PARAMS = load_config()


def test_a_number_that_gives_the_label_away_is_found() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    leaks = [(i % 5, float(label), [label + 0.01 * rng.standard_normal()]) for i, label in enumerate(labels)]
    chance = [(i % 5, float(label), [rng.standard_normal()]) for i, label in enumerate(labels)]
    assert probe_auc(leaks)["value"] == 1.0
    # 200 rows: the standard error of an AUC at chance is about 0.04.
    assert probe_auc(chance)["value"] == pytest.approx(0.5, abs=0.15)
    assert len(probe_auc(leaks)["folds"]) == 5


def test_one_label_only_has_no_figure() -> None:
    assert probe_auc([(i % 5, 1.0, [float(i)]) for i in range(20)]) == {"value": None, "folds": []}


def test_the_quietest_frames_are_those_beside_the_sound() -> None:
    """A loud tone in the middle half: the quietest fifth holds only the noise, 80 dB below."""
    rng = np.random.default_rng(1)
    samples = 1e-4 * rng.standard_normal(2 * RATE).astype(np.float32)
    loud = samples.copy()
    loud[RATE // 2 : RATE * 3 // 2] += np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE, dtype=np.float32)
    assert quietest_spectrum(loud, PARAMS) == pytest.approx(quietest_spectrum(samples, PARAMS), abs=3.0)
