"""A background twin is the recording without its coughs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocess.level import levels
from preprocess.segment import segment
from runtime.config import load_config
from tests.training.recordings import RATE, recording
from training.data.dataset import Entry
from training.evaluation.background_twins import MARGIN_S, without_coughs

pytestmark = pytest.mark.training

PARAMS = load_config()


def entry(marks: tuple[tuple[float, float], ...] | None) -> Entry:
    return Entry("a.flac", (Path("a.flac"),), "coughseg", "train", "a", True, None, marks)


def test_hand_marks_and_a_margin_are_cut_out() -> None:
    samples = np.arange(2 * RATE, dtype=np.float32)
    rest = without_coughs(entry(((0.5, 0.75),)), samples, RATE, PARAMS)
    cut = slice(round((0.5 - MARGIN_S) * RATE), round((0.75 + MARGIN_S) * RATE))
    assert np.array_equal(rest, np.delete(samples, np.r_[cut]))


def test_without_marks_everything_that_the_segmenter_proposes_is_cut_out() -> None:
    samples = recording(np.random.default_rng(0), is_cough=True).astype(np.float32)
    rest = without_coughs(entry(None), samples, RATE, PARAMS)
    found = segment(levels(samples, RATE, PARAMS[0]).level, len(samples), RATE, PARAMS[0])
    assert len(found) == 2
    assert len(rest) == len(samples) - sum(item.end - item.start for item in found)
    assert np.abs(rest).max() < 0.1 * np.abs(samples).max()
