"""Stage 6, color: power -> 256 levels of dB for the network, and the same levels -> colours for people.

The network gets the levels; the colour table is baked into its graph at export (one byte a pixel travels to Triton
instead of the twelve of float RGB). People get the very same colours from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from preprocess.color_table import COLOR_TABLES
from preprocess.exact import power_ratio


@dataclass(frozen=True, slots=True)
class ColorSpecParams:
    """The two ends of the scale, in dB relative to the segment's maximum, and the name of the colour map."""

    min_db: float
    max_db: float
    colormap: str


def quantise(power: NDArray[np.float32], params: ColorSpecParams) -> NDArray[np.uint8]:
    """Quantise to 256 equal steps in dB between the two ends; powers beyond an end get that end's level.

    The same as rounding `255 * (10 * log10(power) - min_db) / (max_db - min_db)`, without a logarithm: a power is
    compared with the 255 powers at which a level begins, and comparisons are exact on every processor. A half goes up.

    power: float32 of any shape, not negative
    Returns uint8 of the same shape.
    """
    table = _level_table(params)
    within = np.minimum(power, table.begins[-1])
    cells = (within.view(np.uint32) >> table.shift).astype(np.intp)
    # "clip" reads without a check of its own: every cell is in the table.
    above = within >= table.following.take(cells, mode="clip")
    return np.asarray(table.lowest.take(cells, mode="clip") + above, dtype=np.uint8)


def neighbouring_level(
    power: NDArray[np.float32], params: ColorSpecParams
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the level on the other side of the nearest border, and that border's distance as a share of the power.

    power: float32 of any shape, not negative
    Returns uint8 and float32 of the same shape; infinite where there is no level on the other side or no power.
    """
    begins = np.concatenate(([0.0], _level_table(params).begins, [np.inf])).astype(np.float32)
    levels = quantise(power, params).astype(np.intp)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        down = np.where(levels > 0, np.float32(1.0) - begins[levels] / power, np.float32(np.inf))
        up = np.where(levels < 255, begins[levels + 1] / power - np.float32(1.0), np.float32(np.inf))
    return (levels + np.where(down < up, -1, 1)).clip(0, 255).astype(np.uint8), np.minimum(down, up)


@dataclass(frozen=True, slots=True)
class _LevelTable:
    """Finds the level of a float32 by its leading bits and one comparison.

    begins: float32 [shape=(255,)], the powers at which levels 1 to 255 begin
    shift: how many of a float32's 32 bits are not leading; the others name a cell, which holds at most one border
    lowest: uint8 [shape=(cells,)], the level at which a cell begins; following: float32 [shape=(cells,)], where the
        next begins
    """

    begins: NDArray[np.float32]
    shift: np.uint32
    lowest: NDArray[np.uint8]
    following: NDArray[np.float32]


@lru_cache(maxsize=4)
def _level_table(params: ColorSpecParams) -> _LevelTable:
    step = (params.max_db - params.min_db) / 255.0
    begins = np.array([power_ratio(params.min_db + (level - 0.5) * step) for level in range(1, 256)], dtype=np.float32)
    bits = begins.view(np.uint32)
    shift = 16 if len(np.unique(bits >> np.uint32(16))) == 255 else 12
    cells = np.arange((int(bits[-1]) >> shift) + 1, dtype=np.uint32) << np.uint32(shift)
    lowest = np.searchsorted(begins, cells.view(np.float32), side="right")
    return _LevelTable(begins, np.uint32(shift), lowest.astype(np.uint8), np.append(begins, np.float32(np.inf))[lowest])


def color_table(params: ColorSpecParams) -> NDArray[np.uint8]:
    """Return the colour map as uint8 RGB [shape=(256, 3)], as matplotlib's `colormaps[name](range(256), bytes=True)`.

    Raises: ValueError if we do not have the map.
    """
    if params.colormap not in COLOR_TABLES:
        raise ValueError(f"color_spec.colormap is {params.colormap!r}: use one of {', '.join(sorted(COLOR_TABLES))}.")
    raw = bytes.fromhex(COLOR_TABLES[params.colormap])
    return np.frombuffer(raw, dtype=np.uint8).reshape(256, 3)


def colorize(levels: NDArray[np.uint8], params: ColorSpecParams) -> NDArray[np.uint8]:
    """Levels [shape=(..., n_mels, n_frames)] -> RGB uint8 [shape=(..., n_mels, n_frames, 3)]."""
    return color_table(params)[levels]
