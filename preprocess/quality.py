"""Stage 3, quality: measures of defects in a recording that make its scores unreliable.

Everything is relative to the recording's own level except silence, which is a statement about 16-bit full scale. What
concerns the coughs (SNR, bandwidth, dropouts) is measured where they are and in the band that the network hears, so
that a loud sound elsewhere changes nothing.
This module only measures; `runtime/conclude.py` judges the values by the cut-offs in config.yml.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.decoders.pieces import Gap
from preprocess.exact import decibels, percentile
from preprocess.level import LOUD_PERCENTILE, Levels, background
from preprocess.segment import Segment, SegmentationParams

# The strongest bin that a bandwidth is relative to: mains hum and its loud harmonics lie below.
_ABOVE_HUM_HZ = 250.0
_BLOCK = 1024  # samples
_FEWEST_IN_A_TOP = 3  # samples
_FRAMES_OVER_AN_END = 2  # of 32 ms, every 10 ms


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one channel.

    peak: of the samples without their mean, full scale is 1
    clipped_fraction: share of samples in flat tops, see `clipped_fraction`
    noise_level: see `noise_level`; None where too little lies between the segments
    loud_level: the level that one frame in twenty exceeds, in the unit of `preprocess.level`
    bandwidth_hz: see `bandwidth_hz`
    dropout_fraction: share of the segments' time in stretches of constant samples of at least 5 ms, or share of the
        recording that was sent and is lost, whichever is more
    """

    peak: float
    clipped_fraction: float
    noise_level: float | None
    loud_level: float
    bandwidth_hz: float
    dropout_fraction: float


def measure_quality(
    source: NDArray[np.float32],
    source_rate_hz: int,
    levels: Levels,
    segment_rate_hz: int,
    segments: Sequence[Segment],
    params: SegmentationParams,
    gaps: Sequence[Gap] = (),
) -> Quality:
    """Measure one channel.

    source: float32 [shape=(n,)] as decoded, where clipping and dropouts still show
    gaps: in samples of `source`, what the file did not hold
    levels: of the resampled channel, which `segments` index
    """
    scale = source_rate_hz / segment_rate_hz
    spans = [(round(segment.start * scale), min(round(segment.end * scale), len(source))) for segment in segments]
    mean, lows, highs = float(source.mean()), block_extremes(source, np.minimum), block_extremes(source, np.maximum)
    return Quality(
        peak=max(mean - float(lows.min()), float(highs.max()) - mean),
        clipped_fraction=clipped_fraction(source, mean, lows, highs),
        noise_level=noise_level(levels.level, segment_rate_hz, segments, params),
        loud_level=float(percentile(levels.level, LOUD_PERCENTILE)),
        bandwidth_hz=bandwidth_hz(levels),
        dropout_fraction=max(
            dropout_fraction(source, source_rate_hz, spans, [gap for gap in gaps if not gap.lost]),
            sum(gap.end - gap.start for gap in gaps if gap.lost) / len(source),
        ),
    )


def block_extremes(samples: NDArray[np.float32], extreme: np.ufunc) -> NDArray[np.float32]:
    """The least or greatest sample (`np.minimum`, `np.maximum`) of every block, [shape=(ceil(n / block),)]."""
    return np.asarray(extreme.reduceat(samples, np.arange(0, len(samples), _BLOCK)))


def clipped_fraction(
    samples: NDArray[np.float32], mean: float, lows: NDArray[np.float32], highs: NDArray[np.float32]
) -> float:
    """Share of samples in flat tops: at least 3 neighbours within 0.1 % of each other and of the recording's extremes.

    Relative to the extremes of either sign, because a limiter may stand anywhere before the last gain. A top counts
    only with a corner, a step of more than 0.5 % beside it: the round top of a sine leaves the 0.1 % in steps of at
    most 0.4 %.
    samples: float32 [shape=(n,)]; mean: of them; lows, highs: their `block_extremes`
    """
    flat = 0
    for sign, extremes in ((1.0, highs), (-1.0, lows)):
        top = float(extremes.max() if sign > 0.0 else extremes.min())
        extreme = sign * (top - mean)
        if extreme <= 0.0:
            continue
        limit = np.float32(top - sign * 1e-3 * extreme)
        beyond = np.greater_equal if sign > 0.0 else np.less_equal
        # Most blocks stay below; the others are looked at one by one.
        places = np.concatenate(
            [
                block * _BLOCK + np.flatnonzero(beyond(samples[block * _BLOCK : (block + 1) * _BLOCK], limit))
                for block in np.flatnonzero(beyond(extremes, limit)).tolist()
            ]
        )
        if len(places) < _FEWEST_IN_A_TOP:
            continue
        starts, ends = _runs(places, _FEWEST_IN_A_TOP)
        before = np.abs(samples[starts] - samples[np.maximum(starts - 1, 0)])
        after = np.abs(samples[ends - 1] - samples[np.minimum(ends, len(samples) - 1)])
        cornered = np.maximum(before, after) > 5e-3 * extreme
        flat += int((ends - starts)[cornered].sum())
    return flat / len(samples)


