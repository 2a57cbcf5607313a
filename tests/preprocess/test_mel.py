"""The batched mel transform is librosa's, and gain changes nothing."""

from dataclasses import replace

import librosa
import numpy as np
import pytest
import scipy

from preprocess.color import quantise
from preprocess.exact import on_grid
from preprocess.mel import _filter_bank, _window, cut, mel_spectrograms
from preprocess.segment import Segment
from tests.preprocess.recordings import COLOR_SPEC, MEL_SPEC, noise

N = MEL_SPEC.clip_samples


def clips() -> dict[str, np.ndarray]:
    t = np.arange(N) / MEL_SPEC.sample_rate_hz
    burst = noise(N / 8000, seed=1)[:N] * np.exp(-t / 0.08).astype(np.float32)
    padded = burst.copy()
    padded[3000:] = 0.0
    impulse = np.zeros(N, dtype=np.float32)
    impulse[4000] = 1.0
    return {
        "noise": noise(N / 8000)[:N],
        "burst": burst,
        "padded": padded,
        "impulse": impulse,
        "tone": (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32),
        "quiet": noise(N / 8000, level=1e-4, seed=2)[:N],
    }


def by_librosa(clip: np.ndarray) -> np.ndarray:
    levelled = clip / np.abs(clip).max()
    power = librosa.feature.melspectrogram(
        y=levelled,
        sr=MEL_SPEC.sample_rate_hz,
        n_fft=MEL_SPEC.n_fft,
        hop_length=MEL_SPEC.hop_length,
        n_mels=MEL_SPEC.n_mels,
        fmin=MEL_SPEC.fmin_hz,
        fmax=MEL_SPEC.fmax_hz,
        center=False,
        power=2.0,
        htk=False,
        norm="slaney",
    )
    return librosa.power_to_db(power, ref=np.max, top_db=None)


def in_db(powers: np.ndarray) -> np.ndarray:
    """Down to -60 dB, where the levels end; float32 rounding shows below that."""
    return 10 * np.log10(np.maximum(powers, 1e-6))


@pytest.mark.parametrize("name", clips())
def test_equals_librosa(name):
    """1e-3 dB, of which a level has 235."""
    ours = mel_spectrograms(clips()[name][None], MEL_SPEC)[0]
    theirs = by_librosa(clips()[name])
    assert ours.shape == theirs.shape == (MEL_SPEC.n_mels, MEL_SPEC.n_frames)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(in_db(ours), np.maximum(theirs, -60), atol=1e-3)


@pytest.mark.parametrize("gain", [2.0, 0.3, 1e-3, 1e-12])
@pytest.mark.parametrize("name", clips())
def test_gain_changes_nothing(name, gain):
    """Powers of two would be exact; others round in float32, far less than a level."""
    clip = clips()[name]
    expected = mel_spectrograms(clip[None], MEL_SPEC)
    scaled = mel_spectrograms((clip * np.float32(gain)).astype(np.float32)[None], MEL_SPEC)
    np.testing.assert_allclose(in_db(scaled), in_db(expected), atol=1e-3)


def test_a_clip_of_zeros_is_the_lowest_level_everywhere():
    levels = quantise(mel_spectrograms(np.zeros((1, N), dtype=np.float32), MEL_SPEC), COLOR_SPEC)
    assert levels.shape == (1, MEL_SPEC.n_mels, MEL_SPEC.n_frames)
    assert not levels.any()


def test_each_clip_is_on_its_own():
    """Order and company change no bit, and the largest of each is 1."""
    together = np.stack(list(clips().values()))
    expected = np.concatenate([mel_spectrograms(item[None], MEL_SPEC) for item in together])
    np.testing.assert_array_equal(mel_spectrograms(together, MEL_SPEC), expected)
    np.testing.assert_array_equal(mel_spectrograms(together[::-1], MEL_SPEC)[::-1], expected)
    np.testing.assert_array_equal(expected.max(axis=(1, 2)), 1.0)


def test_nothing_gives_nothing():
    assert mel_spectrograms(np.zeros((0, N), dtype=np.float32), MEL_SPEC).shape == (0, 64, 96)


@pytest.mark.parametrize(
    "params",
    [
        MEL_SPEC,
        replace(MEL_SPEC, fmin_hz=0.0),
        replace(MEL_SPEC, fmax_hz=900.0, n_mels=12),  # below the bend alone
        replace(MEL_SPEC, fmin_hz=1200.0, n_mels=20),  # above it alone
        replace(MEL_SPEC, sample_rate_hz=16_000, n_fft=400, n_mels=40, fmax_hz=7600.0),
        replace(MEL_SPEC, sample_rate_hz=44_100, n_fft=2048, n_mels=128, fmin_hz=20.0, fmax_hz=22_050.0),
    ],
)
def test_the_filters_are_librosas_to_the_last_bit(params):
    theirs = librosa.filters.mel(
        sr=params.sample_rate_hz,
        n_fft=params.n_fft,
        n_mels=params.n_mels,
        fmin=params.fmin_hz,
        fmax=params.fmax_hz,
        dtype=np.float64,
    )
    np.testing.assert_array_equal(_filter_bank(params).toarray(), on_grid(theirs))


@pytest.mark.parametrize("n_fft", [255, 256, 400, 2048])
def test_the_window_is_scipys_to_the_last_bit(n_fft):
    np.testing.assert_array_equal(_window(n_fft), on_grid(scipy.signal.get_window("hann", n_fft, fftbins=True)))


def test_no_filter_is_empty():
    """Too many mels for the FFT leave rows that are always at the floor; librosa only warns of it."""
    bank = _filter_bank(MEL_SPEC).toarray()
    assert bank.shape == (MEL_SPEC.n_mels, 1 + MEL_SPEC.n_fft // 2)
    assert (bank.max(axis=1) > 0.0).all()


def test_clip_samples_are_exactly_what_the_frames_need():
    assert N == 95 * 80 + 256
    assert replace(MEL_SPEC, n_frames=1).clip_samples == MEL_SPEC.n_fft


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [(0, 100, 100), (100, 100 + N, N), (50, 20_000, N), (19_990, 20_000, 10), (19_990, 30_000, 10), (5, 5, 0)],
)
def test_cut_and_pad(start, end, kept):
    samples = np.arange(1, 20_001, dtype=np.float32)
    (clip,) = cut(samples, [Segment(start, end)], MEL_SPEC)
    assert clip.shape == (N,)
    np.testing.assert_array_equal(clip[:kept], samples[start : start + kept])
    assert not clip[kept:].any()


def test_cut_nothing():
    assert cut(np.ones(100, dtype=np.float32), [], MEL_SPEC).shape == (0, N)
