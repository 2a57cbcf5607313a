"""Stage 5, mel: cut-out coughs -> mel power spectrograms, all of a recording in one batched transform.

`librosa.feature.melspectrogram(center=False, power=2)` and `librosa.power_to_db(ref=max)` are the reference; a test
holds this batched transform to them within 1e-3 dB (docs/decisions/0004-signal-path.md). The powers stay powers: a
logarithm ends in other bits on another processor (docs/decisions/0016-same-bits.md), and `color.quantise` needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # its parts load at first use, so that only spectra need that time
from numpy.typing import NDArray

from preprocess.exact import on_grid
from preprocess.segment import Segment

_BEND_HZ, _BEND_MEL = 1000.0, 15.0  # where Slaney's mel scale turns from linear to logarithmic
_FLOOR = np.float32(1e-10)  # librosa.power_to_db's `amin`; clips are levelled first, so it is relative here


@dataclass(frozen=True, slots=True)
class MelSpecParams:
    """Parameters of the mel spectrogram; units are in the names.

    n_fft, hop_length: in samples at `sample_rate_hz`. n_frames: the fixed length that coughs are cut or padded to.
    """

    sample_rate_hz: int
    n_fft: int
    hop_length: int
    n_mels: int
    n_frames: int
    fmin_hz: float
    fmax_hz: float

    @property
    def clip_samples(self) -> int:
        """Return the number of samples in `n_frames` whole frames."""
        return (self.n_frames - 1) * self.hop_length + self.n_fft


def cut(samples: NDArray[np.float32], segments: Sequence[Segment], params: MelSpecParams) -> NDArray[np.float32]:
    """Cut segments out of one channel, each cut or zero-padded at its end to `params.clip_samples`.

    samples: float32 [shape=(n,)] at `params.sample_rate_hz`
    Returns float32 [shape=(len(segments), clip_samples)].
    """
    clips = np.zeros((len(segments), params.clip_samples), dtype=np.float32)
    for clip, segment in zip(clips, segments, strict=True):
        piece = samples[segment.start : min(segment.end, segment.start + params.clip_samples)]
        clip[: len(piece)] = piece
    return clips


def mel_spectrograms(clips: NDArray[np.float32], params: MelSpecParams) -> NDArray[np.float32]:
    """Mel power spectrograms relative to each clip's own maximum, so that gain changes nothing.

    clips: float32 [shape=(batch, clip_samples)]
    Returns float32 [shape=(batch, n_mels, n_frames)], in [0, 1] with 1 somewhere in each; a clip of zeros gives zeros.
    """
    if not len(clips):
        return np.zeros((0, params.n_mels, params.n_frames), dtype=np.float32)
    peaks = np.abs(clips).max(axis=1, keepdims=True)
    levelled = clips / np.maximum(peaks, np.float32(1e-30))
    frames = np.lib.stride_tricks.sliding_window_view(levelled, params.n_fft, axis=1)[:, :: params.hop_length]
    spectra = scipy.fft.rfft(frames * _window(params.n_fft), axis=-1)
    power = spectra.real**2 + spectra.imag**2
    mel = (_filter_bank(params) @ power.reshape(-1, power.shape[-1]).T).reshape(params.n_mels, len(clips), -1)
    mel = np.maximum(mel.transpose(1, 0, 2), _FLOOR, order="C")
    relative = mel / mel.max(axis=(1, 2), keepdims=True)
    relative[peaks[:, 0] == 0.0] = 0.0
    return np.asarray(relative, dtype=np.float32)


@lru_cache(maxsize=4)
def _window(n_fft: int) -> NDArray[np.float32]:
    return on_grid(np.hanning(n_fft + 1)[:-1])


@lru_cache(maxsize=4)
def _filter_bank(params: MelSpecParams) -> scipy.sparse.csr_array:
    """Triangles over Slaney's mel scale, each of area 1, float32 [shape=(n_mels, 1 + n_fft // 2)]: the same numbers as
    `librosa.filters.mel` gives, which a test compares. To import librosa takes a second and 130 MB, for this alone.

    Sparse, since a bin lies in two filters at most. A dense product would also wake BLAS's threads, which spin for
    longer than the product takes (docs/decisions/0013-speed.md).
    """
    bins_hz = np.fft.rfftfreq(params.n_fft, 1.0 / params.sample_rate_hz)
    low, high = hz_to_mel(params.fmin_hz), hz_to_mel(params.fmax_hz)
    corners_hz = np.array([_mel_to_hz(mel) for mel in np.linspace(low, high, params.n_mels + 2)])
    left, centre, right = (corners_hz[k : k + params.n_mels, None] for k in range(3))
    rising, falling = (bins_hz - left) / (centre - left), (right - bins_hz) / (right - centre)
    bank = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (right - left))
    return scipy.sparse.csr_array(on_grid(bank))


def hz_to_mel(frequency_hz: float) -> float:
    """Return mel on Slaney's scale: linear below 1 kHz, logarithmic above (M. Slaney, Auditory Toolbox, 1998)."""
    if frequency_hz < _BEND_HZ:
        return 3.0 * frequency_hz / 200.0
    return _BEND_MEL + 27.0 * math.log(frequency_hz / _BEND_HZ) / math.log(6.4)


def _mel_to_hz(mel: float) -> float:
    if mel < _BEND_MEL:
        return 200.0 * mel / 3.0
    return _BEND_HZ * math.exp(math.log(6.4) / 27.0 * (mel - _BEND_MEL))
