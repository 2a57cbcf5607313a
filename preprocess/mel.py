"""Stage 5, mel: cut-out coughs -> mel power spectrograms, all of a recording in one batched transform.

`librosa.feature.melspectrogram(center=False, power=2)` and `librosa.power_to_db(ref=max)` are the reference; a test
holds this batched transform to them within 1e-3 dB (docs/decisions/0004-signal-path.md). The powers stay powers: a
logarithm ends in other bits on another processor (docs/decisions/0016-same-bits.md), and `color.quantise` needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import librosa
import numpy as np
import scipy  # its parts load at first use, so that only spectra need that time
from numpy.typing import NDArray

from preprocess.exact import on_grid
from preprocess.segment import Segment

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
    from scipy.signal import get_window  # noqa: PLC0415 - it brings scipy.stats, a second of imports

    return on_grid(get_window("hann", n_fft, fftbins=True))


@lru_cache(maxsize=4)
def _filter_bank(params: MelSpecParams) -> scipy.sparse.csr_array:
    """Slaney's mel filter bank as librosa builds it, float32 [shape=(n_mels, 1 + n_fft // 2)].

    Sparse, since a bin lies in two filters at most. A dense product would also wake BLAS's threads, which spin for
    longer than the product takes (docs/decisions/0013-speed.md).
    """
    bank = librosa.filters.mel(
        sr=params.sample_rate_hz,
        n_fft=params.n_fft,
        n_mels=params.n_mels,
        fmin=params.fmin_hz,
        fmax=params.fmax_hz,
        dtype=np.float64,
    )
    return scipy.sparse.csr_array(on_grid(bank))
