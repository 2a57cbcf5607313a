"""The CPU half: the bytes of a recording -> uint8 spectrograms of every candidate, and the measures for `conclude`."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, quantise
from preprocess.decode import DecodeLimits, Recording, decode
from preprocess.formats.container import Container, sniff
from preprocess.formats.headerless import HEADERLESS, headerless, headerless_by_name
from preprocess.level import levels as measure_levels
from preprocess.mel import MelSpecParams, cut, mel_spectrograms
from preprocess.quality import Quality, measure_quality, segment_means
from preprocess.resample import resample
from preprocess.segment import SegmentationParams, segment
from preprocess.tones import Hum, Tone, find_hum, find_tones
from runtime.config import Parameters, parameters_sha256
from runtime.processor import processor_class

__all__ = [
    "HEADERLESS",
    "MIX",
    "STAGES",
    "AudioFile",
    "Container",
    "DecodeLimits",
    "Prepared",
    "PreparedChannel",
    "headerless",
    "headerless_by_name",
    "prepare",
    "prepare_file",
    "sniff",
]

MIX = "mix"
STAGES = frozenset({"decode", "resample", "segment", "quality", "mel", "color"})  # of `Prepared.timings_ms`

# Two channels whose samples correlate above this carry one signal (a mono source written as stereo, through a codec);
# the two parties of a call do not correlate, and opposite phases would cancel, so neither is mixed.
SAME_SIGNAL_CORRELATION = 0.9


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A recording's bytes, and known facts about them; it is sent between processes.

    sha256: lower-case hexadecimal; container: the format of the first bytes, None where it is not known yet
    """

    data: bytes
    sha256: str
    container: Container | None = None

    @staticmethod
    def of(data: bytes) -> AudioFile:
        """Make a file without known facts except its digest."""
        return AudioFile(data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class PreparedChannel:
    """One channel's candidates.

    channel: its number or MIX
    segment_levels, segment_rms: of each candidate without its padding; the level of `preprocess.level`, and the RMS in
        the band that the network hears, full scale is 1
    tones, hum: what else is heard, see `preprocess.tones`
    """

    channel: int | str
    segments_s: tuple[tuple[float, float], ...]
    segment_levels: tuple[float, ...]
    segment_rms: tuple[float, ...]
    quality: Quality
    tones: tuple[Tone, ...] = ()
    hum: Hum | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of the CPU half; it is sent between processes.

    parts, track, tracks, pauses_s, lost_s: see `runtime.diagnosis.Audio`
    spectrograms: uint8 [shape=(n, n_mels, n_frames)], the candidates of all channels, one channel after the other
    processor: the class of the processor used, see `runtime.processor`
    """

    audio_sha256: str
    duration_s: float
    sample_rate_hz: int
    codec: str
    n_channels: int
    truncated: bool
    channels: tuple[PreparedChannel, ...]
    spectrograms: NDArray[np.uint8]
    processor: str
    preprocess_sha256: str
    timings_ms: dict[str, float]
    parts: int = 1
    track: int = 0
    tracks: int = 1
    pauses_s: float = 0.0
    lost_s: float = 0.0


def prepare(
    data: bytes,
    segmentation: SegmentationParams,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    limits: DecodeLimits,
    container: Container | None = None,
) -> Prepared:
    """Decode, cut and turn into spectrograms. container: of a recording without a header.

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    file = AudioFile(data, hashlib.sha256(data).hexdigest(), container)
    return prepare_file(file, (segmentation, mel_spec, color_spec), limits)


def prepare_file(file: AudioFile, parameters: Parameters, limits: DecodeLimits) -> Prepared:
    """Prepare as `prepare`, for a file whose digest and possibly container are known."""
    segmentation, mel_spec, color_spec = parameters
    timings: dict[str, float] = {}
    rate = mel_spec.sample_rate_hz
    with _timed(timings, "decode"):
        recording = decode(file.data, limits, file.container)
    with _timed(timings, "resample"):
        names, source = _channels(recording)
        samples = resample(source, recording.sample_rate_hz, rate)
    channels, spectrograms = [], []
    for name, raw, low in zip(names, source, samples, strict=True):
        with _timed(timings, "segment"):
            levels = measure_levels(low, rate, segmentation)
            segments = segment(levels.level, len(low), rate, segmentation)
        with _timed(timings, "quality"):
            quality = measure_quality(
                raw, recording.sample_rate_hz, levels, rate, segments, segmentation, recording.gaps
            )
            segment_levels = segment_means(levels.level, rate, segments, segmentation)
            segment_rms = segment_means(levels.rms, rate, segments, segmentation)
            hum = find_hum(low, rate, levels)
            tones = find_tones(levels, segmentation, hum)
        with _timed(timings, "mel"):
            powers = mel_spectrograms(cut(low, segments, mel_spec), mel_spec)
        with _timed(timings, "color"):
            spectrograms.append(quantise(powers, color_spec))
        channels.append(
            PreparedChannel(
                channel=name,
                segments_s=tuple((item.start / rate, item.end / rate) for item in segments),
                segment_levels=segment_levels,
                segment_rms=segment_rms,
                quality=quality,
                tones=tones,
                hum=hum,
            )
        )
    return Prepared(
        audio_sha256=file.sha256,
        duration_s=recording.duration_s,
        sample_rate_hz=recording.source_rate_hz,
        codec=recording.codec,
        n_channels=len(recording.samples),
        truncated=recording.truncated,
        channels=tuple(channels),
        spectrograms=np.concatenate(spectrograms),
        processor=processor_class(),
        preprocess_sha256=parameters_sha256(*parameters),
        timings_ms=timings,
        parts=recording.parts,
        track=recording.track,
        tracks=recording.tracks,
        pauses_s=recording.pauses_s,
        lost_s=recording.lost_s,
    )


def _channels(recording: Recording) -> tuple[list[int | str], NDArray[np.float32]]:
    """Return the channels to analyse, each separate unless both carry one signal; float32 [shape=(channels, n)]."""
    samples = recording.samples
    if len(samples) == 1:
        return [0], samples
    if _same_signal(samples[0], samples[1]):
        return [MIX], samples.mean(axis=0, keepdims=True)
    return list(range(len(samples))), samples


def _same_signal(left: NDArray[np.float32], right: NDArray[np.float32]) -> bool:
    """Whether both channels carry one signal. NumPy adds, not BLAS: BLAS' order of additions, and so the last bits,
    depend on the processor.
    """
    left, right = left - left.mean(), right - right.mean()
    scale = math.sqrt(_inner(left, left)) * math.sqrt(_inner(right, right))
    return scale > 0.0 and _inner(left, right) / scale >= SAME_SIGNAL_CORRELATION


def _inner(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(np.einsum("i,i->", left, right))


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + (time.perf_counter() - started) * 1000.0
