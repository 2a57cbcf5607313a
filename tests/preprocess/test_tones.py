"""Beeps and hum are found with their times and frequencies; voices, noise and coughs are none."""

import numpy as np
import pytest

from preprocess.level import levels
from preprocess.tones import MOST_TONES, Hum, Tone, find_hum, find_tones, tone_fraction
from tests.preprocess.recordings import SEGMENTATION as PARAMS
from tests.preprocess.recordings import noise
from tests.preprocess.test_segment import bursts

RATE = 8000


def sines(frequencies_hz, seconds, amplitude=0.2):
    t = np.arange(round(seconds * RATE)) / RATE
    return amplitude * sum(np.sin(2 * np.pi * hz * t + n) for n, hz in enumerate(frequencies_hz))


def placed(sound, at_s, seconds=4.0, floor=1e-4, seed=0):
    samples = noise(seconds, RATE, floor, seed)
    samples[round(at_s * RATE) : round(at_s * RATE) + len(sound)] += sound.astype(np.float32)
    return samples


def tones_of(samples, hum=None):
    return find_tones(levels(samples, RATE, PARAMS), PARAMS, hum)


def hum_of(samples):
    return find_hum(samples, RATE, levels(samples, RATE, PARAMS))


@pytest.mark.parametrize("seconds", [0.06, 0.1, 0.6, 3.0])
@pytest.mark.parametrize("hz", [350.0, 425.0, 1004.0, 1400.0, 2987.6, 3700.0])
def test_a_tone_has_its_times_and_its_frequency(hz, seconds):
    """Within two frames and a hertz: a Hann window of 32 ms has bins of 31 Hz, and two of them place the line."""
    (tone,) = tones_of(placed(sines([hz], seconds), 0.5))
    assert tone.start_s == pytest.approx(0.5, abs=0.02)
    assert tone.end_s == pytest.approx(0.5 + seconds, abs=0.02)
    assert tone.frequencies_hz == pytest.approx((hz,), abs=1.0)


@pytest.mark.parametrize("pair", [(697.0, 1209.0), (941.0, 1477.0), (480.0, 620.0)])
def test_two_lines_are_one_tone(pair):
    (tone,) = tones_of(placed(sines(pair, 0.3), 1.0))
    assert tone.frequencies_hz == pytest.approx(pair, abs=2.0)
    assert (tone.start_s, tone.end_s) == pytest.approx((1.0, 1.3), abs=0.03)


@pytest.mark.parametrize(("pair", "named"), [((350.0, 440.0), (350.0, 440.0)), ((440.0, 480.0), (460.0,))])
def test_lines_that_a_frame_does_not_part_beat_and_are_one_tone(pair, named):
    """Those nearer than two bins get the frequency between them."""
    (tone,) = tones_of(placed(sines(pair, 1.5), 1.0))
    assert tone.frequencies_hz == pytest.approx(named, abs=3.0)
    assert (tone.start_s, tone.end_s) == pytest.approx((1.0, 2.5), abs=0.03)


@pytest.mark.parametrize("spread_hz", [0.0, 20.0, 40.0])
@pytest.mark.parametrize("hz", range(3820, 4000, 15))
def test_a_tone_near_half_the_sample_rate_has_its_times_or_is_none(hz, spread_hz):
    """Its line has no bins above it. `make fuzz` met one, in a damaged file."""
    found = tones_of(placed(sines([hz, hz + spread_hz][: 2 if spread_hz else 1], 1.5), 1.0))
    if hz + spread_hz < 3900.0:
        (tone,) = found
        assert tone.frequencies_hz == pytest.approx((hz + spread_hz / 2,), abs=20.0)
        assert (tone.start_s, tone.end_s) == pytest.approx((1.0, 2.5), abs=0.05)  # its beat may end it a frame early
    assert len(found) <= 1


def test_bursts_of_a_busy_tone_are_tones_of_their_own():
    samples = noise(4.0, RATE, 1e-4)
    for start in (0.5, 1.0, 1.5):
        samples[round(start * RATE) : round(start * RATE) + 2000] += sines([425.0], 0.25).astype(np.float32)
    found = tones_of(samples)
    assert [tone.start_s for tone in found] == pytest.approx([0.5, 1.0, 1.5], abs=0.02)
    assert {round(tone.frequencies_hz[0]) for tone in found} == {425}


