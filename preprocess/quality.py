"""Stage 3, quality: measures of defects in a recording that make its scores unreliable.

Everything is relative to the recording's own level except silence, which is a statement about 16-bit full scale.
This module only measures; `runtime/conclude.py` judges the values by the cut-offs in config.yml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # its parts load at first use
from numpy.typing import NDArray

from preprocess.decoders.pieces import Gap
from preprocess.exact import decibels, on_grid
from preprocess.segment import Segment, SegmentationParams, noise_floor


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one channel.

    peak: of the samples without their mean, full scale is 1
    clipped_fraction: share of samples in flat tops, see `clipped_fraction`
    noise_rms: see `noise_rms`; None where too little lies between the segments
    bandwidth_hz: see `bandwidth_hz`
    dropout_fraction: share of the segments' time in stretches of constant samples of at least 5 ms, or share of the
        recording that was sent and is lost, whichever is more
    """

    peak: float
    clipped_fraction: float
    noise_rms: float | None
    bandwidth_hz: float
    dropout_fraction: float


def measure_quality(
    source: NDArray[np.float32],
    source_rate_hz: int,
    envelope: NDArray[np.float32],
    segment_rate_hz: int,
    segments: Sequence[Segment],
    params: SegmentationParams,
    gaps: Sequence[Gap] = (),
) -> Quality:
    """Measure one channel.

    source: float32 [shape=(n,)] as decoded, where clipping, dropouts and bandwidth still show
    gaps: in samples of `source`, what the file did not hold
    envelope: float32 [shape=(frames,)], `rms_envelope` of the resampled channel, which `segments` index
    """
    scale = source_rate_hz / segment_rate_hz
    spans = [(round(segment.start * scale), min(round(segment.end * scale), len(source))) for segment in segments]
    centred = source - source.mean()
    return Quality(
        peak=max(-float(centred.min()), float(centred.max())),
        clipped_fraction=clipped_fraction(centred),
        noise_rms=noise_rms(envelope, segment_rate_hz, segments, params),
        bandwidth_hz=bandwidth_hz(centred, source_rate_hz),
        dropout_fraction=max(
            dropout_fraction(source, source_rate_hz, spans, [gap for gap in gaps if not gap.lost]),
            sum(gap.end - gap.start for gap in gaps if gap.lost) / len(source),
        ),
    )


def clipped_fraction(samples: NDArray[np.float32]) -> float:
    """Share of samples in flat tops: at least 3 neighbours within 0.1 % of each other and of the recording's extremes.

    Relative to the extremes of either sign, because a limiter may stand anywhere before the last gain. A top counts
    only with a corner, a step of more than 0.5 % beside it: the round top of a sine leaves the 0.1 % in steps of at
    most 0.4 %.
    samples: float32 [shape=(n,)] without their mean
    """
    flat = 0
    high, low = float(samples.max()), float(samples.min())
    for extreme, near in ((high, samples >= high - 1e-3 * abs(high)), (low, samples <= low + 1e-3 * abs(low))):
        if extreme == 0.0:
            continue
        starts, ends = _runs(near, 3)
        before = np.abs(samples[starts] - samples[np.maximum(starts - 1, 0)])
        after = np.abs(samples[ends - 1] - samples[np.minimum(ends, len(samples) - 1)])
        cornered = np.maximum(before, after) > 5e-3 * abs(extreme)
        flat += int((ends - starts)[cornered].sum())
    return flat / len(samples)


