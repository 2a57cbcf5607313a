"""Signals, and the encoders that phones, browsers and programs would have used on them."""

import io
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import correlate

from preprocess.decode import DecodeLimits
from runtime import load_config

Samples = NDArray[np.float32]

LIMITS = DecodeLimits(max_duration_s=120.0, min_sample_rate_hz=4000, max_sample_rate_hz=192_000, max_channels=2)
SEGMENTATION, MEL_SPEC, COLOR_SPEC = load_config()


def warble(rate_hz: int, seconds: float = 2.0, channels: int = 1) -> Samples:
    """Tones below 1.2 kHz that come and go, different ones per channel: every codec here carries them.

    (channels, n).
    """
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    left = 0.4 * np.sin(2 * np.pi * 440 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    left += 0.15 * np.sin(2 * np.pi * 1100 * t + 1) * (t % 0.5 < 0.25)
    right = 0.5 * np.sin(2 * np.pi * 700 * t) * (0.5 + 0.5 * np.sin(2 * np.pi * 2 * t))
    return np.stack([left, right])[:channels].astype(np.float32)


def by_libsndfile(samples: Samples, rate_hz: int, container: str, subtype: str) -> bytes:
    """samples: (channels, n)"""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, rate_hz, format=container, subtype=subtype)
    return buffer.getvalue()


def by_ffmpeg(
    samples: Samples, rate_hz: int, container: str, codec: str, bit_rate: int | None = None, **options: str
) -> bytes:
    """samples: (channels, n); options: of the container's writer, `movflags` and the like"""
    layout = "mono" if len(samples) == 1 else "stereo"
    with tempfile.TemporaryDirectory() as folder:  # `faststart` writes the file twice, so a buffer won't do
        path = Path(folder) / "recording"
        with av.open(str(path), "w", format=container, options=options) as file:
            stream = file.add_stream(codec, rate=rate_hz, layout=layout)
            if bit_rate:
                stream.bit_rate = bit_rate
            wanted = "s16" if codec == "flac" else stream.codec_context.codec.audio_formats[0].name
            stream.codec_context.format = wanted
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            frame.pts = 0
            for converted in av.AudioResampler(format=wanted, layout=layout, rate=rate_hz).resample(frame):
                file.mux(stream.encode(converted))
            file.mux(stream.encode(None))
        return path.read_bytes()


def likeness(sent: Samples, sent_rate_hz: int, got: Samples, got_rate_hz: int) -> tuple[float, float]:
    """Highest correlation coefficient of one channel with another over all lags, and that lag in ms; at 8 kHz."""
    a, b = soxr.resample(sent, sent_rate_hz, 8000), soxr.resample(got, got_rate_hz, 8000)
    products = correlate(b, a)
    best = int(products.argmax())
    return float(products[best] / np.linalg.norm(a) / np.linalg.norm(b)), (best - (len(a) - 1)) / 8.0


def noise(seconds: float, rate_hz: int = 8000, level: float = 0.1, seed: int = 0) -> Samples:
    """White Gaussian noise of that RMS, (n,)."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))).astype(np.float32)


def flac_that_says(data: bytes, frames: int) -> bytes:
    """Replaces the 36 bits of STREAMINFO that hold the number of frames (RFC 9639, section 8.2)."""
    word = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames
    return data[:18] + word.to_bytes(8, "big") + data[26:]
