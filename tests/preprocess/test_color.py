"""The 256 levels, and that people see the colours that the network's table holds."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from preprocess.color import color_table, colorize, quantise
from tests.preprocess.recordings import COLOR_SPEC


def test_the_table_is_matplotlibs_in_all_256_levels():
    expected = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3]
    np.testing.assert_array_equal(color_table(COLOR_SPEC), expected)


def test_colors_are_looked_up_in_the_table():
    levels = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    colors = colorize(levels, COLOR_SPEC)
    assert colors.shape == (2, 8, 16, 3)
    assert colors.dtype == np.uint8
    np.testing.assert_array_equal(colors.reshape(256, 3), color_table(COLOR_SPEC))


def test_an_unknown_map_is_named():
    with pytest.raises(ValueError, match=r"jet.*magma"):
        color_table(replace(COLOR_SPEC, colormap="jet"))


@pytest.mark.parametrize(
    ("decibels", "level"),
    [(-1000.0, 0), (-60.1, 0), (-60.0, 0), (0.0, 255), (0.1, 255), (-30.0, 128), (-60.0 + 60 / 255, 1)],
)
def test_ends_and_middle(decibels, level):
    """-30 dB is 127.5 of 255: half goes to the even neighbour, as np.rint does and the graph never needs to."""
    assert quantise(np.array([decibels], dtype=np.float32), COLOR_SPEC).tolist() == [level]


def test_every_level_is_used_and_its_middle_comes_back():
    step = (COLOR_SPEC.max_db - COLOR_SPEC.min_db) / 255
    middles = COLOR_SPEC.min_db + step * np.arange(256)
    for off in (-0.49, 0.0, 0.49):
        levels = quantise((middles + off * step).astype(np.float32), COLOR_SPEC)
        np.testing.assert_array_equal(levels, np.arange(256))


def test_louder_is_never_a_lower_level():
    decibels = np.sort(np.random.default_rng(0).uniform(-90, 10, 10_000)).astype(np.float32)
    levels = quantise(decibels, COLOR_SPEC).astype(int)
    assert levels.dtype.kind == "i"
    assert (np.diff(levels) >= 0).all()
    assert (levels.min(), levels.max()) == (0, 255)


def test_rounding_error_is_half_a_level():
    decibels = np.random.default_rng(1).uniform(-60, 0, 10_000).astype(np.float32)
    back = COLOR_SPEC.min_db + quantise(decibels, COLOR_SPEC) * (60 / 255)
    assert float(np.abs(back - decibels).max()) <= 30 / 255 + 1e-5
