"""The measures find what they are for, and nothing where there is nothing."""

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from preprocess import quality as measures
from preprocess.decode import decode
from preprocess.level import levels
from preprocess.quality import (
    bandwidth_hz,
    dropout_fraction,
    measure_quality,
    noise_level,
    segment_means,
    snr_db,
)
from preprocess.resample import resample
from preprocess.segment import Segment, segment
from tests.preprocess.recordings import LIMITS, SEGMENTATION, by_libsndfile, noise, warble
from tests.preprocess.test_segment import bursts


def sine(frequency, rate, level=0.5, seconds=2.0):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def clipped_fraction(samples):
    lows, highs = (measures.block_extremes(samples, extreme) for extreme in (np.minimum, np.maximum))
    return measures.clipped_fraction(samples, float(samples.mean()), lows, highs)


def levels_of(samples):
    return levels(samples, 8000, SEGMENTATION)


def in_16_bits(samples):
    return (np.round(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32)


@pytest.mark.parametrize("gain", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("drive", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_a_clipped_sine(rate, drive, gain):
    """A sine driven `drive` times over the limit spends 1 - 2/pi asin(1/drive) of its time there.

    Every top has about 2 samples of its length in doubt (300 Hz: at 8 kHz 13 samples a half wave).
    """
    clipped = np.clip(sine(300, rate, drive), -1, 1)
    expected = 1 - 2 / np.pi * np.arcsin(1 / drive)
    assert clipped_fraction(in_16_bits(clipped * gain)) == pytest.approx(expected, abs=2 * 600 / rate)


@pytest.mark.parametrize("gain", [1.0, 0.3, 0.03])
def test_gain_after_the_limiter_changes_little(gain):
    """At 0.03 a step of 16 bits is 0.1 % of the extreme, as wide as a flat top may be."""
    sound = bursts([0.5, 1.5, 2.5], seconds=4.0)
    clipped = np.clip(np.convolve(sound, np.ones(4) / 4, mode="same"), -0.05, 0.05)
    expected = clipped_fraction(clipped.astype(np.float32))
    assert expected > 0.005
    assert clipped_fraction(in_16_bits(clipped * gain)) == pytest.approx(expected, rel=0.05)


def test_clipping_of_one_polarity_only():
    clipped = np.minimum(sine(300, 16_000, 2.0), 1.0)
    centred = (clipped - clipped.mean()).astype(np.float32)
    assert clipped_fraction(centred) == pytest.approx(1 / 3, abs=0.03)


def test_a_square_wave_is_clipped_everywhere():
    assert clipped_fraction(np.sign(sine(200, 48_000)) + np.float32(0)) > 0.99


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(
    ("frequency", "level"),
    [(f, a) for f in (20, 50, 100, 150, 200, 440, 1000, 3000) for a in (1.0, 0.5)]
    + [(f, 0.01) for f in (150, 200, 440, 1000, 3000)],
)
def test_a_tone_is_not_clipped(frequency, level, rate):
    """Not even at full scale, and not by its round tops: mains hum at 48 kHz stays 27 samples within 0.1 % of its top.

    Below 150 Hz and at -40 dBFS the tops are really flat in 16 bits, so that is left out.
    """
    assert clipped_fraction(in_16_bits(sine(frequency, rate, level))) < 0.01


@pytest.mark.parametrize(
    ("subtype", "level"),
    [(item, level) for item in ("PCM_16", "ULAW", "ALAW", "FLOAT") for level in (0.3, 0.1, 0.01)]
    + [("PCM_16", 1e-3), ("FLOAT", 1e-3)],  # at -60 dBFS µ-law and A-law have 2 or 3 levels left
)
def test_noise_and_bursts_are_not_clipped(subtype, level):
    """µ-law has only 16 steps an octave; extremes are still rare. The cut-off of config.yml is 1 %."""
    for sound in (noise(4.0, level=0.2), bursts([0.5, 1.5, 2.5], seconds=4.0), warble(8000, 4.0)[0]):
        data = by_libsndfile((sound * np.float32(level))[None], 8000, "WAV", subtype)
        samples = decode(data, LIMITS).samples[0]
        assert clipped_fraction(samples - samples.mean()) < 0.01


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_silence_is_not_clipped(count):
    assert clipped_fraction(np.zeros(count, dtype=np.float32)) == 0.0


@pytest.mark.parametrize("expected_db", [-3.0, 0.0, 10.0, 40.0])
def test_levels_of_a_known_mixture(expected_db):
    """Even noise at two levels, the louder with its padding marked.

    The background is the 10th percentile of frames whose power in the middle bands varies by some 15 %: 1 dB below the
    mean. 0.8 dB leaves room for 2 s of such frames.
    """
    samples = noise(6.0, level=0.01)
    samples[16_000:32_000] = noise(2.0, level=0.01 * 10 ** (expected_db / 20), seed=7)
    level = levels_of(samples).level
    segments = [Segment(16_000 - 160, 32_000 + 160)]
    (loud,) = segment_means(level, 8000, segments, SEGMENTATION)
    floor = noise_level(level, 8000, segments, SEGMENTATION)
    assert 20 * np.log10(loud / floor) == pytest.approx(expected_db + 1.0, abs=0.8)


def test_levels_are_exact_on_a_course_and_leave_the_padding_out():
    envelope = np.full(100, 0.1, dtype=np.float32)
    envelope[20:40] = 1.0
    segments = [Segment(1600 - 160, 3200 + 160), Segment(4000, 4080)]
    assert segment_means(envelope, 8000, segments, SEGMENTATION) == pytest.approx((1.0, 0.1), rel=1e-6)
    assert noise_level(envelope, 8000, segments, SEGMENTATION) == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize(("outside_ms", "known"), [(0, False), (90, False), (100, True)])
def test_the_floor_is_unknown_without_surroundings(outside_ms, known):
    """What is cut tightly around a cough has no noise to measure; 100 ms are asked for."""
    envelope = np.full(100, 0.1, dtype=np.float32)
    segments = [Segment(0, 8000 - 80 - outside_ms * 8)]
    assert (noise_level(envelope, 8000, segments, SEGMENTATION) is not None) is known


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
@pytest.mark.parametrize("cutoff", [1000, 2000, 3400, 7500])
def test_bandwidth_of_low_passed_noise(cutoff, rate):
    """24 poles fall 144 dB an octave, so 50 dB are reached at 1.27 times the cut-off; two bins of 31 Hz for the
    window. Whatever lies above the 4 kHz that the network hears is not seen: a cut-off there is none.
    """
    if cutoff >= 4000:
        expected_low, expected_high, samples = 3800.0, 4000.0, noise(4.0, rate)
    else:
        passed = sosfiltfilt(butter(12, cutoff, fs=rate, output="sos"), noise(4.0, rate)).astype(np.float32)
        expected_low, expected_high, samples = 0.98 * cutoff, min(1.27 * cutoff + 63, 4000.0), passed
    assert expected_low <= bandwidth_hz(levels_of(resample(samples[None], rate, 8000)[0])) <= expected_high


def test_bandwidth_is_that_of_the_loud_parts():
    """A codec's or room's noise between coughs is wide; the coughs themselves are what counts."""
    low = sosfiltfilt(butter(12, 1000, fs=8000, output="sos"), noise(0.5, 8000, 0.5)).astype(np.float32)
    samples = noise(5.0, 8000, 1e-4)
    samples[8000:12_000] += low * np.hanning(4000).astype(np.float32)  # without the click of an edge
    assert 980 <= bandwidth_hz(levels_of(samples)) <= 1333


def test_a_loud_tone_elsewhere_narrows_no_bandwidth():
    """It raises few bands, so its frames are not the loudest by the middle ones."""
    samples = bursts([3.0, 4.0, 5.0], level=0.2)
    expected = bandwidth_hz(levels_of(samples))
    samples[8000:13_000] += sine(1000, 8000, 0.6, 0.625) * np.hanning(5000).astype(np.float32) ** 0.1
    assert expected > 3000
    assert bandwidth_hz(levels_of(samples)) == pytest.approx(expected, abs=300)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 255, 256, 257])
def test_bandwidth_of_almost_nothing(count):
    assert 0.0 <= bandwidth_hz(levels_of(noise(1.0)[:count])) <= 4000.0
    assert bandwidth_hz(levels_of(np.zeros(count, dtype=np.float32))) == 0.0


def test_dropouts_are_counted():
    """Five lost packets of 20 ms in a second."""
    samples = noise(1.0)
    for first in range(800, 8000, 1600):
        samples[first : first + 160] = 0.0
    assert dropout_fraction(samples, 8000, [(0, 8000)]) == pytest.approx(5 * 159 / 8000, abs=1e-9)
    assert dropout_fraction(samples, 8000, [(0, 700)]) == 0.0
    assert dropout_fraction(samples, 8000, []) == 0.0


def test_a_constant_of_any_level_and_less_than_5_ms():
    samples = noise(1.0)
    samples[800:880] = 0.3
    samples[2000:2030] = 0.0
    assert dropout_fraction(samples, 8000, [(0, 8000)]) == pytest.approx(79 / 8000, abs=1e-9)


@pytest.mark.parametrize("floor", [0.0, 1e-5])
def test_the_digital_silence_around_a_cough_is_no_dropout(floor):
    """A noise gate, or no more than the last bit: 30 ms of padding on either side of 150 ms would be a third."""
    samples = in_16_bits(bursts([0.5, 1.5, 2.5], seconds=4.0, length_s=0.15, floor=floor))
    found = levels_of(samples)
    segments = segment(found.level, len(samples), 8000, SEGMENTATION)
    assert len(segments) == 3
    assert measure_quality(samples, 8000, found, 8000, segments, SEGMENTATION).dropout_fraction < 0.01


def test_dropouts_of_silence_and_dc():
    assert dropout_fraction(np.zeros(8000, dtype=np.float32), 8000, [(0, 8000)]) == 0.0
    assert dropout_fraction(np.full(8000, 0.5, dtype=np.float32), 8000, [(100, 101), (200, 200)]) == 0.0


@pytest.mark.parametrize("count", [1, 2, 10, 300])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_quality_of_silence_and_dc(count, value):
    samples = np.full(count, value, dtype=np.float32)
    low = levels_of(samples[: max(1, count // 2)])
    quality = measure_quality(samples, 16_000, low, 8000, [], SEGMENTATION)
    assert quality.peak == 0.0
    assert quality.clipped_fraction == 0.0
    assert not quality.noise_level
    assert quality.bandwidth_hz == 0.0
    assert quality.dropout_fraction == 0.0


def test_segments_are_measured_in_the_source():
    """Segments index 8 kHz, dropouts are counted at 48 kHz: six times as far."""
    source = noise(2.0, 48_000)
    source[48_000:52_800] = 0.0
    low = levels_of(noise(2.0, 8000))
    inside = measure_quality(source, 48_000, low, 8000, [Segment(6000, 10_000)], SEGMENTATION)
    outside = measure_quality(source, 48_000, low, 8000, [Segment(0, 4000)], SEGMENTATION)
    assert inside.dropout_fraction == pytest.approx(4799 / 24_000, abs=1e-9)
    assert outside.dropout_fraction == 0.0
    assert inside.peak == pytest.approx(float(np.abs(source - source.mean()).max()))


@pytest.mark.parametrize("expected_db", [0.0, 10.0, 30.0])
def test_without_candidates_the_loud_moments_stand_over_the_background(expected_db):
    """A fifth of the time lies so much above the rest; nothing is proposed there, and still it has a ratio."""
    samples = noise(10.0, level=0.01)
    samples[16_000:32_000] *= np.float32(10 ** (expected_db / 20))
    quality = measure_quality(samples, 8000, levels_of(samples), 8000, [], SEGMENTATION)
    assert snr_db([], [], quality) == pytest.approx(expected_db + 2.0, abs=1.5)


def test_the_accepted_candidates_count_else_all_else_the_loud_moments():
    quality = measure_quality(noise(2.0), 8000, levels_of(noise(2.0)), 8000, [], SEGMENTATION)
    assert quality.noise_level is not None
    unit = 20 * np.log10(quality.noise_level)
    assert snr_db([1.0, 0.1], [True, False], quality) == pytest.approx(-unit, abs=1e-6)
    assert snr_db([0.1, 0.1], [False, False], quality) == pytest.approx(-20 - unit, abs=1e-6)
    assert snr_db([], [], quality) == pytest.approx(20 * np.log10(quality.loud_level) - unit, abs=1e-6)
