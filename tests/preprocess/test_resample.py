"""Resampling is librosa's with soxr_hq."""

import librosa
import numpy as np
import pytest

from preprocess.resample import resample
from tests.preprocess.recordings import noise, warble

RATES = [4000, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_equals_librosa(rate, channels):
    """Both call libsoxr with the same recipe; 1e-6 leaves room for its use of threads and block sizes."""
    samples = warble(rate, 1.0, channels) + noise(1.0, rate, 0.02)[None]
    expected = librosa.resample(samples, orig_sr=rate, target_sr=8000, res_type="soxr_hq")
    resampled = resample(samples, rate, 8000)
    assert resampled.dtype == np.float32
    assert resampled.flags.c_contiguous
    n = min(resampled.shape[1], expected.shape[1])
    np.testing.assert_allclose(resampled[:, :n], expected[:, :n], atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 999, 12_345])
def test_length(rate, count):
    """To the nearest sample; librosa pads to the next instead."""
    resampled = resample(np.ones((1, count), dtype=np.float32), rate, 8000)
    assert resampled.shape[0] == 1
    assert abs(resampled.shape[1] - count * 8000 / rate) <= 0.5 + 1e-9


def test_the_same_rate_changes_nothing():
    samples = warble(8000, 0.5, 2)
    np.testing.assert_array_equal(resample(samples, 8000, 8000), samples)


def test_what_8_khz_cannot_carry_is_gone():
    """A tone of 6 kHz would alias to 2 kHz; soxr's HQ stop band lies 100 dB below, 80 dB are asked for."""
    t = np.arange(48_000) / 48_000
    resampled = resample(np.sin(2 * np.pi * 6000 * t).astype(np.float32)[None], 48_000, 8000)
    assert float(np.abs(resampled[0, 400:-400]).max()) < 1e-4


def test_channels_do_not_mix():
    samples = np.stack([noise(0.5, 16_000), np.zeros(8000, dtype=np.float32)])
    assert not resample(samples, 16_000, 8000)[1].any()
