"""Airway resonances: a turbulent or glottal source goes in, the sound at the lips comes out.

The vocal tract is a tube, closed at the glottis and open at the lips, whose resonances lie at F_n = (2n - 1) c / 4L
(Fant 1960, Acoustic Theory of Speech Production). All of them below 22 kHz are modelled, so that no correction for
missing higher poles is needed. Each is a second-order digital resonator with unit gain at 0 Hz (Klatt 1980, J. Acoust.
Soc. Am. 67:971), whose frequency and bandwidth may move every millisecond.
"""

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

Samples: TypeAlias = NDArray[np.float64]

RATE_HZ = 48_000  # everything is synthesised at this rate and resampled on output
BLOCK = RATE_HZ // 1000  # filters move once in a millisecond
SOUND_SPEED_M_S = 354.0  # moist air at body temperature (Stevens 1998, Acoustic Phonetics)
HIGHEST_RESONANCE_HZ = 22_000.0

Tracks: TypeAlias = list[tuple[ArrayLike, ArrayLike]]


def blocks(n_samples: int) -> int:
    """How many filter blocks (of 1 ms at 48 kHz) cover `n_samples`."""
    return -(-n_samples // BLOCK)


def _by_block(track: ArrayLike, n_samples: int) -> Samples:
    return np.broadcast_to(np.asarray(track, dtype=np.float64), (blocks(n_samples),))


def same_everywhere(values: ArrayLike) -> Samples:
    """Rounded to float32's 24 bits, of what an exponential, a power or a sine gave, or a filter's design.

    Their last bits are others on another processor, and feedback in the filters would make audible samples of that; 24
    bits they have in common. Everything else here is +, -, *, / and the square root, which are the same everywhere
    (docs/decisions/0016-same-bits.md). float64 of any shape.
    """
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def _filter_by_block(samples: Samples, gains: Samples, feedback: Samples) -> Samples:
    """y[n] = gain x[n] - sum_k feedback[k] y[n - k]; `gains` [shape=(blocks,)], `feedback` [shape=(blocks, order)].

    The state carried over a block's edge is the past output, as in Klatt 1980: lfilter's own state has the last block's
    coefficients in it, and mixing them with the next one's would click.
    """
    order = feedback.shape[1]
    filtered = np.zeros(order + samples.size)
    # Blocks of the same coefficients are one piece: for them lfilter's own state is, to the last bit, the past
    # output's.
    moved = (np.diff(gains) != 0.0) | (np.diff(feedback, axis=0) != 0.0).any(axis=1)
    for k, end in pairwise([0, *(np.flatnonzero(moved) + 1).tolist(), gains.size]):
        first, last = k * BLOCK, min(end * BLOCK, samples.size)
        past = filtered[first : first + order]  # oldest first
        a = feedback[k].tolist()
        state = [-sum(x * y for x, y in zip(a[j:], past[::-1].tolist(), strict=False)) for j in range(order)]
        filtered[order + first : order + last], _ = lfilter([gains[k]], [1.0, *a], samples[first:last], zi=state)
    return filtered[order:]


def resonate(samples: Samples, frequency_hz: ArrayLike, bandwidth_hz: ArrayLike) -> Samples:
    """One resonance, unit gain at 0 Hz (Klatt 1980, equations 1 and 2).

    samples: float64 [shape=(n,)] at 48 kHz; frequency_hz, bandwidth_hz: a number, or one per block of 1 ms
    [shape=(blocks(n),)]. Returns float64 [shape=(n,)].
    """
    frequency, bandwidth = _by_block(frequency_hz, samples.size), _by_block(bandwidth_hz, samples.size)
    radius = same_everywhere(np.exp(-np.pi * bandwidth / RATE_HZ))
    a1, a2 = -2 * radius * same_everywhere(np.cos(2 * np.pi * frequency / RATE_HZ)), radius**2
    return _filter_by_block(samples, 1 + a1 + a2, np.stack([a1, a2], axis=1))


def resonate_all(samples: Samples, tracks: Tracks) -> Samples:
    """Resonances in series: `tracks` holds a (frequency, bandwidth) pair in Hz for each, as `resonate` takes them."""
    for frequency_hz, bandwidth_hz in tracks:
        samples = resonate(samples, frequency_hz, bandwidth_hz)
    return samples


def lowpass(samples: Samples, corner_hz: ArrayLike) -> Samples:
    """One pole, unit gain at 0 Hz, -6 dB an octave above `corner_hz` (a number, or one per block).

    samples: float64 [shape=(n,)] at 48 kHz. Returns float64 [shape=(n,)].
    """
    pole = same_everywhere(np.exp(-2 * np.pi * _by_block(corner_hz, samples.size) / RATE_HZ))
    return _filter_by_block(samples, 1 - pole, -pole[:, np.newaxis])


def tube_resonances_hz(length_m: float) -> Samples:
    """Resonances of a tube closed at one end, all that lie below 22 kHz; float64 [shape=(n_resonances,)]."""
    first = SOUND_SPEED_M_S / (4 * length_m)
    return np.arange(first, HIGHEST_RESONANCE_HZ, 2 * first)


def upper_tracks(length_m: float, above: int) -> Tracks:
    """The resonances from number `above` (counted from 0) on, which hardly depend on the articulation.

    Bandwidth 6 % of the frequency: losses by radiation and at the walls grow with it (Fant 1972, STL-QPSR 2-3:28).
    """
    return [(frequency, 0.06 * frequency) for frequency in tube_resonances_hz(length_m)[above:]]


def radiate(flow: Samples) -> Samples:
    """Sound pressure far from the mouth: the first difference of the flow at the lips (Klatt 1980)."""
    return np.diff(flow, prepend=0.0)


def rms(samples: Samples) -> float:
    """Root mean square of float64 [shape=(n,)]."""
    return float(np.sqrt(np.mean(np.square(samples))))


def db(decibels: float) -> float:
    """An amplitude ratio from decibels."""
    return float(same_everywhere(10 ** (decibels / 20)))
