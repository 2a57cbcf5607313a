"""The voice source: flow pulses through vibrating vocal folds."""

import numpy as np

from samples.tract import RATE_HZ, Samples

OPENING, CLOSING = 0.40, 0.16  # parts of a period; pulse B, preferred by listeners in Rosenberg 1971


def glottal_flow(pitch_hz: Samples, rng: np.random.Generator, *, jitter: float, shimmer: float) -> Samples:
    """Glottal volume flow with the polynomial pulse of Rosenberg 1971 (J. Acoust. Soc. Am. 49:583, pulse B).

    pitch_hz: float64 [shape=(n,)], the fundamental at each sample (48 kHz); jitter, shimmer: standard deviations of
    period and amplitude from pulse to pulse, as parts of one. Returns float64 [shape=(n,)], peaks about 1.
    """
    flow = np.zeros(pitch_hz.size)
    start = 0.0  # in samples, between samples too: rounding would add jitter of its own
    while start < pitch_hz.size:
        period = RATE_HZ / pitch_hz[int(start)] * (1 + jitter * rng.standard_normal())
        amplitude = 1 + shimmer * rng.standard_normal()
        first = int(np.ceil(start))
        phase = (np.arange(first, min(pitch_hz.size, int(start + period) + 1)) - start) / period
        rising = phase / OPENING
        falling = (phase - OPENING) / CLOSING
        pulse = np.where(phase < OPENING, (3 - 2 * rising) * rising**2, 1 - falling**2)
        flow[first : first + phase.size] += amplitude * np.clip(pulse, 0.0, None)
        start += max(period, 1.0)
    return flow
