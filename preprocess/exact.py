"""Numbers that are the same on every processor, for all decisions about a level or a boundary.

IEEE 754 fixes +, -, *, / and the square root to the last bit, and comparisons with them. It does not fix logarithms,
exponentials, sines and powers: NumPy and glibc choose code for them by processor, and the last bits differ
(docs/decisions/0016-same-bits.md has the table). `decimal` computes in software, to 28 digits.
"""

from __future__ import annotations

import decimal
import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_CONTEXT = decimal.Context(prec=28)
_Float = TypeVar("_Float", np.float32, np.float64)
_MANTISSA_BITS = 24  # of float32


def power_ratio(decibels: float) -> float:
    """Return 10 ** (decibels / 10), the nearest float64."""
    return float(_CONTEXT.power(decimal.Decimal(10), _CONTEXT.divide(decimal.Decimal(decibels), decimal.Decimal(10))))


def decibels(power: float) -> float:
    """Return 10 * log10(power), the nearest float64; -inf for 0.

    power: not negative
    """
    if power <= 0.0:
        return -math.inf
    return float(_CONTEXT.multiply(decimal.Decimal(10), _CONTEXT.log10(decimal.Decimal(power))))


def percentile(values: NDArray[np.float32], percent: float) -> NDArray[np.float32]:
    """Return what `np.percentile(values, percent, axis=-1)` returns, to the last bit, in a tenth of its time.

    A recording needs ten of them; NumPy looks up methods, weights and NaN for each.
    values: float32 [shape=(..., n)], n >= 1, without NaN
    Returns float32 [shape=(...)].
    """
    at = percent / 100 * (values.shape[-1] - 1)
    below = int(at)
    ranked = np.partition(values, (below, min(below + 1, values.shape[-1] - 1)), axis=-1)
    return np.asarray(at_percent(ranked.T, percent), dtype=np.float32)


def at_percent(ranked: NDArray[_Float], percent: float) -> NDArray[_Float]:
    """Return the value at a percentile, between its neighbours.

    ranked: [shape=(n, ...)], n >= 1, ascends along the first axis, at least in these two places
    Returns its type [shape=(...)].
    """
    at = percent / 100 * (len(ranked) - 1)
    below = int(at)
    low, high = ranked[below], ranked[min(below + 1, len(ranked) - 1)]
    beyond, step = at - below, high - low
    # From the nearer neighbour, as NumPy does: so the result is never beyond either.
    return np.asarray(low + step * beyond if beyond < 0.5 else high - step * (1 - beyond))


def on_grid(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the values as float32, rounded to multiples of 2**-24 of the next power of two above the largest.

    For tables that are computed with sines or logarithms. Two processors differ by some 1e-16 there, a billionth of the
    grid, so both round to the same multiple, but for one value in some hundred million; tests look at the tables in
    use. Rounding to float32 alone would keep the difference in values near zero.
    """
    _, exponent = np.frexp(np.abs(values).max(initial=0.0))
    steps = np.ldexp(1.0, _MANTISSA_BITS - int(exponent))
    return np.asarray(np.rint(values * steps) / steps, dtype=np.float32)
