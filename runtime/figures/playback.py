"""The diagnosed channel: bytes and diagnosis -> samples, candidates, and WAV for people.

Browsers don't support every format that telephones send, and they seek differently in the supported formats; all
browsers play 16-bit PCM exactly to the sample.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preprocess.decode import DecodeLimits, decode
from preprocess.formats.container import Container
from preprocess.mel import MelSpecParams, cut, mel_spectrograms
from preprocess.resample import resample
from preprocess.segment import Segment
from runtime.diagnosis import DiagnosedSegment, Diagnosis
from runtime.prepare import MIX

MAX_RATE_HZ = 16_000  # wideband telephony: a third of a voice note's bytes, and coughs lose nothing audible


def diagnosed_channel(
    data: bytes, diagnosis: Diagnosis, limits: DecodeLimits, container: Container | None = None
) -> tuple[NDArray[np.float32], int]:
    """Return float32 [shape=(n,)], mono, and its sample rate in Hz; the times of the diagnosis' segments refer to it.

    container: of a recording without a header, here and below

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    recording = decode(data, limits, container)
    channel = diagnosis.audio.channel
    samples = recording.samples.mean(axis=0) if channel == MIX else recording.samples[int(channel)]
    return samples, recording.sample_rate_hz


def at_model_rate(
    data: bytes,
    diagnosis: Diagnosis,
    mel_spec: MelSpecParams,
    limits: DecodeLimits,
    container: Container | None = None,
) -> NDArray[np.float32]:
    """Return the same channel at `mel_spec.sample_rate_hz`. Raises: a leaf of `preprocess.errors.AudioError`."""
    samples, rate_hz = diagnosed_channel(data, diagnosis, limits, container)
    return np.asarray(resample(samples[None], rate_hz, mel_spec.sample_rate_hz)[0])


def candidate_powers(
    samples: NDArray[np.float32], candidates: Sequence[DiagnosedSegment], mel_spec: MelSpecParams
) -> NDArray[np.float32]:
    """Compute powers as `mel_spectrograms`, float32 [shape=(candidates, n_mels, n_frames)].

    samples: of `at_model_rate`
    """
    rate = mel_spec.sample_rate_hz
    segments = [Segment(round(candidate.start_s * rate), round(candidate.end_s * rate)) for candidate in candidates]
    return mel_spectrograms(cut(samples, segments, mel_spec), mel_spec)


def channel_wav(data: bytes, diagnosis: Diagnosis, limits: DecodeLimits, container: Container | None = None) -> bytes:
    """Return the diagnosed channel as WAV, 16-bit PCM, at MAX_RATE_HZ at most.

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    samples, rate_hz = diagnosed_channel(data, diagnosis, limits, container)
    if rate_hz > MAX_RATE_HZ:
        samples, rate_hz = resample(samples[None], rate_hz, MAX_RATE_HZ)[0], MAX_RATE_HZ
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()
