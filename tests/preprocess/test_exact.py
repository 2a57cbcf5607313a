"""Numbers that are the same on every processor: percentiles against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from preprocess.exact import at_percent, percentile


@pytest.mark.parametrize("n", [1, 2, 3, 10, 21, 785, 12_001])
@pytest.mark.parametrize("percent", [10.0, 50.0, 95.0, 100.0])
def test_a_percentile_is_numpys_to_the_last_bit(n: int, percent: float) -> None:
    """Of one row and of many, also where it lies nearer to the higher neighbour."""
    rng = np.random.default_rng(n)
    rows = rng.exponential(size=(7, n)).astype(np.float32)
    assert percentile(rows, percent).tobytes() == np.percentile(rows, percent, axis=-1).tobytes()
    assert percentile(rows[0], percent).tobytes() == np.percentile(rows[0], percent).tobytes()


@pytest.mark.parametrize("n", [1, 3, 4, 98])
def test_a_percentile_of_what_is_sorted_is_numpys(n: int) -> None:
    """Of float64, along the first axis."""
    lines = np.random.default_rng(n).uniform(100.0, 4000.0, size=(n, 2))
    for percent in (20.0, 50.0, 80.0):
        found = at_percent(np.sort(lines, axis=0), percent)
        assert found.tobytes() == np.percentile(lines, (percent,), axis=0)[0].tobytes()
