"""The pure last step: candidates and their scores -> Diagnosis.

The rules, in order:
1. shorter than 0.2 s, or silent: `poor_quality`;
2. no accepted cough: `poor_quality` if clipping, noise, dropouts, hum or a tone may have hidden one, else
   `inconclusive` if a candidate may be one, else `no_cough`;
3. coughs, but too bad a recording to trust their scores: `poor_quality`. Hum and tones only hide: a cough that was
   heard beside them was heard;
4. fewer coughs than required, or a probability between the two thresholds: `inconclusive`;
5. `ok`. The result is the median over the coughs, which one odd segment can't move.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import zlib

import numpy as np
from numpy.typing import NDArray

from preprocess.exact import decibels
from preprocess.quality import snr_db
from preprocess.tones import tone_fraction
from runtime.classify import Scores
from runtime.config import QualityLimits
from runtime.contract import ModelContract
from runtime.diagnosis import Audio, DiagnosedSegment, Diagnosis, HeardTone, NearThreshold, Reason, Result, Status
from runtime.prepare import Prepared, PreparedChannel
from runtime.version import SOFTWARE_VERSION

_NOTHING_TO_HEAR = frozenset({Reason.TOO_SHORT, Reason.SILENT})
_SPOILS_AND_HIDES = frozenset({Reason.CLIPPED, Reason.LOW_SNR, Reason.DROPOUTS})
_HIDES_COUGHS = _SPOILS_AND_HIDES | {Reason.HUM, Reason.TONE}
_SPOILS_COUGHS = _SPOILS_AND_HIDES | {Reason.NARROWBAND}
# Hum of at least this level is named beside `low_snr`, and so is a tone of this share of the time: they, too, are what
# the caller can change.
_HUM_BESIDE_NOISE_DB, _TONE_BESIDE_NOISE = -20.0, 0.3


def conclude(
    prepared: Prepared,
    scores: Scores,
    contract: ModelContract,
    quality_limits: QualityLimits,
    min_coughs: int,
    infer_ms: float,
) -> Diagnosis:
    """Apply the rules. scores: of `prepared.spectrograms`, in their order."""
    index, first = _choose_channel(prepared.channels, scores, contract) if len(prepared.channels) > 1 else (0, 0)
    chosen = prepared.channels[index]
    rows = slice(first, first + len(chosen.segments_s))
    spectrograms = prepared.spectrograms[rows]
    segments = _segments(chosen, spectrograms, scores.cough[rows], scores.classes[rows], contract)
    coughs = [segment.is_cough for segment in segments]
    snr = snr_db(chosen.segment_levels, coughs, chosen.quality)
    reasons = _quality_reasons(prepared, chosen, snr, quality_limits)
    positive = contract.labels[-1]
    of_coughs = [segment.class_probabilities[positive] for segment in segments if segment.class_probabilities]
    probability = statistics.median(of_coughs) if of_coughs else None
    status, result, more = _judge(segments, probability, reasons, contract, min_coughs)
    return Diagnosis(
        status=status,
        reasons=(*reasons, *more),
        result=result,
        segments=segments,
        audio=Audio(
            sha256=prepared.audio_sha256,
            duration_s=prepared.duration_s,
            sample_rate_hz=prepared.sample_rate_hz,
            codec=prepared.codec,
            channels=prepared.n_channels,
            channel=chosen.channel,
            snr_db=snr,
            clipped_fraction=chosen.quality.clipped_fraction,
            bandwidth_hz=chosen.quality.bandwidth_hz,
            parts=prepared.parts,
            track=prepared.track,
            tracks=prepared.tracks,
            pauses_s=prepared.pauses_s,
            lost_s=prepared.lost_s,
            tones=tuple(HeardTone(tone.start_s, tone.end_s, tone.frequencies_hz) for tone in chosen.tones),
            hum_hz=chosen.hum.hz if chosen.hum else None,
            hum_db=chosen.hum.db if chosen.hum else None,
        ),
        model=contract.model,
        preprocess_sha256=prepared.preprocess_sha256,
        spectrogram_sha256=spectrogram_sha256(spectrograms),
        software_version=SOFTWARE_VERSION,
        timings_ms={**prepared.timings_ms, "infer": infer_ms},
        processor=prepared.processor,
        near_threshold=_near_threshold(segments, probability, contract),
    )


def _choose_channel(channels: tuple[PreparedChannel, ...], scores: Scores, contract: ModelContract) -> tuple[int, int]:
    """Return the channel with the better coughs, and the row of its first candidate.

    Each accepted cough counts with its probability times its level: a cough that leaks into the other party's channel
    has a similar score there, but is quieter. Without coughs, choose the channel with the most probable candidate, then
    the louder channel.
    """
    ranked: list[tuple[tuple[float, float, float], int, int]] = []
    first = 0
    for index, channel in enumerate(channels):
        probabilities = scores.cough[first : first + len(channel.segments_s)]
        accepted = accepted_candidates(probabilities, contract.cough_threshold, contract.uncertain_threshold)
        evidence = float(np.sum(probabilities[accepted] * np.asarray(channel.segment_rms)[accepted]))
        likeliest = float(probabilities.max(initial=0.0))
        ranked.append(((evidence, likeliest, channel.quality.peak), -index, first))
        first += len(channel.segments_s)
    _, negative_index, first = max(ranked)
    return -negative_index, first


def accepted_candidates(
    cough: NDArray[np.float32], cough_threshold: float, uncertain_threshold: float
) -> NDArray[np.bool_]:
    """Which candidates of a channel are coughs, bool [shape=(n,)]: none, unless one reaches `cough_threshold`; then all
    that reach `uncertain_threshold`. One sure cough makes its neighbours likelier, and a doubtful one alone accepts no
    recording.

    cough: probability of each candidate, [shape=(n,)]
    """
    if float(cough.max(initial=0.0)) < cough_threshold:
        return np.zeros(len(cough), dtype=np.bool_)
    return np.asarray(cough >= uncertain_threshold)


def _segments(
    channel: PreparedChannel,
    spectrograms: NDArray[np.uint8],
    cough: NDArray[np.float32],
    classes: NDArray[np.float32],
    contract: ModelContract,
) -> tuple[DiagnosedSegment, ...]:
    accepted = accepted_candidates(cough, contract.cough_threshold, contract.uncertain_threshold)
    return tuple(
        DiagnosedSegment(
            start_s=start_s,
            end_s=end_s,
            cough_probability=float(probability),
            is_cough=bool(is_cough),
            class_probabilities=dict(zip(contract.labels, map(float, row), strict=True)) if is_cough else None,
            spectrogram_crc32=spectrogram_crc32(spectrogram),
        )
        for (start_s, end_s), spectrogram, probability, is_cough, row in zip(
            channel.segments_s, spectrograms, cough, accepted, classes, strict=True
        )
    )


def _quality_reasons(
    prepared: Prepared, channel: PreparedChannel, snr: float | None, limits: QualityLimits
) -> tuple[Reason, ...]:
    quality = channel.quality
    if prepared.duration_s < limits.min_duration_s:
        return (Reason.TOO_SHORT,)
    if decibels(quality.peak**2) < limits.silent_peak_dbfs:
        return (Reason.SILENT,)
    least_db = limits.min_snr_db if channel.segments_s else limits.min_snr_without_candidates_db
    noisy = snr is not None and snr < least_db
    hum_db = channel.hum.db if channel.hum else -math.inf
    found = {
        Reason.CLIPPED: quality.clipped_fraction > limits.max_clipped_fraction,
        Reason.LOW_SNR: noisy,
        Reason.NARROWBAND: quality.bandwidth_hz < limits.min_bandwidth_hz,
        Reason.DROPOUTS: quality.dropout_fraction > limits.max_dropout_fraction,
        Reason.HUM: hum_db > (min(limits.max_hum_db, _HUM_BESIDE_NOISE_DB) if noisy else limits.max_hum_db),
        Reason.TONE: tone_fraction(channel.tones, prepared.duration_s)
        > (min(limits.max_tone_fraction, _TONE_BESIDE_NOISE) if noisy else limits.max_tone_fraction),
        Reason.TRUNCATED: prepared.truncated,
    }
    return tuple(reason for reason, applies in found.items() if applies)


def _near_threshold(
    segments: tuple[DiagnosedSegment, ...], probability: float | None, contract: ModelContract
) -> NearThreshold:
    margin, thresholds = contract.score_margin, (contract.thresholds.low, contract.thresholds.high)
    of_cough = [contract.cough_threshold]
    if not any(segment.is_cough for segment in segments):
        of_cough.append(contract.uncertain_threshold)
    return NearThreshold(
        margin=margin,
        segments=tuple(
            n
            for n, segment in enumerate(segments)
            if any(abs(segment.cough_probability - at) < margin for at in of_cough)
        ),
        class_probability=probability is not None and any(abs(probability - at) < margin for at in thresholds),
    )


def _judge(
    segments: tuple[DiagnosedSegment, ...],
    probability: float | None,
    reasons: tuple[Reason, ...],
    contract: ModelContract,
    min_coughs: int,
) -> tuple[Status, Result | None, tuple[Reason, ...]]:
    coughs = [segment for segment in segments if segment.is_cough]
    unvalidated = () if contract.model.validated else (Reason.UNVALIDATED_MODEL,)
    if _NOTHING_TO_HEAR.intersection(reasons):
        return Status.POOR_QUALITY, None, unvalidated
    if probability is None:
        status, uncertain = _judge_without_cough(segments, reasons, contract)
        return status, None, (*uncertain, *unvalidated)
    if _SPOILS_COUGHS.intersection(reasons):
        return Status.POOR_QUALITY, None, unvalidated
    if len(coughs) < min_coughs:
        return Status.INCONCLUSIVE, None, (Reason.TOO_FEW_COUGHS, *unvalidated)
    low, high = contract.thresholds.low, contract.thresholds.high
    if low <= probability < high:
        return Status.INCONCLUSIVE, None, (Reason.BETWEEN_THRESHOLDS, *unvalidated)
    label = contract.labels[-1] if probability >= high else contract.labels[0]
    return Status.OK, Result(label, probability, contract.thresholds, contract.model.validated), unvalidated


def _judge_without_cough(
    segments: tuple[DiagnosedSegment, ...], reasons: tuple[Reason, ...], contract: ModelContract
) -> tuple[Status, tuple[Reason, ...]]:
    if _HIDES_COUGHS.intersection(reasons):
        return Status.POOR_QUALITY, ()
    if any(segment.cough_probability >= contract.uncertain_threshold for segment in segments):
        return Status.INCONCLUSIVE, (Reason.UNCERTAIN_COUGH,)
    return Status.NO_COUGH, ()


def spectrogram_sha256(spectrograms: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the levels only, lower-case hexadecimal; uint8 [shape=(n, n_mels, n_frames)]."""
    return hashlib.sha256(spectrograms.tobytes()).hexdigest()


def spectrogram_crc32(spectrogram: NDArray[np.uint8]) -> str:
    """Return the CRC-32 of one candidate's levels, eight hexadecimal digits; uint8 [shape=(n_mels, n_frames)]."""
    return f"{zlib.crc32(spectrogram.tobytes()):08x}"
