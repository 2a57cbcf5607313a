"""How one recording may reach us: as it is, through each channel, quieter, noisier, damaged.

Each gives the bytes of a file.

With the locked packages the bytes are the same on every processor. The first three groups are what the model is held
to; DAMAGES are there to see from which quality on it can't be believed.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from preprocess.exact import power_ratio
from training.data.augment import band_limited, with_noise
from training.data.codecs import encoded

Samples = NDArray[np.float32]
Condition = Callable[[Samples, int], bytes]

PLAIN = "plain"
TWIN = "twin"  # without its coughs, see background_twins.py


def flac(samples: Samples, sample_rate_hz: int) -> bytes:
    """A file of 16 bits; what lies over full scale is clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _channel(samples: Samples, sample_rate_hz: int, *, codec: str, bit_rate: int = 0) -> bytes:
    return encoded(samples, sample_rate_hz, codec, bit_rate, same_bits=True)


def _rate(samples: Samples, sample_rate_hz: int, *, to_hz: int) -> bytes:
    return flac(np.clip(soxr.resample(samples, sample_rate_hz, to_hz), -1.0, 1.0), to_hz)


def _gain(samples: Samples, sample_rate_hz: int, *, gain: float) -> bytes:
    return flac(samples * np.float32(gain), sample_rate_hz)


def _noise(samples: Samples, sample_rate_hz: int, *, snr_db: float) -> bytes:
    """Pink noise, the same for the same recording."""
    seed = int.from_bytes(hashlib.sha256(samples.tobytes()).digest()[:8], "big")
    return flac(with_noise(samples, snr_db, 1.0, np.random.default_rng(seed)), sample_rate_hz)


def _clipped(samples: Samples, sample_rate_hz: int, *, over_db: float) -> bytes:
    """Driven `over_db` over what the converter takes, from a peak at full scale."""
    peak = max(float(np.abs(samples).max()), 1e-9)
    return flac(np.clip(samples / peak * math.sqrt(power_ratio(over_db)), -0.999, 0.999), sample_rate_hz)


def _band(samples: Samples, sample_rate_hz: int, *, cutoff_hz: float) -> bytes:
    return flac(band_limited(samples, sample_rate_hz, cutoff_hz), sample_rate_hz)


def _dropouts(samples: Samples, sample_rate_hz: int, *, share: float) -> bytes:
    """Lost packets of 20 ms, filled with silence."""
    packet = round(0.02 * sample_rate_hz)
    count = -(-len(samples) // packet)
    seed = int.from_bytes(hashlib.sha256(samples.tobytes()).digest()[:8], "big")
    kept = np.random.default_rng(seed).random(count) >= share
    return flac(samples * np.repeat(kept, packet)[: len(samples)].astype(np.float32), sample_rate_hz)


CHANNELS: dict[str, Condition] = {
    **{f"opus_{kbit}": partial(_channel, codec="opus", bit_rate=kbit * 1000) for kbit in (12, 16, 24)},
    "mp3_32": partial(_channel, codec="mp3", bit_rate=32_000),
    "ulaw_8k": partial(_channel, codec="ulaw"),
    "gsm_8k": partial(_channel, codec="gsm"),
    **{f"amr_{mode}": partial(_channel, codec="amr", bit_rate=mode) for mode in (4750, 12_200)},
    "rate_44k1": partial(_rate, to_hz=44_100),
}
GAINS: dict[str, Condition] = {f"gain_{gain}": partial(_gain, gain=gain) for gain in (0.3, 0.1, 0.03)}
DAMAGES: dict[str, Condition] = {
    **{f"noise_{db}": partial(_noise, snr_db=float(db)) for db in (-10, -5, 0, 5, 10, 20)},
    **{f"clipped_{db}": partial(_clipped, over_db=float(db)) for db in (6, 12, 20, 30)},
    **{f"band_{hz}": partial(_band, cutoff_hz=float(hz)) for hz in (700, 1000, 1500, 2000)},
    **{f"dropouts_{percent}": partial(_dropouts, share=percent / 100.0) for percent in (5, 10, 20, 40)},
}
