"""Augmentations do what their names say, and keep time: labels are moved by nothing."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.augment import LINES, augment, band_limited, faster, quantised_gain, with_noise
from training.data.codecs import through_codec
from training.data.lines import DEVELOPED_ON, JUDGED_BY

pytestmark = pytest.mark.training

RATE = 16_000


def click_train() -> np.ndarray:
    """A 40 ms burst of noise at 0.5 s in a second of near silence."""
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(RATE)
    samples[RATE // 2 : RATE // 2 + 640] += 0.3 * rng.standard_normal(640)
    return samples.astype(np.float32)


def test_noise_has_the_stated_ratio() -> None:
    samples = click_train()
    rng = np.random.default_rng(1)
    noisy = with_noise(samples, 10.0, 0.0, rng)
    signal = samples * (np.dot(noisy, samples) / np.dot(samples, samples))
    noise = noisy - signal
    # 16,000 samples of noise: the ratio's standard error is 0.05 dB, and noise correlates a little with the signal.
    assert 10 * np.log10(np.sum(signal**2) / np.sum(noise**2)) == pytest.approx(10.0, abs=0.5)


def test_band_limit_removes_what_lies_above() -> None:
    samples = np.random.default_rng(2).standard_normal(RATE).astype(np.float32) * 0.1
    spectrum = np.abs(np.fft.rfft(band_limited(samples, RATE, 3000.0))) ** 2
    frequency = np.fft.rfftfreq(RATE, 1 / RATE)
    # soxr's HQ filter reaches 100 dB; 40 dB leaves room for its transition band.
    assert spectrum[frequency > 3300].mean() < 1e-4 * spectrum[frequency < 2700].mean()


def test_gain_rounds_to_16_bits() -> None:
    quiet = quantised_gain(click_train(), 0.01)
    assert np.abs(quiet * 32767 - np.rint(quiet * 32767)).max() < 1e-3


@pytest.mark.parametrize("codec", ["none", "opus", "mp3", "ulaw", "gsm", "amr"])
def test_codecs_keep_the_time_of_a_burst(codec: str) -> None:
    decoded, rate = through_codec(click_train(), RATE, codec)
    energy = np.convolve(decoded**2, np.ones(rate // 100), "same")
    # Labels count from half overlap; coughs last 160 ms and more, so 40 ms moves none.
    assert np.argmax(energy) / rate == pytest.approx(0.52, abs=0.04)
    assert len(decoded) / rate == pytest.approx(1.0, abs=0.15)


def test_augment_is_seeded_and_bounded() -> None:
    samples = click_train()
    added = 0
    for seed in range(40):
        first = augment(samples, RATE, np.random.default_rng(seed))
        again = augment(samples, RATE, np.random.default_rng(seed))
        assert np.array_equal(first.samples, again.samples)
        assert 0.83 < first.speed < 1.2
        assert first.sample_rate_hz in (8000, RATE)
        assert np.isfinite(first.samples).all()
        duration_s, played_s = len(first.samples) / first.sample_rate_hz, 1.0 / first.speed
        if first.added_s is None:
            # Whatever the codec adds: marks are moved by the speed, so the length must follow it.
            assert duration_s == pytest.approx(played_s, abs=0.15)
        else:
            added += 1
            assert 0.0 <= first.added_s[0] < first.added_s[1] <= duration_s + 0.15
            assert duration_s >= played_s + first.later_s - 0.15
    assert added >= 3


def test_only_lines_that_a_segmenter_may_be_developed_on_are_heard_in_training() -> None:
    assert set(LINES) < set(DEVELOPED_ON)
    assert not set(LINES) & set(JUDGED_BY)


def test_faster_moves_a_burst_to_an_earlier_time() -> None:
    quick = faster(click_train(), RATE, 1.25)
    assert len(quick) == pytest.approx(RATE / 1.25, abs=1)
    energy = np.convolve(quick**2, np.ones(RATE // 100), "same")
    assert np.argmax(energy) / RATE == pytest.approx(0.52 / 1.25, abs=0.02)  # the burst lasts 32 ms


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("codec", ["opus", "mp3"])
def test_rates_that_a_codec_does_not_take_are_resampled(rate: int, codec: str) -> None:
    samples = (0.1 * np.random.default_rng(4).standard_normal(rate)).astype(np.float32)
    decoded, decoded_rate = through_codec(samples, rate, codec)
    assert len(decoded) / decoded_rate == pytest.approx(1.0, abs=0.1)