def noise_level(
    level: NDArray[np.float32], sample_rate_hz: int, segments: Sequence[Segment], params: SegmentationParams
) -> float | None:
    """The background between the segments: the level that nine tenths of their surroundings exceed.

    None where less than 100 ms lie outside the segments: what is cut that tightly has no noise to measure.
    level: float32 [shape=(frames,)], that of `preprocess.level`
    """
    outside = np.ones(len(level), dtype=bool)
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    for segment in segments:
        outside[segment.start // hop : -(-segment.end // hop) + 1] = False
    if np.count_nonzero(outside) * params.hop_ms < 100.0:
        return None
    return background(level[outside])


def segment_means(
    course: NDArray[np.float32], sample_rate_hz: int, segments: Sequence[Segment], params: SegmentationParams
) -> tuple[float, ...]:
    """Root mean square over each segment without its padding, of a level or an RMS by frame.

    course: float32 [shape=(frames,)], a value per hop of `params.hop_ms`
    """
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    padding = round(params.padding_ms / params.hop_ms)
    # Frame i is centred on sample i * hop; a segment has at least one frame besides its padding.
    spans = [
        (segment.start // hop + padding, max(segment.end // hop - padding, segment.start // hop + padding + 1))
        for segment in segments
    ]
    # As np.mean adds and divides, without what it asks before.
    means = (float(np.add.reduce(np.square(course[a:b], dtype=np.float64))) / len(course[a:b]) for a, b in spans)
    return tuple(map(math.sqrt, means))


def snr_db(segment_levels: Sequence[float], is_cough: Sequence[bool], quality: Quality) -> float | None:
    """Level of the accepted coughs, without their padding, over the background between the segments, in dB.

    Where no cough was accepted, that of all candidates; where there is none, that of the loud moments of the recording.
    None without anything around the candidates, or over digital silence. The level is that of `preprocess.level`, so
    this is the ratio in the middle ones of the bands: noise of the same spectrum as the cough gives the usual ratio,
    and what fills a few bands only, as hum and tones do, hides no cough and counts little.
    segment_levels, is_cough: of each candidate
    """
    accepted = [level for level, cough in zip(segment_levels, is_cough, strict=True) if cough]
    levels = accepted or list(segment_levels) or [quality.loud_level]
    if not quality.noise_level:
        return None
    power = float(np.mean(np.square(levels)))
    return decibels(power / quality.noise_level**2) if power > 0.0 else None


def bandwidth_hz(levels: Levels) -> float:
    """The highest frequency that the recording reaches within 50 dB of its strongest, in its loudest frames.

    At most half of the rate that the network hears. The power spectrum is averaged over the tenth of the frames with
    the highest level, which a tone, hum or a click does not raise. Frames over either end, where the recording breaks
    off, don't count where there are others. 0 for a recording of zeros.
    """
    over = _FRAMES_OVER_AN_END if len(levels.level) > 2 * _FRAMES_OVER_AN_END else 0
    inside = slice(over, len(levels.level) - over)
    # Stable: which of two equal frames NumPy's default sort puts first depends on the processor.
    loudest = np.argsort(levels.level[inside], kind="stable")[-max(1, len(levels.level) // 10) :]
    spectrum = levels.spectrum[inside][loudest].sum(axis=0)
    strongest = float(spectrum[round(_ABOVE_HUM_HZ / levels.bin_hz) :].max())
    if strongest == 0.0:
        return 0.0
    return int(np.flatnonzero(spectrum >= strongest * 1e-5)[-1]) * levels.bin_hz


def dropout_fraction(
    samples: NDArray[np.float32], sample_rate_hz: int, spans: Sequence[tuple[int, int]], pauses: Sequence[Gap] = ()
) -> float:
    """Share of the spans' samples that stand still for at least 5 ms, as lost packets filled with a constant do.

    Only between sounds: before the first and after the last step of a thousandth of the span's range stands the silence
    around it, which is digital, or all but, in recordings that went through a noise gate.
    samples: float32 [shape=(n,)]; spans: half-open ranges of samples; pauses: silence in which nothing was sent
    """
    total = sum(end - start for start, end in spans)
    if total == 0:
        return 0.0
    shortest = max(3, round(0.005 * sample_rate_hz))
    # Whatever stands still for so long does so at two neighbours among these places. Most spans have none.
    apart = shortest // 2
    stands = samples[:-1:apart] == samples[1::apart]
    both = stands[1:] & stands[:-1]
    still = 0
    for start, end in spans:
        if not both[-(-start // apart) : (end - 2) // apart].any():
            continue
        steps = np.abs(np.diff(samples[start:end]))
        sounding = np.flatnonzero(steps > 1e-3 * np.ptp(samples[start:end])) if len(steps) else steps
        if len(sounding):
            first, last = start + int(sounding[0]), start + int(sounding[-1])
            constant = steps[sounding[0] : sounding[-1]] == 0.0
            for pause in pauses:
                constant[max(pause.start - 1, first) - first : max(min(pause.end, last), first) - first] = False
            starts, ends = _runs(np.flatnonzero(constant), shortest)
            still += int((ends - starts).sum())
    return still / total


def _runs(places: NDArray[np.int64], shortest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts and ends (half open) of runs of at least `shortest` consecutive places, which ascend."""
    last = np.flatnonzero(np.diff(places) > 1)
    if not len(places):
        return places, places
    starts, ends = places[np.append(0, last + 1)], places[np.append(last, len(places) - 1)] + 1
    long = ends - starts >= shortest
    return starts[long], ends[long]