def test_a_tone_goes_on_under_a_cough():
    """Where the cough is louder the tone holds little of the power, and still its line is there."""
    samples = bursts([1.0, 2.5], level=0.4) + sines([1000.0], 6.0, 0.05).astype(np.float32)
    (tone,) = tones_of(samples.astype(np.float32))
    assert (tone.start_s, tone.end_s) == pytest.approx((0.0, 6.0), abs=0.05)


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.001])
def test_gain_changes_nothing(gain):
    samples = placed(sines([425.0], 0.5), 1.0) + placed(sines([697.0, 1209.0], 0.2), 2.0)
    quieter = (samples * np.float32(gain)).astype(np.float32)
    found, expected = tones_of(quieter), tones_of(samples)
    assert [(tone.start_s, tone.end_s) for tone in found] == [(tone.start_s, tone.end_s) for tone in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.frequencies_hz == pytest.approx(other.frequencies_hz, abs=0.1)


def vowel(f0_hz, glide_hz_per_s, seconds=0.4, formants_hz=(500.0, 1500.0)):
    """Harmonics of a gliding pitch under two resonances: what a voice does, in few words."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (f0_hz * t + glide_hz_per_s * t**2 / 2)
    sound = np.zeros(len(t))
    for n in range(1, int(3500 / f0_hz)):
        gain = sum(1 / (1 + ((n * f0_hz - formant) / 80.0) ** 2) for formant in formants_hz) / n**0.5
        sound += gain * np.sin(n * phase)
    return 0.3 * sound / np.abs(sound).max()


@pytest.mark.parametrize("f0_hz", [100.0, 140.0, 210.0, 260.0])
@pytest.mark.parametrize("glide", [-60.0, 30.0, 120.0])
def test_a_vowel_is_no_tone(f0_hz, glide):
    assert tones_of(placed(vowel(f0_hz, glide), 1.0)) == ()


@pytest.mark.parametrize("seed", range(5))
def test_noise_bursts_and_silence_hold_no_tone_and_no_hum(seed):
    for samples in (noise(5.0, seed=seed), bursts([0.5, 1.5, 3.0], seed=seed), np.zeros(20_000, dtype=np.float32)):
        assert tones_of(samples) == ()
        assert hum_of(samples) is None


@pytest.mark.parametrize("count", [1, 2, 79, 300, 7999, 8000])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_almost_nothing(count, value):
    samples = np.full(count, value, dtype=np.float32)
    assert tones_of(samples) == ()
    assert hum_of(samples) is None


def test_at_most_so_many():
    samples = noise(30.0, RATE, 1e-4)
    for n in range(50):
        first = round((0.3 + 0.5 * n) * RATE)
        samples[first : first + 800] += sines([500.0 + 20 * n], 0.1).astype(np.float32)
    found = tones_of(samples)
    assert len(found) == MOST_TONES
    assert [tone.start_s for tone in found] == sorted(tone.start_s for tone in found)
    assert all(0.0 <= tone.start_s < tone.end_s <= 30.0 for tone in found)


def mains(hz, seconds, amplitude, fall_db=8.0):
    t = np.arange(round(seconds * RATE)) / RATE
    sound = sum(10 ** (-fall_db * n / 20) * np.sin(2 * np.pi * hz * (n + 1) * t + n) for n in range(7))
    return amplitude * sound / np.abs(sound).max()


@pytest.mark.parametrize("hz", [50.0, 49.9, 60.0, 60.12])
@pytest.mark.parametrize("amplitude", [0.01, 0.06, 0.2])
def test_hum_under_coughs(hz, amplitude):
    samples = bursts([0.5, 2.0, 3.5], level=0.4) + mains(hz, 6.0, amplitude).astype(np.float32)
    found = hum_of(samples.astype(np.float32))
    assert found is not None
    assert found.hz == round(hz, -1)
    assert tones_of(samples.astype(np.float32), found) == ()


def test_the_level_of_hum_is_relative_to_the_loud_moments():
    """A tenth of the time noise of RMS 0.1 (its part below 3.9 kHz), throughout hum of a known RMS."""
    samples = noise(10.0, RATE, 1e-4)
    samples[8000:16_000] = noise(1.0, RATE, 0.1)
    hum = mains(50.0, 10.0, 0.01)
    found = hum_of((samples + hum).astype(np.float32))
    assert found is not None
    assert found.db == pytest.approx(20 * np.log10(np.sqrt(np.mean(hum**2)) / 0.1), abs=1.0)


@pytest.mark.parametrize("gain", [0.1, 0.001])
def test_gain_leaves_hum_as_it_is(gain):
    samples = (bursts([0.5, 2.0]) + mains(60.0, 6.0, 0.02)).astype(np.float32)
    found, expected = hum_of((samples * np.float32(gain)).astype(np.float32)), hum_of(samples)
    assert found is not None
    assert expected is not None
    assert (found.hz, found.db) == (expected.hz, pytest.approx(expected.db, abs=1e-3))


@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_what_does_not_run_through_is_no_hum(hz):
    """Half of the time, as a motor that is switched on, or a short note of a low voice."""
    samples = noise(8.0, RATE, 1e-4)
    samples[: 4 * RATE] += mains(hz, 4.0, 0.2).astype(np.float32)
    assert hum_of(samples) is None
    assert hum_of(placed(mains(2 * hz, 0.5, 0.2), 0.2, seconds=1.2)) is None


def test_the_mains_own_line_alone_is_hum_and_no_tone():
    """Its power spills over into the lowest band, where it must not pass for a line of another frequency."""
    for hz in (50.0, 60.0):
        samples = (noise(4.0, RATE, 1e-3) + sines([hz], 4.0, 0.1)).astype(np.float32)
        hum = hum_of(samples)
        assert hum is not None
        assert hum.hz == hz
        assert tones_of(samples, hum) == ()


@pytest.mark.parametrize(("hz", "amplitude", "found"), [(50.0, 0.1, 50), (50.0, 0.004, None), (120.0, 0.1, None)])
def test_one_line_alone_is_hum_only_if_it_is_the_mains_own_and_strong(hz, amplitude, found):
    hum = hum_of((noise(4.0, RATE, 1e-2) + sines([hz], 4.0, amplitude)).astype(np.float32))
    assert (hum.hz if hum else None) == found


def test_the_share_of_the_time_counts_overlaps_once():
    tones = (Tone(0.0, 2.0, (425.0,)), Tone(1.0, 3.0, (600.0,)), Tone(1.5, 2.0, (900.0,)), Tone(5.0, 6.0, (425.0,)))
    assert tone_fraction(tones, 10.0) == pytest.approx(0.4)
    assert tone_fraction((), 10.0) == 0.0
    assert tone_fraction((Tone(0.0, 2.005, (425.0,)),), 2.0) == 1.0


def test_lines_of_the_hum_are_no_tones():
    samples = (noise(4.0, RATE, 1e-4) + mains(50.0, 4.0, 0.2, 3.0)).astype(np.float32)
    assert hum_of(samples) is not None
    assert tones_of(samples, Hum(50, 0.0)) == ()
