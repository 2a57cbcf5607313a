"""Stage 6, color: dB -> 256 levels for the network, and the same levels -> colours for people.

The network gets the levels; the colour table is baked into its graph at export (one byte a pixel travels to Triton
instead of the twelve of float RGB). People get the very same colours from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.color_table import COLOR_TABLES


@dataclass(frozen=True, slots=True)
class ColorSpecParams:
    """The two ends of the scale in dB (relative to the segment's maximum) and the name of the colour map."""

    min_db: float
    max_db: float
    colormap: str


def quantise(decibels: NDArray[np.float32], params: ColorSpecParams) -> NDArray[np.uint8]:
    """256 equal steps between the two ends; what lies beyond an end takes that end's level. Any shape in, uint8 out."""
    scaled = (decibels - params.min_db) / (params.max_db - params.min_db) * 255.0
    return np.asarray(np.rint(np.clip(scaled, 0.0, 255.0)), dtype=np.uint8)


def color_table(params: ColorSpecParams) -> NDArray[np.uint8]:
    """The colour map as uint8 RGB [shape=(256, 3)], equal to matplotlib's `colormaps[name](range(256), bytes=True)`.

    Raises: ValueError if the map is not one that we carry.
    """
    if params.colormap not in COLOR_TABLES:
        raise ValueError(f"color_spec.colormap is {params.colormap!r}: use one of {', '.join(sorted(COLOR_TABLES))}.")
    raw = bytes.fromhex(COLOR_TABLES[params.colormap])
    return np.frombuffer(raw, dtype=np.uint8).reshape(256, 3)


def colorize(levels: NDArray[np.uint8], params: ColorSpecParams) -> NDArray[np.uint8]:
    """Levels [shape=(..., n_mels, n_frames)] -> RGB uint8 [shape=(..., n_mels, n_frames, 3)]."""
    return color_table(params)[levels]
