"""Stage 4, segment: find the parts of a recording that may be a cough.

Hysteresis on the level of `preprocess.level`, relative to the recording's own, so that gain changes nothing: a segment
needs `on_ratio` times the recording's root mean square somewhere and lasts while the level stays above `off_ratio`
times it, and above `floor_ratio` times its background. It proposes; the network decides. A segment that runs to the end
of the recording counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.level import LevelParams, background


@dataclass(frozen=True, slots=True)
class SegmentationParams(LevelParams):
    """Parameters of the level and of the segmenter; units are in the names.

    on_ratio, off_ratio: to the root mean square of the recording's level; floor_ratio: to its background (the 10th
    percentile); valley_ratio: to the lower of the two peaks beside a valley.
    """

    on_ratio: float
    off_ratio: float
    floor_ratio: float
    merge_gap_ms: float
    padding_ms: float
    min_duration_ms: float
    max_duration_ms: float
    valley_ratio: float


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A half-open span of samples, `[start, end)`."""

    start: int
    end: int


def segment(
    level: NDArray[np.float32], n_samples: int, sample_rate_hz: int, params: SegmentationParams
) -> list[Segment]:
    """Propose segments in one channel, in order of time and without overlap.

    level: float32 [shape=(frames,)], that of `preprocess.level.levels` of the channel's `n_samples` samples; too few
        for the shortest segment give none
    """
    if n_samples * 1000 < params.min_duration_ms * sample_rate_hz:
        return []
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    overall = float(np.sqrt(np.mean(np.square(level, dtype=np.float64))))
    if overall == 0.0:
        return []
    off = max(params.off_ratio * overall, params.floor_ratio * background(level))
    runs = _hysteresis(level, on=max(params.on_ratio * overall, off), off=off)
    runs = _merge(runs, round(params.merge_gap_ms / params.hop_ms))
    runs = [_trim(part, level, off) for run in runs for part in _split(run, level, params)]
    padding = round(params.padding_ms / params.hop_ms)
    padded = _pad(runs, padding, len(level))
    shortest = params.min_duration_ms * sample_rate_hz / 1000
    # Frame i is centred on sample i * hop, so a run of frames spans from its first to its last centre.
    segments = [Segment(start * hop, min(end * hop, n_samples)) for start, end in padded]
    return [candidate for candidate in segments if candidate.end - candidate.start >= shortest]


def _hysteresis(level: NDArray[np.float32], on: float, off: float) -> list[tuple[int, int]]:
    """Return the runs of frames above `off` that exceed `on` at least once, half open."""
    above = np.concatenate(([False], level >= off, [False]))
    edges = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    return [(int(start), int(end)) for start, end in edges if level[start:end].max() >= on]


def _merge(runs: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Join runs that lie at most `gap` frames apart."""
    merged: list[tuple[int, int]] = []
    for start, end in runs:
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _split(run: tuple[int, int], level: NDArray[np.float32], params: SegmentationParams) -> list[tuple[int, int]]:
    """Split a run at its deepest valley, again and again, while one is deep enough or the run is too long.

    A valley is deep when the level falls below `valley_ratio` times the lower of the two peaks beside it: that parts
    coughs that follow each other without a pause. A run longer than `max_duration_ms` is split at its deepest valley
    whatever that is, since the network sees no more than that of it.
    """
    start, end = run
    shortest = max(1, round(params.min_duration_ms / params.hop_ms))
    if end - start < 2 * shortest:
        return [run]
    part = level[start:end]
    before = np.maximum.accumulate(part)
    after = np.maximum.accumulate(part[::-1])[::-1]
    depth = part / np.minimum(before, after)
    inner = slice(shortest, len(part) - shortest + 1)
    cut = shortest + int(np.argmin(depth[inner]))
    too_long = (end - start) * params.hop_ms > params.max_duration_ms
    if depth[cut] >= params.valley_ratio and not too_long:
        return [run]
    left, right = (start, start + cut), (start + cut, end)
    return [*_split(left, level, params), *_split(right, level, params)]


def _trim(run: tuple[int, int], level: NDArray[np.float32], off: float) -> tuple[int, int]:
    """Take the frames below `off` from either end.

    After a split they lie beside the cut: two coughs whose pause is just long enough to part them, or just not, then
    get the same ends, and a change of gain or codec moves nothing. A run has frames above `off`, and so has each part
    of it, unless it was cut out of a merged pause: such a part becomes one frame, which is too short to stay.
    """
    start, end = run
    loud = np.flatnonzero(level[start:end] >= off)
    return (start + int(loud[0]), start + int(loud[-1]) + 1) if len(loud) else (start, start + 1)


def _pad(runs: list[tuple[int, int]], padding: int, n_frames: int) -> list[tuple[int, int]]:
    """Widen each run by `padding` frames, but not into its neighbour: they meet half way."""
    padded: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(runs):
        low = 0 if index == 0 else (runs[index - 1][1] + start) // 2
        high = n_frames if index == len(runs) - 1 else (end + runs[index + 1][0]) // 2
        padded.append((max(start - padding, low), min(end + padding, high)))
    return padded
