"""The spectrograms that every export is judged on: each sample's candidates, and a golden set that is made, never
chosen.

The golden set goes where samples do not: shifted and masked candidates, mixtures, noise over the whole range, the ends
of the range, patterns that no sound makes; and of a larger pool those whose scores lie nearest to each threshold, where
a decision flips first. Made of the samples, a fixed seed and the model's own scores, it is the same on every machine
where these are given in float64 (`export.candidate.precise_scores`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.classify import Scores
from runtime.config import load_config, load_limits
from runtime.model_facts import ModelFacts
from runtime.prepare import prepare

Spectrograms = NDArray[np.uint8]

N_POOL = 3000  # few mixtures of the samples are accepted as the positive class: of 2000 one
N_NEAR = 32  # of each side of each threshold
N_REST = 256
N_RANDOM = 128


def sample_spectrograms(samples: Path) -> Spectrograms:
    """Every candidate of every recording under `samples`, uint8 [shape=(n, n_mels, n_frames)]."""
    params = load_config()
    _, limits = load_limits()
    files = sorted(path for path in samples.rglob("raw.*") if path.is_file())
    return np.concatenate([prepare(file.read_bytes(), *params, limits.decode).spectrograms for file in files])


def golden_set(
    candidates: Spectrograms, facts: ModelFacts, score: Callable[[Spectrograms], Scores], seed: int = 0
) -> Spectrograms:
    """About 600 spectrograms, uint8 [shape=(n, n_mels, n_frames)]; candidates: of the same shape, at least one.

    score: the model that others are held to; in float64, or another processor may choose another of two that lie alike
        near
    """
    rng = np.random.default_rng(seed)
    _, n_mels, n_frames = candidates.shape
    pool = np.concatenate((_mixtures(candidates, N_POOL // 2, rng), _distorted(candidates, N_POOL // 2, rng)))
    near = _near_thresholds(score(pool), facts)
    rest = rng.choice(np.setdiff1d(np.arange(len(pool)), near), N_REST, replace=False)
    return np.concatenate(
        (pool[near], pool[rest], random_spectrograms(N_RANDOM, n_mels, n_frames, seed), _patterns(n_mels, n_frames))
    )


def _near_thresholds(scores: Scores, facts: ModelFacts) -> NDArray[np.int64]:
    """Of each threshold the N_NEAR rows with the nearest scores on either side; the class counts where a cough is
    accepted.
    """
    positive = np.where(scores.cough >= facts.cough_threshold, scores.classes[:, -1], np.nan)
    rows: set[int] = set()
    for values, threshold in (
        (scores.cough, facts.cough_threshold),
        (scores.cough, facts.uncertain_threshold),
        (positive, facts.threshold_low),
        (positive, facts.threshold_high),
    ):
        for side in (values < threshold, values >= threshold):
            found = np.flatnonzero(side)
            rows.update(found[np.argsort(np.abs(values[found] - threshold), kind="stable")][:N_NEAR].tolist())
    return np.array(sorted(rows), dtype=np.int64)


def random_spectrograms(n: int, n_mels: int, n_frames: int, seed: int = 0) -> Spectrograms:
    """Uniform levels, uint8 [shape=(n, n_mels, n_frames)]."""
    return np.random.default_rng(seed).integers(0, 256, (n, n_mels, n_frames), dtype=np.uint8)


def _mixtures(candidates: Spectrograms, n: int, rng: np.random.Generator) -> Spectrograms:
    """Between a candidate and another, or noise: scores in between, so that a threshold lies among them."""
    first = candidates[rng.integers(0, len(candidates), n)].astype(np.float64)
    second = candidates[rng.integers(0, len(candidates), n)].astype(np.float64)
    second[::2] = rng.integers(0, 256, second[::2].shape)
    share = rng.uniform(0.0, 1.0, (n, 1, 1))
    return np.rint(share * first + (1.0 - share) * second).astype(np.uint8)


def _distorted(candidates: Spectrograms, n: int, rng: np.random.Generator) -> Spectrograms:
    """Shifted in time and frequency, quieter in a band, cut off."""
    made = np.array(candidates[rng.integers(0, len(candidates), n)])
    for item in made:
        item[:] = np.roll(item, (int(rng.integers(-6, 7)), int(rng.integers(-24, 25))), axis=(0, 1))
        band = int(rng.integers(0, item.shape[0]))
        item[band : band + 16] //= 2
        item[:, int(rng.integers(item.shape[1] // 4, item.shape[1])) :] = 0
    return made


def _patterns(n_mels: int, n_frames: int) -> Spectrograms:
    """Both ends of the range and its middle, ramps along both axes, a chessboard, single points."""
    rows, columns = np.mgrid[0:n_mels, 0:n_frames]
    flat = [np.full((n_mels, n_frames), level) for level in (0, 1, 127, 128, 254, 255)]
    ramps = [rows * 255 // (n_mels - 1), columns * 255 // (n_frames - 1)]
    ramps += [255 - ramp for ramp in ramps]
    chessboard = (rows + columns) % 2 * 255
    points = []
    for place in ((0, 0), (n_mels - 1, n_frames - 1), (n_mels // 2, n_frames // 2)):
        point = np.zeros((n_mels, n_frames))
        point[place] = 255
        points.append(point)
    return np.stack([*flat, *ramps, chessboard, 255 - chessboard, *points]).astype(np.uint8)
