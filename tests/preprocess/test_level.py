"""The level follows what fills the bands, and hardly what fills a few of them."""

import itertools

import librosa
import numpy as np
import pytest

from preprocess.level import background, levels
from preprocess.segment import segment
from tests.preprocess.recordings import SEGMENTATION as PARAMS
from tests.preprocess.recordings import noise
from tests.preprocess.test_segment import bursts

RATE, HOP, FRAME = 8000, 80, 256


def spectrum(samples):
    """librosa's STFT of the same frames, float64 [shape=(frames, bins)], power; a sine of amplitude 1 has 0.25."""
    centred = (samples - samples.mean()).astype(np.float64)
    padded = np.pad(centred, FRAME // 2, mode="edge")
    found = librosa.stft(padded, n_fft=FRAME, hop_length=HOP, window="hann", center=False)
    return (np.abs(found) / (FRAME / 2)).T ** 2


@pytest.mark.parametrize("count", [1, 2, 79, 80, 319, 320, 321, 8000, 12_345])
def test_spectrum_and_rms_are_librosas(count):
    samples = noise(2.0)[:count] + np.float32(0.1)
    found, expected = levels(samples, RATE, PARAMS), spectrum(samples)
    assert found.bin_hz == RATE / FRAME
    assert found.spectrum.shape == (1 + count // HOP, 1 + FRAME // 2)
    np.testing.assert_allclose(found.spectrum, expected, rtol=1e-3, atol=1e-9)
    bins = [round(edge / found.bin_hz) for edge in PARAMS.band_edges_hz]
    rms = np.sqrt(expected[:, bins[0] : bins[-1]].sum(axis=1) * 4 / 3)
    np.testing.assert_allclose(found.rms, rms, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [400, 8000, 12_345])
def test_the_level_is_the_mean_of_the_middle_bands(count):
    """Each band over its own 95th percentile, or 20 dB under its maximum where that is more."""
    samples = noise(2.0)[:count]
    power = spectrum(samples)
    bins = [round(edge / (RATE / FRAME)) for edge in PARAMS.band_edges_hz]
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in itertools.pairwise(bins)])
    loud = np.maximum(np.percentile(bands, 95, axis=1), 0.01 * bands.max(axis=1))
    middle = np.sort(bands / loud[:, None], axis=0)[PARAMS.outer_bands : -PARAMS.outer_bands]
    expected = np.sqrt(middle.mean(axis=0))
    np.testing.assert_allclose(levels(samples, RATE, PARAMS).level, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("amplitude", [1.0, 0.1])
@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0])
def test_the_rms_of_a_sine(hz, amplitude):
    t = np.arange(RATE) / RATE
    found = levels((amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32), RATE, PARAMS)
    np.testing.assert_allclose(found.rms[5:-5], amplitude / np.sqrt(2), rtol=0.01)


def test_the_background_is_what_nine_tenths_exceed():
    assert background(np.arange(101, dtype=np.float32)) == pytest.approx(10.0)


def sine(hz, seconds, amplitude):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def ramped(sound):
    edge = np.minimum(1.0, np.arange(len(sound)) / 40)
    return sound * edge * edge[::-1]


SECONDS, PEAK = 6.0, 0.2
T = np.arange(round(SECONDS * RATE)) / RATE


def placed(sound, at_s):
    added = np.zeros(len(T))
    added[round(at_s * RATE) : round(at_s * RATE) + len(sound)] = sound
    return added


HUM = sum(10 ** (-0.3 * n) * np.sin(2 * np.pi * 60 * (n + 1) * T + n) for n in range(7))
DISTURBANCES = {
    "tone": placed(ramped(sine(425, 0.6, 2 * PEAK)), 2.2),
    "high tone": placed(ramped(sine(1400, 1.0, 2 * PEAK)), 4.6),
    "two keys": placed(ramped(sine(697, 0.15, PEAK) + sine(1209, 0.15, PEAK)), 2.2)
    + placed(ramped(sine(941, 0.15, PEAK) + sine(1477, 0.15, PEAK)), 2.6),
    "hum": 0.3 * PEAK * HUM / np.abs(HUM).max(),
    "step": np.where(T > 2.5, 0.3 * PEAK, 0.0),
    "wander": 0.5 * PEAK * (np.sin(2 * np.pi * 3.1 * T) + np.sin(2 * np.pi * 11.0 * T + 1)) / 2,
    "offset": np.full(len(T), 0.4),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("seed", range(3))
def test_what_fills_few_bands_moves_no_segment(disturbance, seed):
    """Three bursts keep their candidates to within two frames, whatever lies between or under them."""
    samples = bursts([0.6, 1.4, 3.4], SECONDS, level=PEAK, seed=seed)
    disturbed = (samples + DISTURBANCES[disturbance]).astype(np.float32)
    expected = segment(levels(samples, RATE, PARAMS).level, len(samples), RATE, PARAMS)
    found = segment(levels(disturbed, RATE, PARAMS).level, len(disturbed), RATE, PARAMS)
    assert len(expected) == 3
    for one in expected:
        assert any(
            abs(one.start - other.start) <= 2 * HOP and abs(one.end - other.end) <= 2 * HOP for other in found
        ), found
