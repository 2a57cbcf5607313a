"""The network learns what it is shown, from the shares that it should, and the same way each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from preprocess.color import color_table
from runtime.config import load_config
from training.data.augment import Augmented
from training.data.dataset import Entry
from training.data.examples import Examples, label_segments
from training.model.fit import FitParams, fit, sampling_odds
from training.model.network import CoughCNN
from training.model.predict import predict_logits

from preprocess.segment import Segment  # isort: skip

pytestmark = pytest.mark.training

TABLE = color_table(load_config()[2])


def entry(source: str, *, is_cough: bool, marks: tuple[tuple[float, float], ...] | None = None) -> Entry:
    return Entry("x", (Path("x"),), source, "train", "s", is_cough, None, marks)


def easy_examples(n: int = 120) -> tuple[Examples, list[Entry]]:
    """Coughs are bright below, the rest above: any network that works at all tells them apart."""
    rng = np.random.default_rng(5)
    levels = rng.integers(0, 60, (n, 64, 96), dtype=np.uint8)
    cough = (np.arange(n) % 2).astype(np.float32)
    levels[cough == 1, :32] += 150
    levels[cough == 0, 32:] += 150
    entries = [entry("coughseg", is_cough=False), entry("coughseg", is_cough=True)]
    zeros = np.zeros(n, dtype=np.int64)
    return Examples(levels, (np.arange(n) % 2), zeros, cough, np.ones(n, dtype=np.float32), zeros - 1), entries


def fitted(seed: int) -> CoughCNN:
    examples, entries = easy_examples()
    params = FitParams(steps=24, batch_size=32)
    everything: NDArray[np.bool_] = np.ones(len(examples.cough), dtype=bool)
    return fit(lambda: CoughCNN(TABLE, 2), examples, entries, everything, seed, params)


def test_learns_an_easy_task_and_repeats_itself() -> None:
    first, second, other = fitted(1), fitted(1), fitted(2)
    examples, _ = easy_examples()
    logits, _ = predict_logits(first, examples.levels)
    # Two clouds a hundred levels apart; a broken loss, label or colour gives about 0.5 here.
    ranked = logits[examples.cough == 1].min() > logits[examples.cough == 0].max()
    assert ranked
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not torch.equal(first.cough_head.weight, other.cough_head.weight)


def test_every_source_gets_its_share_and_weak_labels_count_less() -> None:
    entries = [entry("coughseg", is_cough=True), entry("c19_call", is_cough=True), entry("esc10", is_cough=False)]
    examples = Examples(
        np.zeros((6, 2, 2), dtype=np.uint8),
        np.array([0, 0, 0, 1, 1, 2]),
        np.zeros(6, dtype=np.int64),
        np.array([1, 1, 1, 1, 1, 0], dtype=np.float32),
        np.array([1, 1, 1, 1, 0.5, 1], dtype=np.float32),
        np.full(6, -1),
    )
    odds = sampling_odds(examples, entries, np.arange(6))
    assert odds.sum() == pytest.approx(1.0)
    # SHARES of the two coughs that are there, brought to one half; the rest is the other half.
    assert odds[:3].sum() == pytest.approx(0.5 * 0.25 / (0.25 + 0.14))
    assert odds[5] == pytest.approx(0.5)
    assert odds[3] == pytest.approx(2 * odds[4])


def test_labels_by_marks_by_absence_and_by_level() -> None:
    segments = [Segment(0, 800), Segment(1600, 2400), Segment(4000, 4800)]
    samples = np.zeros(8000, dtype=np.float32)
    samples[0:800], samples[1600:2400], samples[4000:4800] = 0.5, 0.25, 0.01
    marked = entry("coughseg", is_cough=True, marks=((0.0, 0.1), (0.24, 0.6)))
    assert label_segments(marked, segments, Augmented(samples, 8000)) == [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)]
    partly = entry("coughseg", is_cough=True, marks=((0.0, 0.03),))
    assert label_segments(partly, segments, Augmented(samples, 8000)) == [(-1.0, 1.0), (0.0, 1.0), (0.0, 1.0)]
    assert label_segments(entry("esc10", is_cough=False), segments, Augmented(samples, 8000)) == [(0.0, 1.0)] * 3
    weak = entry("c19_call", is_cough=True)
    assert label_segments(weak, segments, Augmented(samples, 8000)) == [(1.0, 1.0), (1.0, 0.5), (-1.0, 1.0)]


def test_marks_follow_the_speed() -> None:
    """Played twice as fast, the mark from 0.4 s to 0.6 s lies between 0.2 s and 0.3 s."""
    segments = [Segment(1600, 2400), Segment(3200, 4800)]
    marked = entry("coughseg", is_cough=True, marks=((0.4, 0.6),))
    assert label_segments(marked, segments, Augmented(np.zeros(8000, np.float32), 8000, 2.0)) == [
        (1.0, 1.0),
        (0.0, 1.0),
    ]


def test_marks_follow_what_was_put_before_and_an_added_sound_is_no_cough() -> None:
    """A tone of half a second in front: the mark moves with the recording; weakly labelled, the tone is nobody's."""
    segments, silence = [Segment(0, 4000), Segment(5600, 6400)], np.full(8000, 0.1, np.float32)
    heard = Augmented(silence, 8000, 1.0, 0.6, (0.0, 0.5))
    marked = entry("coughseg", is_cough=True, marks=((0.1, 0.2),))
    assert label_segments(marked, segments, heard) == [(0.0, 1.0), (1.0, 1.0)]
    weak = entry("c19_call", is_cough=True)
    assert label_segments(weak, segments, heard) == [(-1.0, 1.0), (1.0, 1.0)]


def test_unknown_sources_share_their_class_evenly() -> None:
    entries = [entry("clinic", is_cough=True), entry("street", is_cough=False), entry("office", is_cough=False)]
    examples = Examples(
        np.zeros((5, 2, 2), dtype=np.uint8),
        np.array([0, 1, 1, 1, 2]),
        np.zeros(5, dtype=np.int64),
        np.array([1, 0, 0, 0, 0], dtype=np.float32),
        np.ones(5, dtype=np.float32),
        np.full(5, -1),
    )
    odds = sampling_odds(examples, entries, np.arange(5))
    assert odds == pytest.approx([0.5, 0.25 / 3, 0.25 / 3, 0.25 / 3, 0.25])
