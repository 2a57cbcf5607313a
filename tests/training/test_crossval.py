"""Nothing is tuned on what it is judged by: which network scores which fold, for whose threshold."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import crossval
from training.data.dataset import Entry
from training.data.examples import Examples

pytestmark = pytest.mark.training


def test_a_folds_threshold_comes_from_networks_that_lack_it_and_what_they_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network's stand-in is the pair of folds that it lacks, and says that pair for every spectrogram."""
    n = 20
    folds = np.arange(n) % 5
    entries = [Entry(str(i), (Path("x"),), "s", "train", str(i), i % 2 == 0, None, None) for i in range(n)]
    examples = Examples(
        *(np.zeros((n, 1, 1), np.uint8), np.arange(n), np.zeros(n, np.int64)),
        *(np.zeros(n, np.float32), np.ones(n, np.float32), np.full(n, -1)),
    )
    asked: dict[str, Any] = {}

    def predict(lacks: tuple[int, int], levels: np.ndarray) -> tuple[np.ndarray, None]:
        return np.full(len(levels), 10 * lacks[0] + lacks[1], dtype=np.float32), None

    def decide(_: Examples, __: list[Entry], chosen: np.ndarray, logits: np.ndarray, ___: float) -> None:
        asked.update(chosen=chosen, logits=logits)

    monkeypatch.setattr(crossval, "predict_logits", predict)
    monkeypatch.setattr(crossval, "decide_cough", decide)
    inner = {pair: pair for pair in combinations(range(5), 2)}
    for fold in range(5):
        crossval._decide_fold(examples, entries, folds, fold, inner, 0.05)  # type: ignore[arg-type]
        assert np.array_equal(asked["chosen"], folds != fold)
        for i in range(n):
            if folds[i] == fold:
                assert np.isnan(asked["logits"][i])
            else:
                low, high = sorted((fold, int(folds[i])))
                assert asked["logits"][i] == 10 * low + high
