"""Change a whole recording the way telephones, messengers and rooms do, the same way for coughs and for everything
else.

Applied before segmentation, so that the network sees the segments that serving would cut. Both classes get the same
distribution: the channel must tell nothing about the label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from preprocess.exact import power_ratio
from training.data.codecs import through_codec
from training.data.lines import Line, Material, put_on

Samples = NDArray[np.float32]

# Of the families in `lines.DEVELOPED_ON`, those that need no recorded material; the others only judge.
LINES = ("tone", "dtmf", "hum_60", "wander", "steps", "clicks", "packet_loss", "agc")
_NO_MATERIAL = Material((), (), 8000)
_CODECS = ("none", "none", "none", "opus", "opus", "opus", "mp3", "ulaw", "gsm", "amr")


@dataclass(frozen=True)
class Augmented:
    """A changed recording.

    samples: float32 [shape=(n,)]; sample_rate_hz: of them, telephone codecs change it to 8 kHz
    speed: by which factor it plays faster; later_s: how much later its sounds then are
    added_s: start and end of a sound that was added before, after or between them
    """

    samples: Samples
    sample_rate_hz: int
    speed: float = 1.0
    later_s: float = 0.0
    added_s: tuple[float, float] | None = None


def augment(samples: Samples, sample_rate_hz: int, rng: np.random.Generator) -> Augmented:
    """A random chain: another voice, room, noise (0-30 dB), a disturbed line, band limit, gain in 16 bits, codec.

    samples: float32 [shape=(n,)]
    """
    speed = 1.0
    if rng.random() < 0.4:
        speed = float(np.exp(rng.uniform(-0.18, 0.18)))
        samples = faster(samples, sample_rate_hz, speed)
    if rng.random() < 0.3:
        samples = in_room(samples, sample_rate_hz, rng)
    if rng.random() < 0.45:
        samples = with_noise(samples, rng.uniform(0.0, 30.0), rng.uniform(0.0, 2.0), rng)
    line = Line(samples)
    if rng.random() < 0.4:
        line = put_on(str(rng.choice(LINES)), samples, sample_rate_hz, rng, _NO_MATERIAL)
        samples = line.samples
    if rng.random() < 0.2:
        samples = band_limited(samples, sample_rate_hz, rng.uniform(2200.0, 3800.0))
    if rng.random() < 0.5:
        samples = quantised_gain(samples, float(10.0 ** rng.uniform(-1.5, 0.0)))
    codec, bit_rate = str(rng.choice(_CODECS)), int(np.exp(rng.uniform(np.log(9_000), np.log(32_000))))
    if codec == "amr":
        bit_rate = int(rng.uniform(4_750, 12_200))
    samples, rate = through_codec(samples, sample_rate_hz, codec, bit_rate)
    return Augmented(samples, rate, speed, line.later_s, line.added_s)


def faster(samples: Samples, sample_rate_hz: int, factor: float) -> Samples:
    """Played `factor` times as fast: a voice with other formants and another pitch (Ko et al. 2015)."""
    return np.asarray(soxr.resample(samples, sample_rate_hz * factor, sample_rate_hz), dtype=np.float32)


def in_room(samples: Samples, sample_rate_hz: int, rng: np.random.Generator) -> Samples:
    """A small room: the direct sound and exponentially decaying noise (Polack's model), RT60 0.1-0.5 s."""
    rt60_s = rng.uniform(0.1, 0.5)
    length = int(rt60_s * sample_rate_hz)
    times = np.arange(length) / sample_rate_hz
    tail = rng.standard_normal(length) * np.exp(-6.91 * times / rt60_s)
    tail *= 10.0 ** (-rng.uniform(3.0, 15.0) / 20.0) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    size = len(samples) + length
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)[: len(samples)]
    return _levelled(wet, samples)


def with_noise(samples: Samples, snr_db: float, slope: float, rng: np.random.Generator) -> Samples:
    """Add noise with power ~ 1 / f^slope (0 white, 1 pink, 2 brown); SNR over the whole recording's RMS."""
    spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
    frequencies = np.maximum(np.arange(len(spectrum)), 1.0)
    # float32 rounds away what a power ends in on another processor.
    falling = (frequencies ** (-slope / 2.0)).astype(np.float32)
    noise = np.fft.irfft(spectrum * falling, len(samples))
    signal_rms = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    noise *= signal_rms * math.sqrt(power_ratio(-snr_db)) / max(float(np.sqrt(np.mean(noise**2))), 1e-12)
    return _levelled(samples + noise, samples)


def band_limited(samples: Samples, sample_rate_hz: int, cutoff_hz: float) -> Samples:
    """Nothing above `cutoff_hz`, by resampling down and up."""
    narrow = soxr.resample(samples, sample_rate_hz, 2.0 * cutoff_hz)
    wide = soxr.resample(narrow, 2.0 * cutoff_hz, sample_rate_hz)[: len(samples)]
    return np.pad(wide, (0, len(samples) - len(wide))).astype(np.float32)


def quantised_gain(samples: Samples, gain: float) -> Samples:
    """Scale and round to 16 bits, as a quiet recorder does."""
    return (np.rint(samples * gain * 32767.0) / 32767.0).astype(np.float32)


def _levelled(changed: NDArray[np.floating], original: Samples) -> Samples:
    """The changed samples at the peak of the original, so that nothing clips that did not clip before."""
    peak = float(np.abs(changed).max())
    scale = float(np.abs(original).max()) / peak if peak > 0.0 else 1.0
    return (changed * scale).astype(np.float32)
