"""The 256 levels, and that people see the colours that the network's table holds."""

from dataclasses import replace
from decimal import Decimal, localcontext

import matplotlib
import numpy as np
import pytest

from preprocess.color import ColorSpecParams, color_table, colorize, neighbouring_level, quantise
from tests.preprocess.recordings import COLOR_SPEC


def quantise_db(decibels: np.ndarray) -> np.ndarray:
    return quantise((10.0 ** (np.asarray(decibels, dtype=np.float64) / 10)).astype(np.float32), COLOR_SPEC)


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
    [(-1000.0, 0), (-60.1, 0), (-60.0, 0), (0.0, 255), (0.1, 255), (-29.99, 128), (-30.01, 127), (-60.0 + 60 / 255, 1)],
)
def test_ends_and_middle(decibels, level):
    """-30 dB is 127.5 of 255, the border of two levels."""
    assert quantise_db(np.array([decibels])).tolist() == [level]


def test_every_level_is_used_and_its_middle_comes_back():
    step = (COLOR_SPEC.max_db - COLOR_SPEC.min_db) / 255
    middles = COLOR_SPEC.min_db + step * np.arange(256)
    for off in (-0.49, 0.0, 0.49):
        levels = quantise_db(middles + off * step)
        np.testing.assert_array_equal(levels, np.arange(256))


def test_louder_is_never_a_lower_level():
    decibels = np.sort(np.random.default_rng(0).uniform(-90, 10, 10_000))
    levels = quantise_db(decibels).astype(int)
    assert levels.dtype.kind == "i"
    assert (np.diff(levels) >= 0).all()
    assert (levels.min(), levels.max()) == (0, 255)


def test_rounding_error_is_half_a_level():
    decibels = np.random.default_rng(1).uniform(-60, 0, 10_000)
    back = COLOR_SPEC.min_db + quantise_db(decibels) * (60 / 255)
    assert float(np.abs(back - decibels).max()) <= 30 / 255 + 1e-5


def borders(params: ColorSpecParams) -> np.ndarray:
    """Where levels 1 to 255 begin, as float32, each the nearest to a border that is reckoned with 40 digits."""
    with localcontext(prec=40):
        step = (Decimal(params.max_db) - Decimal(params.min_db)) / 255
        exact = [10 ** ((Decimal(params.min_db) + (level - Decimal("0.5")) * step) / 10) for level in range(1, 256)]
    return np.array([float(item) for item in exact], dtype=np.float32)


@pytest.mark.parametrize(
    ("min_db", "max_db"), [(-60.0, 0.0), (-80.0, 0.0), (-100.0, -20.0), (-40.0, 30.0), (-2.0, 0.0)]
)
def test_a_level_begins_at_its_border_and_not_one_float_before(min_db: float, max_db: float) -> None:
    """The last two ends lie so near to each other that the borders need more of a float's bits to be told apart."""
    params = replace(COLOR_SPEC, min_db=min_db, max_db=max_db)
    at = borders(params)
    np.testing.assert_array_equal(quantise(at, params), np.arange(1, 256))
    np.testing.assert_array_equal(quantise(np.nextafter(at, np.float32(0)), params), np.arange(255))
    odd = np.array([0.0, np.finfo(np.float32).smallest_subnormal, 1e30, np.inf], dtype=np.float32)
    assert quantise(odd, params).tolist() == [0, 0, 255, 255]


def test_any_shape_and_order_of_bytes_in_memory() -> None:
    power = np.random.default_rng(2).random((3, 4, 5), dtype=np.float32)
    levels = quantise(power, COLOR_SPEC)
    np.testing.assert_array_equal(quantise(power.transpose(2, 0, 1), COLOR_SPEC), levels.transpose(2, 0, 1))
    assert quantise(power[:0], COLOR_SPEC).shape == (0, 4, 5)


def test_the_neighbour_is_beyond_the_nearest_border() -> None:
    at = borders(COLOR_SPEC)
    over, under = (at * np.float32(1.001), at * np.float32(0.999))
    for power, level, neighbour in (
        (over, np.arange(1, 256), np.arange(255)),
        (under, np.arange(255), np.arange(1, 256)),
    ):
        np.testing.assert_array_equal(quantise(power, COLOR_SPEC), level)
        found, distance = neighbouring_level(power, COLOR_SPEC)
        np.testing.assert_array_equal(found, neighbour)
        np.testing.assert_allclose(distance, 0.001, rtol=0.01)
    found, distance = neighbouring_level(np.array([0.0, 1.0], dtype=np.float32), COLOR_SPEC)
    assert distance.tolist()[0] == np.inf  # nothing becomes something by rounding
    assert found.tolist()[1] == 254