def noise_rms(
    envelope: NDArray[np.float32], sample_rate_hz: int, segments: Sequence[Segment], params: SegmentationParams
) -> float | None:
    """The noise floor between the segments: the level that nine tenths of their surroundings exceed, full scale is 1.

    None where less than 100 ms lie outside the segments: what is cut that tightly has no noise to measure.
    envelope: float32 [shape=(frames,)], RMS per hop of `params.hop_ms`
    """
    outside = np.ones(len(envelope), dtype=bool)
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    for segment in segments:
        outside[segment.start // hop : -(-segment.end // hop) + 1] = False
    if np.count_nonzero(outside) * params.hop_ms < 100.0:
        return None
    return noise_floor(envelope[outside])


def segment_rms(
    envelope: NDArray[np.float32], sample_rate_hz: int, segments: Sequence[Segment], params: SegmentationParams
) -> tuple[float, ...]:
    """RMS of each segment without its padding, full scale is 1.

    envelope: float32 [shape=(frames,)], RMS per hop of `params.hop_ms`
    """
    hop = round(params.hop_ms * sample_rate_hz / 1000)
    padding = round(params.padding_ms / params.hop_ms)
    # Frame i is centred on sample i * hop; a segment has at least one frame besides its padding.
    spans = [
        (segment.start // hop + padding, max(segment.end // hop - padding, segment.start // hop + padding + 1))
        for segment in segments
    ]
    return tuple(float(np.sqrt(np.mean(np.square(envelope[a:b], dtype=np.float64)))) for a, b in spans)


def snr_db(segment_rms: Sequence[float], is_cough: Sequence[bool], noise_rms: float | None) -> float | None:
    """Level of the accepted coughs, without their padding, over the noise floor between the segments, in dB.

    Where no cough was accepted, that of all candidates. None without a candidate, without anything around them, or over
    digital silence. segment_rms, is_cough: of each candidate; full scale is 1.
    """
    accepted = [rms for rms, cough in zip(segment_rms, is_cough, strict=True) if cough]
    levels = accepted or segment_rms
    if not levels or not noise_rms:
        return None
    power = float(np.mean(np.square(levels)))
    return decibels(power / noise_rms**2) if power > 0.0 else None


def bandwidth_hz(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """The highest frequency that the recording reaches within 50 dB of its strongest, in its loudest frames.

    The power spectrum is averaged over the tenth of the 32 ms frames with most energy (Hann window), so that neither
    codec noise between coughs nor a single click decides. 0 for a recording of zeros.
    samples: float32 [shape=(n,)] without their mean
    """
    length = min(max(16, round(0.032 * sample_rate_hz)), len(samples))
    count = len(samples) // length
    frames = samples[: count * length].reshape(count, length)
    energy = np.einsum("ij,ij->i", frames, frames)
    # Stable: which of two equally loud frames NumPy's default sort puts first depends on the processor.
    loudest = frames[np.argsort(energy, kind="stable")[-max(1, count // 10) :]]
    spectra = scipy.fft.rfft(loudest * _window(length), axis=1)
    spectrum = (spectra.real**2 + spectra.imag**2).mean(axis=0)
    strongest = float(spectrum.max())
    if strongest == 0.0:
        return 0.0
    highest = int(np.flatnonzero(spectrum >= strongest * 1e-5)[-1])
    return highest * sample_rate_hz / length


@lru_cache(maxsize=8)
def _window(length: int) -> NDArray[np.float32]:
    return on_grid(np.hanning(length))


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
    still = 0
    for start, end in spans:
        steps = np.abs(np.diff(samples[start:end]))
        sounding = np.flatnonzero(steps > 1e-3 * np.ptp(samples[start:end])) if len(steps) else steps
        if len(sounding):
            first, last = start + int(sounding[0]), start + int(sounding[-1])
            constant = steps[sounding[0] : sounding[-1]] == 0.0
            for pause in pauses:
                constant[max(pause.start - 1, first) - first : max(min(pause.end, last), first) - first] = False
            starts, ends = _runs(constant, shortest)
            still += int((ends - starts).sum())
    return still / total


def _runs(mask: NDArray[np.bool_], shortest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts and ends (half open) of the mask's runs of at least `shortest` True."""
    edges = np.concatenate(([False], mask, [False]))
    starts, ends = np.flatnonzero(edges[1:] != edges[:-1]).reshape(-1, 2).T
    long = ends - starts >= shortest
    return starts[long], ends[long]
