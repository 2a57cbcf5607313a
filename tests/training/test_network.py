"""The colour table is inside, and what the first layer reads of it is the level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preprocess.color import color_table
from runtime.config import load_config
from training.crossval import gray_table
from training.model.network import CoughCNN, brightness_weights

pytestmark = pytest.mark.training

TABLE = color_table(load_config()[2])
LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)


def test_brightness_rises_with_the_level() -> None:
    """magma was made even in brightness: a weighted sum of its colours follows the level within 1.3 %."""
    image = CoughCNN(TABLE, 2).image(LEVELS).numpy().ravel()
    assert np.all(np.diff(image) > 0)
    assert np.abs(image - np.arange(256) / 255).max() < 0.0135


def test_grey_levels_are_themselves() -> None:
    image = CoughCNN(gray_table(), 2).image(LEVELS).numpy().ravel()
    np.testing.assert_allclose(image, np.arange(256) / 255, atol=1e-6)  # float32


def test_colours_are_those_that_people_see() -> None:
    image = CoughCNN(TABLE, 2, in_color=True).image(LEVELS).numpy()
    assert image.shape == (1, 3, 16, 16)
    assert np.array_equal(np.rint(image[0].reshape(3, 256).T * 255), TABLE)


def test_weights_are_the_least_squares_solution() -> None:
    weights = brightness_weights(TABLE).astype(np.float64)
    table = np.c_[TABLE / 255.0, np.ones(256)]
    residual = np.arange(256) / 255 - table @ weights
    # Normal equations: residuals are orthogonal to each colour, within float32's digits over 256 terms.
    assert np.abs(table.T @ residual).max() < 1e-4


def test_size() -> None:
    assert 250_000 < sum(parameter.numel() for parameter in CoughCNN(TABLE, 2).parameters()) < 400_000
