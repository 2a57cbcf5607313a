"""Stage 3, level: how loud a recording is at each moment, as the segmenter and the quality measures need it.

A short-time spectrum in the band that the network hears is divided into bands. Each band's power is taken relative to
its own course over the recording, and of the bands in a frame the weakest and the strongest are left out. What fills a
few bands only (a tone, two tones of a key, hum), or lies below them (wander, a step of the mean), moves the level
little, whatever its strength; a cough fills all of them (docs/decisions/0021-on-real-lines.md).

All of it is sums, products, comparisons and square roots, so the same on every processor; the transform is that of
`preprocess.mel`, whose bits are the same too (docs/decisions/0016-same-bits.md).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # its parts load at first use
from numpy.typing import NDArray

from preprocess.exact import on_grid, percentile

# Percentiles over the recording that stand for its background and for its loud moments.
BACKGROUND_PERCENTILE, LOUD_PERCENTILE = 10.0, 95.0
# Loud moments lie at most 20 dB below the loudest: a recording that is digital silence but for one cough has a 95th
# percentile of zero.
_LOUD_BELOW_LOUDEST = 1e-2
_FRAMES_AT_ONCE = 512  # fits into a core's cache


@dataclass(frozen=True, slots=True)
class LevelParams:
    """Parameters of the level; units are in the names.

    frame_ms: of the Hann window; hop_ms: from one frame to the next
    band_edges_hz: ascending, of neighbouring bands; outer_bands: so many on either side are left out of each frame
    """

    frame_ms: float
    hop_ms: float
    band_edges_hz: tuple[float, ...]
    outer_bands: int


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Of one channel, a value for each frame; frame i is centred on sample i * hop.

    level: float32 [shape=(frames,)], the square root of the mean relative power of the middle bands; it has no unit
    rms: float32 [shape=(frames,)], of all bands together, full scale is 1
    spectrum: float32 [shape=(frames, 1 + frame // 2)], power; a sine of amplitude 1 gives about 0.25 in its bin
    bin_hz: from one bin to the next
    """

    level: NDArray[np.float32]
    rms: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    bin_hz: float


def levels(samples: NDArray[np.float32], sample_rate_hz: int, params: LevelParams) -> Levels:
    """Measure one channel. samples: float32 [shape=(n,)], n >= 1"""
    frame = 2 * round(params.frame_ms * sample_rate_hz / 2000)
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    spectrum = _spectrum(samples, frame, hop)
    bin_hz = sample_rate_hz / frame
    edges = [min(round(edge / bin_hz), spectrum.shape[1]) for edge in params.band_edges_hz]
    by_bin = np.ascontiguousarray(spectrum.T)
    bands = np.stack([_sum(by_bin[low:high]) for low, high in itertools.pairwise(edges)])
    return Levels(
        level=_middle(_relative(bands), params.outer_bands),
        # A sine of amplitude 1 has 0.5 in a band; its three bins of a Hann window hold 0.375 of our unit.
        rms=np.sqrt(_sum(bands) * np.float32(4.0 / 3.0)),
        spectrum=spectrum,
        bin_hz=bin_hz,
    )


def background(level: NDArray[np.float32]) -> float:
    """Return the level that nine tenths of the frames exceed, in the level's unit."""
    return float(percentile(level, BACKGROUND_PERCENTILE))


def _spectrum(samples: NDArray[np.float32], frame: int, hop: int) -> NDArray[np.float32]:
    """Power of centred frames, float32 [shape=(1 + n // hop, 1 + frame // 2)].

    The ends are continued with their last value: an offset then makes no click there.
    """
    padded = np.pad(samples - samples.mean(), frame // 2, mode="edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop][: 1 + len(samples) // hop]
    window = _window(frame)
    spectrum = np.empty((len(frames), 1 + frame // 2), dtype=np.float32)
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        part = scipy.fft.rfft(frames[first : first + _FRAMES_AT_ONCE] * window, axis=-1)
        np.add(part.real**2, part.imag**2, out=spectrum[first : first + len(part)])
    return spectrum


def _sum(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum over the first axis, one row after the other: an order that no processor changes."""
    total = np.zeros(rows.shape[1], dtype=np.float32)
    for row in rows:
        total += row
    return total


def _relative(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each band divided by the power of its own loud moments; [shape=(bands, frames)]."""
    loud = percentile(bands, LOUD_PERCENTILE)
    loud = np.maximum(loud, np.float32(_LOUD_BELOW_LOUDEST) * bands.max(axis=1))
    return np.asarray(bands / np.where(loud > 0.0, loud, np.float32(1.0))[:, None], dtype=np.float32)


def _middle(bands: NDArray[np.float32], outer: int) -> NDArray[np.float32]:
    """Square root of the mean of each frame's bands without the `outer` weakest and strongest."""
    ranked = np.sort(bands, axis=0)[outer : len(bands) - outer]
    return np.asarray(np.sqrt(_sum(ranked) / np.float32(len(ranked))), dtype=np.float32)


@lru_cache(maxsize=8)
def _window(frame: int) -> NDArray[np.float32]:
    """Hann, scaled so that a sine of amplitude 1 has power 0.25 in its own bin."""
    window = np.hanning(frame + 1)[:-1]
    return on_grid(window / window.sum())
