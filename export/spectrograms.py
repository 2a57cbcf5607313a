"""The spectrograms that an export is checked on: those of every sample, and random ones that fill the whole input space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.config import load_config, load_limits
from runtime.prepare import prepare


def sample_spectrograms(samples: Path) -> NDArray[np.uint8]:
    """Every candidate of every recording under `samples`, uint8 [shape=(n, n_mels, n_frames)]."""
    params = load_config()
    _, limits = load_limits()
    files = sorted(one for one in samples.rglob("raw.*") if one.is_file())
    return np.concatenate([prepare(one.read_bytes(), *params, limits.decode).spectrograms for one in files])


def random_spectrograms(n: int, n_mels: int, n_frames: int, seed: int = 0) -> NDArray[np.uint8]:
    """Uniform levels, uint8 [shape=(n, n_mels, n_frames)]."""
    return np.random.default_rng(seed).integers(0, 256, (n, n_mels, n_frames), dtype=np.uint8)
