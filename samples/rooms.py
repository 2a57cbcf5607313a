"""Where a recording is made: the room's echo and its noise."""

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from samples.tract import RATE_HZ, Samples, db, lowpass, rms, same_everywhere

RT60_S = 0.3  # a furnished room (ISO 3382-2 measures 0.3-0.5 s in such)
VOLUME_M3 = 30.0
DISTANCE_M = 0.3  # a phone held in front of the face
PREDELAY_S = 0.003  # the nearest wall's reflection, 1 m further
WALL_CORNER_HZ = 5000.0  # walls and air absorb high frequencies more


def direct_to_reverberant_db() -> float:
    """Level of the direct sound over the room's: 20 log10(critical distance / distance).

    The critical distance of an even source is 0.057 sqrt(V / RT60) metres (Kuttruff 2009, Room Acoustics): 0.57 m here.
    """
    return float(same_everywhere(20 * np.log10(0.057 * np.sqrt(VOLUME_M3 / RT60_S) / DISTANCE_M)))


def in_room(dry: Samples, rng: np.random.Generator) -> Samples:
    """The sound with the echo of a room: noise that decays by 60 dB in `RT60_S` (Polack's model, in Kuttruff 2009).

    dry: float64 [shape=(n,)] at 48 kHz. Returns float64 [shape=(n,)].
    """
    time_s = np.arange(round(RT60_S * RATE_HZ)) / RATE_HZ
    tail = lowpass(rng.standard_normal(time_s.size), WALL_CORNER_HZ) * same_everywhere(10 ** (-3 * time_s / RT60_S))
    tail *= db(-direct_to_reverberant_db()) / np.sqrt(np.sum(tail**2))
    response = np.concatenate([np.zeros(round(PREDELAY_S * RATE_HZ)), tail])
    response[0] = 1.0
    return np.asarray(fftconvolve(dry, response)[: dry.size], dtype=np.float64)


def room_noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Background noise with power 1/f above 20 Hz and root mean square 1; float64 [shape=(n,)] at 48 kHz."""
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples)) / np.sqrt(np.maximum(frequency_hz, 20.0))
    spectrum[frequency_hz < 20.0] = 0.0
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / rms(noise)


def rain(n_samples: int, rng: np.random.Generator) -> Samples:
    """Steady rain: a hiss, and 400 drops a second that each ring for 1 ms; float64 [shape=(n,)] at 48 kHz, rms 1."""
    drops = (rng.random(n_samples) < 400 / RATE_HZ) * rng.exponential(1.0, n_samples)
    decay = same_everywhere(np.exp(-np.arange(round(0.005 * RATE_HZ)) / (0.001 * RATE_HZ)))
    ring = rng.standard_normal(decay.size) * decay
    pattering = np.asarray(fftconvolve(drops, ring)[:n_samples], dtype=np.float64)
    noise = rng.standard_normal(n_samples) + pattering / rms(pattering)
    return noise / rms(noise)


def telephone_band(samples: Samples) -> Samples:
    """80-3400 Hz, as a mobile telephone passes (AMR, 3GPP TS 26.090: high-pass at 80 Hz); float64 [shape=(n,)] at 48
    kHz.
    """
    low = same_everywhere(butter(2, 80.0, btype="highpass", fs=RATE_HZ, output="sos"))
    high = same_everywhere(butter(8, 3400.0, btype="lowpass", fs=RATE_HZ, output="sos"))
    return np.asarray(sosfilt(high, sosfilt(low, samples)), dtype=np.float64)
